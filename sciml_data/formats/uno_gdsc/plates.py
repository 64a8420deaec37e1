"""Read raw plates of GDSC, and turn intensities into viability.

A plate has one cell line and 384 or 1,536 wells. A well is a drug at a concentration, a negative
control (NC-1: cells with the solvent), a blank (B: medium without cells), or not used. Viability is

    (intensity - mean of the plate's blanks) / (mean of its negative controls - mean of its blanks)

as GDSC's own R package gdscIC50 documents it (vignette "Introduction to gdscIC50", function
`normalizeData` with `neg_control = "NC-1"`, `pos_control = "B"`). 1 is as untreated, 0 no cell. The
package then cuts to 0...1, because its curve fit needs that. Here that is an option.

A point is the mean over a plate's wells of one drug at one concentration. Only the positive control
MG-132 at 4 umol/L has more than one such well (20).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.drug_response import (
    Curves,
    fit_hill,
    name_r_damage,
    r_data_error,
    r_frame,
    read_r_objects,
)

COLUMNS = (
    "BARCODE",
    "COSMIC_ID",
    "CELL_LINE_NAME",
    "RESEARCH_PROJECT",
    "TAG",
    "DRUG_ID",
    "CONC",
    "INTENSITY",
)
NUMBERS = ("COSMIC_ID", "DRUG_ID", "CONC", "INTENSITY")  # float64; missing is NaN
NEGATIVE, BLANK = "NC-1", "B"  # tags of controls
FAILED = "FAIL"  # tag of a drug that did not pass GDSC's quality control
DOSE_DECIMALS = 3  # of -log10(mol/L): concentrations such as 10.005 and 10 umol/L differ by 0.0002


@dataclass(frozen=True)
class Points:
    """Mean viability of each drug at each dose on each plate: arrays of one length (point,).

    Attributes:
        cosmic_id: int64, COSMIC's number of the cell line.
        drug_id: int64, GDSC's number of the drug.
        dose: float64, -log10(mol/L).
        viability: float64, 1 as untreated, 0 no cell.
        barcode: int64, of the plate.
        project: text, research project of the plate.
        counts: numbers of wells, plates, cell lines and drugs that were read, for the ready file.
        names: name of each cell line by COSMIC's number.
    """

    cosmic_id: NDArray[np.int64]
    drug_id: NDArray[np.int64]
    dose: NDArray[np.float64]
    viability: NDArray[np.float64]
    barcode: NDArray[np.int64]
    project: NDArray[np.object_]
    counts: dict[str, int]
    names: Mapping[int, str]


@dataclass(frozen=True)
class FittedPairs:
    """A fitted curve for each cell line and drug, from the points of all plates of the pair."""

    cosmic_id: NDArray[np.int64]
    drug_id: NDArray[np.int64]
    curves: Curves


def read_points(path: Path, problems: list[Problem], *, trim: bool) -> Points:
    """Return the points of all plates.

    The last result is kept, because three ready files are made of the same plates, and parsing the
    R file takes nearly all of the time.

    Args:
        path: .rda file with one data frame of wells.
        problems: a plate without usable controls is added, and its wells are left out.
        trim: cut the viability of each well to 0...1.

    Raises:
        NativeFormatError: the file is damaged, lacks a column, or has no usable well.
        CallError: rdata is not installed.
    """
    status = path.stat()
    points, found = _read_points(path, trim, (status.st_size, status.st_mtime_ns))
    problems += found
    return points


@lru_cache(maxsize=1)
def _read_points(
    path: Path,
    trim: bool,  # noqa: FBT001
    _status: tuple[int, int],
) -> tuple[Points, tuple[Problem, ...]]:
    """Return the points of all plates, and plates without usable controls.

    Args:
        path: .rda file with one data frame of wells.
        trim: cut the viability of each well to 0...1.
        _status: size and time of the file, so that a changed file is read again.
    """
    wells, barcodes, plate = _read_wells(path)
    blank, negative = (_control_means(wells, plate, tag) for tag in (BLANK, NEGATIVE))
    is_usable = negative > blank  # false for NaN: a control is missing
    problems = [
        Problem("controls", f"{path.name}: plate {name}", f"no usable {NEGATIVE} and {BLANK} wells")
        for name in barcodes[~is_usable]
    ]
    is_treated = (wells["TAG"] != FAILED) & is_usable[plate] & (wells["CONC"] > 0)
    for name in NUMBERS:
        is_treated &= np.isfinite(wells[name])
    rows = np.flatnonzero(is_treated)
    if not len(rows):
        raise r_data_error(path, "empty", path.name, "there is no treated well with controls")
    of = plate[rows]
    viability = (wells["INTENSITY"][rows] - blank[of]) / (negative[of] - blank[of])
    dose: NDArray[np.float64] = np.round(6 - np.log10(wells["CONC"][rows]), DOSE_DECIMALS)
    drug, cosmic = (wells[name][rows].astype(np.int64) for name in ("DRUG_ID", "COSMIC_ID"))
    first, viability = _means([of, drug, dose], np.clip(viability, 0, 1) if trim else viability)
    points = Points(
        cosmic[first],
        drug[first],
        dose[first],
        viability,
        barcodes[of[first]],
        wells["RESEARCH_PROJECT"][rows[first]],
        {
            "wells_read": len(plate),
            "wells_treated": len(rows),
            "plates_read": len(barcodes),
            "lines_read": len(np.unique(wells["COSMIC_ID"])),
            "drugs_read": len(np.unique(drug)),
        },
        dict(zip(cosmic.tolist(), wells["CELL_LINE_NAME"][rows].tolist(), strict=True)),
    )
    return points, tuple(problems)


def fit_pairs(points: Points) -> FittedPairs:
    """Return a curve for each cell line and drug, fitted to the mean over plates at each dose."""
    cosmic, drug, parts = [], [], []
    for number in np.unique(points.drug_id):
        rows = np.flatnonzero(points.drug_id == number)
        lines, line = np.unique(points.cosmic_id[rows], return_inverse=True)
        doses, dose = np.unique(points.dose[rows], return_inverse=True)
        first, means = _means([line, dose], points.viability[rows])
        table = np.full((len(lines), len(doses)), np.nan)
        table[line[first], dose[first]] = means
        cosmic.append(lines)
        drug.append(np.full(len(lines), number))
        parts.append(fit_hill(doses, table))
    names = Curves.__dataclass_fields__
    fitted = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return FittedPairs(np.concatenate(cosmic), np.concatenate(drug), Curves(**fitted))


def _read_wells(path: Path) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[np.intp]]:
    """Return columns (well,), the barcodes of all plates, and the position of each well's plate."""
    with name_r_damage(path):
        objects = read_r_objects(path)
        wells = r_frame(path, next(iter(objects.values()), None), dict.fromkeys(COLUMNS, "wells"))
        barcodes, plate = np.unique(wells["BARCODE"].astype(str), return_inverse=True)
        wells |= {name: np.asarray(wells[name], np.float64) for name in NUMBERS}
        return wells, barcodes.astype(np.int64), plate


def _control_means(
    wells: Mapping[str, Any], plate: NDArray[np.intp], tag: str
) -> NDArray[np.float64]:
    """Return the mean intensity (plate,) of the wells with a tag, NaN for a plate without one."""
    rows = np.flatnonzero((wells["TAG"] == tag) & np.isfinite(wells["INTENSITY"]))
    count = np.bincount(plate[rows], minlength=int(plate.max(initial=-1)) + 1)
    sums = np.bincount(plate[rows], wells["INTENSITY"][rows], minlength=len(count))
    means = np.full(len(count), np.nan)
    np.divide(sums, count, out=means, where=count > 0)
    return means


def _means(
    keys: list[NDArray[Any]], values: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return for each distinct combination of keys, sorted, its first row and its mean value."""
    order = np.lexsort(keys[::-1])
    is_new = np.ones(len(order), bool)
    is_new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    group = np.cumsum(is_new) - 1
    means = np.bincount(group, values[order]) / np.bincount(group)
    return order[is_new], means

"""Measurements of a CoreGx LongTable (TreatmentResponseExperiment), by id.

rowData    treatments: names of one drug or two, CONC1 and CONC2 in mol/L, NSC2, key rowKey
colData    samples: CELLNAME as in NCI-60, key colKey
assays     sensitivity (PERCENTGROWTH), assay_metadata (STUDY, SCREENER), keys of their own
.intern    assayIndex: which treatment, sample and rows of the assays belong together
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.drug_response import Rows
from sciml_data.formats.uno_almanac import r_objects

TREATMENTS = ("rowKey", "treatment1id", "treatment2id", "CONC1", "CONC2", "NSC2")
SAMPLES = ("colKey", "CELLNAME")
SENSITIVITY = (".sensitivity", "PERCENTGROWTH")
METADATA = (".assay_metadata", "STUDY", "SCREENER")
INDEX = ("rowKey", "colKey", ".sensitivity", ".assay_metadata")


def read_rows(path: Path, drugs: Mapping[str, str], problems: list[Problem]) -> Rows:
    """Return every measurement; one whose keys lead nowhere is added to the problems.

    `growth` is PERCENTGROWTH / 100: 1 untreated, 0 stasis, -1 all cells killed. A dose that is no
    concentration above 0 is NaN.

    Args:
        path: the R file.
        drugs: NSC number by the name that the file has.
        problems: of single rows.

    Raises:
        NativeFormatError: the file is damaged, has no such table, or its NSC numbers are others.
    """
    treatments, samples, assays, index = _frames(path)
    of = {
        "rowKey": _places(index["rowKey"], treatments["rowKey"]),
        "colKey": _places(index["colKey"], samples["colKey"]),
        ".sensitivity": _places(index[".sensitivity"], assays[".sensitivity"]),
        ".assay_metadata": _places(index[".assay_metadata"], assays[".assay_metadata"]),
    }
    leads = np.all([places >= 0 for places in of.values()], axis=0)
    for row in np.flatnonzero(~leads).tolist():
        lost = ", ".join(key for key, places in of.items() if places[row] < 0)
        place = f"{path.name}: measurement {row + 1}"
        problems.append(Problem("malformed", place, f"leads to no {lost}"))
    treatment, sample, sensitivity, metadata = (of[key][leads] for key in INDEX)
    if not len(treatment):
        raise r_objects.refused(path, "empty", path.name, "no measurement")
    drug2 = _second_ids(path, treatments, drugs)[treatment]
    screeners = assays["SCREENER"][metadata]
    return Rows(
        cell=np.array([f"NCI60.{name}" for name in samples["CELLNAME"][sample]], dtype=object),
        drug1=_ids(treatments["treatment1id"], drugs)[treatment],
        drug2=drug2,
        source=np.array([f"ALMANAC.{name}" for name in screeners], dtype=object),
        study=assays["STUDY"][metadata],
        values={
            "dose1": _dose(treatments["CONC1"])[treatment],
            "dose2": _dose(treatments["CONC2"])[treatment],
            "growth": assays["PERCENTGROWTH"][sensitivity] / 100,
        },
    )


def _frames(path: Path) -> tuple[dict[str, NDArray[Any]], ...]:
    """Return treatments, samples, assays and the index between them."""
    objects = r_objects.read_objects(path)
    slots = r_objects.attributes(next(iter(objects.values()))) if objects else {}
    assays = r_objects.named(slots["assays"]) if "assays" in slots else {}
    intern = r_objects.named(slots[".intern"]) if ".intern" in slots else {}

    def frame(of: Any, names: tuple[str, ...], place: str) -> dict[str, NDArray[Any]]:
        return r_objects.frame(path, of, dict.fromkeys(names, place))

    return (
        frame(slots.get("rowData"), TREATMENTS, "rowData"),
        frame(slots.get("colData"), SAMPLES, "colData"),
        frame(assays.get("sensitivity"), SENSITIVITY, "assays$sensitivity")
        | frame(assays.get("assay_metadata"), METADATA, "assays$assay_metadata"),
        frame(intern.get("assayIndex"), INDEX, ".intern$assayIndex"),
    )


def _places(wanted: NDArray[Any], keys: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each wanted key stands, -1 where nowhere."""
    import pandas as pd

    return np.asarray(pd.Index(keys).get_indexer(pd.Index(wanted)), dtype=np.intp)


def _ids(names: NDArray[Any], drugs: Mapping[str, str]) -> NDArray[np.object_]:
    """Return the id of each name, "" for none; a name without a known number stays a name."""
    found = [f"NSC.{drugs[name]}" if name in drugs else name or "" for name in names]
    return np.array(found, dtype=object)


def _second_ids(
    path: Path, treatments: Mapping[str, NDArray[Any]], drugs: Mapping[str, str]
) -> NDArray[np.object_]:
    """Return the second drug's id of each treatment, held against the number in the file."""
    ids = _ids(treatments["treatment2id"], drugs)
    for name, number in zip(treatments["treatment2id"], treatments["NSC2"], strict=True):
        if name in drugs and np.isfinite(number) and str(int(number)) != drugs[name]:
            wrong = f"{name} is NSC {int(number)} there and NSC {drugs[name]} in native.drugs"
            raise r_objects.refused(path, "number", f"{path.name}: rowData$NSC2", wrong)
    return ids


def _dose(concentration: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -log10 of mol/L, NaN where there is no concentration."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(concentration > 0, -np.log10(concentration), np.nan)

"""Read dose response curves of the CCLE: a row for each (cell, compound), with up to eight doses.

Activity is a percentage of the untreated control: 0 without effect, -100 with no cell alive. A dose
is in micromoles per litre. Uno's table has the same 93,251 points on the scale of NCI-60, which is
1 untreated and -1 with no cell alive: 1 + 2 * activity / 100. That factor is inferred: Uno's
"rescaled" table is not public any more, and its spread for CCLE is 2.07 times that of this file.
Nothing is clipped; activities range from -239 to 190.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import read_rows

HEADER = (
    "CCLE Cell Line Name",
    "Primary Cell Line Name",
    "Compound",
    "Target",
    "Doses (uM)",
    "Activity Data (median)",
    "Activity SD",
    "Num Data",
    "FitType",
    "EC50 (uM)",
    "IC50 (uM)",
    "Amax",
    "ActArea",
)
SLOPES: Mapping[str, float] = {"rescaled": 2.0, "viability": 1.0}  # growth at activity -100: -1, 0


@dataclass(frozen=True)
class Points:
    """All points of all curves, one after the other.

    Attributes:
        cell: (point) full CCLE name, for example 22RV1_PROSTATE.
        compound: (point) name.
        dose: (point) float64, -log10(mol/L).
        activity: (point) float64, percent.
        curves: number of rows that the points come from.
        primary_names: by cell, its usual name, for example 22Rv1.
        targets: by compound, the protein on which it acts.
    """

    cell: NDArray[np.object_]
    compound: NDArray[np.object_]
    dose: NDArray[np.float64]
    activity: NDArray[np.float64]
    curves: int
    primary_names: Mapping[str, str]
    targets: Mapping[str, str]


def read_points(path: Path, problems: list[Problem]) -> Points:
    """Return the points of a file of curves; malformed rows are added to the problems.

    Raises:
        NativeFormatError: the file has another header, or no usable row.
    """
    first: dict[tuple[str, str], str] = {}
    columns: list[tuple[str, str, float, float]] = []
    primary_names, targets = {}, {}
    for place, row in read_rows(path, HEADER, ",", problems):
        key = (row[HEADER[0]].strip(), row["Compound"].strip())
        try:
            points = _points(row, first.get(key))
        except ValueError as error:
            problems.append(Problem("malformed", place, str(error)))
            continue
        first[key] = place
        primary_names[key[0]], targets[key[1]] = row["Primary Cell Line Name"], row["Target"]
        columns += [(*key, dose, activity) for dose, activity in points]
    if not columns:
        raise NativeFormatError(
            f"{path.name} has no curve",
            problems=problems,
            untouched="nothing was converted",
        )
    cells, compounds, doses, activities = zip(*columns, strict=True)
    return Points(
        cell=np.array(cells, dtype=object),
        compound=np.array(compounds, dtype=object),
        dose=np.array(doses),
        activity=np.array(activities),
        curves=len(first),
        primary_names=primary_names,
        targets=targets,
    )


def growth(activity: NDArray[np.float64], convention: str) -> NDArray[np.float64]:
    """Return growth for activity: 1 untreated; at -100 % -1 ("rescaled") or 0 ("viability")."""
    return 1.0 + SLOPES[convention] * activity / 100.0


def _points(row: Mapping[str, str], before: str | None) -> list[tuple[float, float]]:
    """Return dose and activity of each point of a row.

    Args:
        row: fields by name.
        before: place of an earlier row with the same cell and compound, None for none.

    Raises:
        ValueError: says what is wrong with the row.
    """
    if before:
        raise ValueError(f"cell and compound are those of {before}")
    if not row[HEADER[0]].strip() or not row["Compound"].strip():
        raise ValueError("no cell or no compound is named")
    doses = [float(text) for text in row["Doses (uM)"].split(",")]
    activities = [float(text) for text in row["Activity Data (median)"].split(",")]
    count = int(row["Num Data"])
    if not len(doses) == len(activities) == count:
        raise ValueError(f"{count} points said, {len(doses)} doses, {len(activities)} activities")
    if not all(0 < dose < np.inf for dose in doses) or not np.isfinite(activities).all():
        raise ValueError("a dose or an activity is not a possible number")
    return [
        (-float(np.log10(dose * 1e-6)), activity)
        for dose, activity in zip(doses, activities, strict=True)
    ]

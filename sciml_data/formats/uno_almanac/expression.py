"""Expression of the NCI-60 lines: 59 lines by 22,283 probes of HG-U133A, log2 of GCRMA intensity.

A gene is the mean of all probes with its symbol. Which genes: those of Uno's list that have a
probe (915 of 942 with the symbols of the file), or all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.drug_response import Entities, Features
from sciml_data.formats.uno_almanac import r_objects


def read_cells(path: Path, genes: Sequence[str] | None, used: Iterable[str]) -> Entities:
    """Return the cell lines with their expression.

    A line's id is the one that rows use, where letters and digits of both are the same (LE:K_562
    and NCI60.K-562); of a line that no row uses it is made of its name, with `-` for `_`.

    Args:
        path: the R file.
        genes: symbols that are kept, in their order; None keeps all, sorted.
        used: ids of cells in the rows.

    Raises:
        NativeFormatError: the file is damaged, or lacks one of its tables.
    """
    objects = r_objects.read_objects(path)
    lines = r_objects.frame(
        path, objects.get("cellLineInfo"), dict.fromkeys(("Name", "Tissue"), "cellLineInfo")
    )
    symbols = r_objects.frame(path, objects.get("geneInfo"), {"Symbol": "geneInfo"})["Symbol"]
    probes = _matrix(path, objects.get("gene"))
    if probes.shape != (len(lines["Name"]), len(symbols)):
        wrong = f"{len(lines['Name'])} x {len(symbols)} expected, {probes.shape} found"
        raise r_objects.refused(path, "shape", f"{path.name}: gene", wrong)
    if not np.isfinite(probes).all():
        count = int((~np.isfinite(probes)).sum())
        wrong = f"{count} values are not a number"
        raise r_objects.refused(path, "missing", f"{path.name}: gene", wrong)
    known = {_letters(name.partition(".")[2]): name for name in used}
    names = [str(name).partition(":")[2] for name in lines["Name"]]
    canonical = tuple(_letters(name) for name in names)
    return Entities(
        ids=tuple(
            known.get(key, f"NCI60.{name.replace('_', '-')}")
            for key, name in zip(canonical, names, strict=True)
        ),
        canonical=canonical,
        texts={"tissue": tuple(str(tissue) for tissue in lines["Tissue"])},
        features=mean_of_probes(probes, symbols, genes),
    )


def mean_of_probes(
    probes: NDArray[np.float64], symbols: NDArray[Any], genes: Sequence[str] | None
) -> Features:
    """Return (cell, gene) means of (cell, probe) over the probes of each symbol.

    Args:
        probes: (cell, probe).
        symbols: of each probe, None for none.
        genes: those that are kept if they have a probe; None keeps all.
    """
    measured = sorted({symbol for symbol in symbols if symbol})
    chosen = measured if genes is None else [gene for gene in genes if gene in set(measured)]
    place = {gene: at for at, gene in enumerate(chosen)}
    columns = np.array([place.get(symbol, len(chosen)) for symbol in symbols], dtype=np.int64)
    sums = np.array([np.bincount(columns, row, minlength=len(chosen) + 1) for row in probes])
    counts = np.bincount(columns, minlength=len(chosen) + 1)
    means = sums[:, : len(chosen)] / counts[: len(chosen)]
    return Features(means.astype(np.float32), tuple(f"GE_{gene}" for gene in chosen))


def _matrix(path: Path, of: Any) -> NDArray[np.float64]:
    if of is None or "dim" not in r_objects.attributes(of):
        raise r_objects.refused(path, "missing", f"{path.name}: gene", "no matrix")
    shape = r_objects.column(r_objects.attributes(of)["dim"])
    return np.asarray(of.value, dtype=np.float64).reshape(tuple(shape), order="F")


def _letters(name: str) -> str:
    """Return the letters and digits of a name in capitals: spellings differ in all else."""
    return "".join(letter for letter in name.upper() if letter.isalnum())

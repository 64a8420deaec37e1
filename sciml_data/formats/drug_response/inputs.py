"""Inputs of drug responses: rows of small text tables, and features of molecules from SMILES.

Features are named descriptors and Morgan fingerprints by RDKit. Uno's own descriptors come from
Dragon 7, commercial software whose values must not be passed on; these can be computed by
everybody. RDKit comes with the extra `uno` and is imported on first use.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats.drug_response.responses import Features

RADIUS = 2  # bonds around an atom: ECFP4, as in Uno's successors
BITS = 2048  # as many as Uno's two fingerprints of 1,024 together


@dataclass(frozen=True)
class Molecules:
    """Features of molecules.

    Attributes:
        ids: those with a readable SMILES, in the given order.
        descriptors: (molecule, descriptor) float32; NaN where RDKit gives no value, or one that is
            too large for 32 bits.
        bits: (molecule, 2048) bool, Morgan fingerprints of radius 2, without chirality.
        unreadable: ids with a SMILES that is not a molecule.
        software: name and version.
    """

    ids: tuple[str, ...]
    descriptors: Features
    bits: NDArray[np.bool_]
    unreadable: tuple[str, ...]
    software: str


def require_rdkit() -> None:
    """Raise an error if RDKit is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import rdkit  # noqa: F401
    except ImportError as error:
        raise CallError(
            "RDKit, which computes features of drugs from their SMILES, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[uno]'",
        ) from error


def molecular_features(smiles: Mapping[str, str]) -> Molecules:
    """Return the features of molecules, each of its largest fragment: a salt without its acid.

    Args:
        smiles: text by id.

    Raises:
        CallError: RDKit is not installed.
    """
    require_rdkit()
    import rdkit
    from rdkit import rdBase
    from rdkit.Chem import Descriptors, rdFingerprintGenerator

    describe: Any = Descriptors.CalcMolDescriptors  # not annotated
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    names = tuple(name for name, _ in Descriptors.descList)
    read: dict[str, Any] = {}
    with rdBase.BlockLogs():
        for name, text in smiles.items():
            read[name] = largest_fragment(text)
        known = {name: molecule for name, molecule in read.items() if molecule is not None}
        values = np.full((len(known), len(names)), np.nan)
        bits = np.zeros((len(known), BITS), np.bool_)
        for row, molecule in enumerate(known.values()):
            computed = describe(molecule, missingVal=np.nan, silent=True)
            values[row] = [computed[name] for name in names]
            bits[row] = generator.GetFingerprintAsNumPy(molecule)
    values[~(np.abs(values) <= np.finfo(np.float32).max)] = np.nan
    return Molecules(
        ids=tuple(known),
        descriptors=Features(values.astype(np.float32), names),
        bits=bits,
        unreadable=tuple(name for name, molecule in read.items() if molecule is None),
        software=f"rdkit {rdkit.__version__}",
    )


def largest_fragment(smiles: str) -> Any:
    """Return the fragment with most heavy atoms as an RDKit molecule, None for no molecule."""
    from rdkit import Chem

    molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    fragments = Chem.GetMolFrags(molecule, asMols=True)
    return max(fragments, key=lambda fragment: fragment.GetNumHeavyAtoms())


# --- text tables ---------------------------------------------------------------------------------


def read_rows(
    path: Path,
    header: Sequence[str],
    delimiter: str,
    problems: list[Problem],
    *,
    encoding: str = "utf-8",
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a text table: its place ("file:line"), and its fields by name.

    A malformed row is not fatal: it becomes a problem, and the other rows are read.

    Args:
        path: table of text with a first line of names.
        header: the expected names, all of them and in this order.
        delimiter: between the fields; a field may be in quotation marks.
        problems: a row with more or fewer fields is added here and skipped.
        encoding: of the text.

    Raises:
        NativeFormatError: the file is empty, is not text, or has another header.
    """
    try:
        lines = path.read_text(encoding=encoding).splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise _refused(
            path, f"not {encoding} text: {error.reason} at byte {error.start}"
        ) from error
    rows = _rows(path, csv.reader(lines, delimiter=delimiter))
    _, actual = next(rows, (0, None))
    if actual is None:
        raise _refused(path, "is empty")
    if actual != list(header):
        raise _refused(path, f"the header {list(header)} is expected, {actual[:20]} found")
    for number, row in rows:
        place = f"{path.name}:{number}"
        if len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        elif row:
            message = f"{len(header)} fields expected, {len(row)} found"
            problems.append(Problem("malformed", place, message))


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the fields of each row."""
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:  # a field that never ends
        raise _refused(path, f"line {reader.line_num} is no CSV: {error}") from error


def _refused(path: Path, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("malformed", path.name, wrong)],
        untouched="nothing was converted",
    )

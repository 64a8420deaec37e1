"""Inputs of drug responses: small text tables, R data files, features of molecules from SMILES.

The package rdata parses R data files. It converts data frames to pandas, but knows no S4 classes
such as CoreGx's LongTable. Its parser keeps the slots of an S4 object as attributes. The functions
of the last section walk through what the parser returns.

Features are named descriptors and Morgan fingerprints by RDKit. Uno's own descriptors come from
Dragon 7, commercial software whose values must not be passed on; these can be computed by
everybody. RDKit and rdata come with the extra `uno` and are imported on first use.
"""

from __future__ import annotations

import bz2
import csv
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats.drug_response.responses import Features
from sciml_data.formats.interface import Native, Shard, max_content_bytes

RADIUS = 2  # bonds around an atom: ECFP4, as in Uno's successors
BITS = 2048  # as many as Uno's two fingerprints of 1,024 together
LIST_HEADER = ("drugName", "cIds", "drugNameOfficial", "molecularWeight", "smilesString")
LIST_ENCODING = "latin-1"
STITCH = "CIDs"  # what STITCH writes before a PubChem CID
NO_SMILES = "#N/A"  # in the list of drugs

# Of R data files.
INFLATERS: Mapping[bytes, Callable[[], Any]] = {
    b"BZh": bz2.BZ2Decompressor,
    b"\x1f\x8b": partial(zlib.decompressobj, wbits=31),  # with the header of gzip
    b"\xfd7zXZ": lzma.LZMADecompressor,
}
STARTS = (*INFLATERS, b"RDX", b"RDA", b"RDB")  # compressed or not
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    lzma.LZMAError,
    zlib.error,
)  # what the parser, and the walk through its result, raise on other bytes than R data


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


def read_drug_list(path: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    """Return CID and SMILES by name in small letters, "" where the list has none.

    Args:
        path: the list of drugs that is kept with PanThera.
        problems: malformed rows are added.
    """
    listed: dict[str, tuple[str, str]] = {}
    for _, row in read_rows(path, LIST_HEADER, ",", problems, encoding=LIST_ENCODING):
        cid = row["cIds"].removeprefix(STITCH).lstrip("0")
        smiles = "" if row["smilesString"] == NO_SMILES else row["smilesString"]
        listed.setdefault(row["drugName"].lower(), (cid if cid.isdecimal() else "", smiles))
    return listed


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the fields of each row."""
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:  # a field that never ends
        raise _refused(path, f"line {reader.line_num} is not CSV: {error}") from error


def form_shards(
    native: Native, forms: Mapping[str, Sequence[str]], chosen: str
) -> tuple[Shard, ...]:
    """Return a ready file for each chosen form whose native files are all here.

    Args:
        native: the files; its block names a file or a folder for each part.
        forms: name of a form -> parts that it is made of.
        chosen: name of a form, or `all`.

    Raises:
        NativeFormatError: files of every form are missing.
    """
    made, problems = [], []
    for form in forms if chosen == "all" else [chosen]:
        inputs = {part: _paths(native, part) for part in forms[form]}
        missing = [part for part, paths in inputs.items() if not paths]
        problems += [
            Problem("missing", native.block[part], f"the form {form} needs it") for part in missing
        ]
        if not missing:
            files = sorted(path for paths in inputs.values() for path in paths)
            made.append(Shard(f"{form}.nc", form, tuple(files)))
    if not made:
        raise NativeFormatError(
            "the native files are not enough for any form",
            problems=problems,
            untouched="nothing was converted",
        )
    return tuple(made)


def _paths(native: Native, part: str) -> list[str]:
    """Return the native files of a part: one file, or all of a folder."""
    place = native.block[part]
    return [path for path in native.paths if path == place or path.startswith(f"{place}/")]


def _refused(path: Path, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("malformed", path.name, wrong)],
        untouched="nothing was converted",
    )


# --- R data files --------------------------------------------------------------------------------


def require_rdata() -> None:
    """Raise an error if rdata is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import rdata  # noqa: F401
    except ImportError as error:
        raise CallError(
            "the package rdata, which reads R data files, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[uno]'",
        ) from error


def read_r_objects(path: Path) -> dict[str, Any]:
    """Return the objects of an .rda or .RData file by name.

    Raises:
        CallError: rdata is not installed.
        NativeFormatError: the file is damaged, or not R data.
    """
    require_rdata()
    import rdata

    content = path.read_bytes()
    if not content.startswith(STARTS):
        raise r_data_error(path, "damaged", path.name, "not R data: another first byte")
    inflated = _inflated(content, max_content_bytes(len(content)))
    parsed = rdata.parser.parse_data(inflated, extension=path.suffix)
    return _pairs(parsed.object)


@contextmanager
def name_r_damage(path: Path) -> Iterator[None]:
    """Raise what damaged R data cause as an error that names the file."""
    try:
        yield
    except DAMAGED as error:
        wrong = f"not readable as R data: {type(error).__name__} {error}".strip()
        raise r_data_error(path, "damaged", path.name, wrong) from error


def _inflated(content: bytes, max_bytes: int) -> bytes:
    """Return content without its compression.

    Raises:
        ValueError: it has more bytes than allowed, or is incomplete.
    """
    start = next((start for start in INFLATERS if content.startswith(start)), None)
    if start is None:
        return content
    inflater = INFLATERS[start]()
    inflated: bytes = inflater.decompress(content, max_bytes)
    if not inflater.eof:
        problem = f"more than {max_bytes} bytes" if len(inflated) >= max_bytes else "no end"
        raise ValueError(f"the compressed content has {problem}")
    return inflated


def r_attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of an R object: names of a vector, slots of an S4 object."""
    return _pairs(of.attributes)


def r_list(of: Any) -> dict[str, Any]:
    """Return the elements of a list of R by name."""
    names = r_attributes(of).get("names")
    return dict(zip(r_column(names), of.value, strict=True)) if names is not None else {}


def r_column(of: Any) -> NDArray[Any]:
    """Return a vector of R: float64, int64, or objects for text and factors, None for NA."""
    kind = of.info.type.name
    if kind == "STR":
        texts = [None if text.value is None else text.value.decode() for text in of.value]
        if any("\0" in text for text in texts if text):
            raise ValueError("a text with a zero byte")
        return np.array(texts, dtype=object)
    if kind not in ("INT", "REAL", "LGL"):
        raise ValueError(f"a vector of text or numbers expected, {kind} found")
    if "levels" in r_attributes(of):
        levels = r_column(r_attributes(of)["levels"])
        codes = np.ma.filled(np.ma.asarray(of.value), 0)
        return np.array([levels[code - 1] if code > 0 else None for code in codes], dtype=object)
    return np.asarray(of.value, dtype=np.float64 if kind == "REAL" else np.int64)


def r_frame(path: Path, of: Any, wanted: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return columns of a data frame.

    Args:
        path: of the file, for messages.
        of: the data frame; None counts as one without columns.
        wanted: by column, the place in the file, for messages.

    Raises:
        NativeFormatError: a column is missing.
    """
    columns = r_list(of) if of is not None else {}
    missing = [name for name in wanted if name not in columns]
    if missing:
        place = f"{path.name}: {wanted[missing[0]]}"
        raise r_data_error(path, "missing", place, f"there is no {', '.join(missing)}")
    return {name: r_column(columns[name]) for name in wanted}


def r_data_error(path: Path, kind: str, place: str, wrong: str) -> NativeFormatError:
    """Return the error for a file that differs from what is expected."""
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem(kind, place, wrong)],
        untouched="nothing was converted",
        hint="`sciml-data verify` compares the file with the published one",
    )


def _pairs(node: Any) -> dict[str, Any]:
    """Return a linked list of R as a mapping."""
    values = {}
    while node is not None and node.info.type.name == "LIST":
        values[_target(node.tag).value.value.decode()] = node.value[0]
        node = node.value[1]
    return values


def _target(node: Any) -> Any:
    """Return the object that a reference points to."""
    while node.info.type.name == "REF":
        node = node.referenced_object
    return node

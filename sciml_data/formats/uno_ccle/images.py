"""Cells and drugs whose features were published as images, and which cell or drug each is.

IGTD (Zhu et al. 2021, doi:10.1038/s41598-021-90923-y) lays the features of a cell or a drug out as
an image: a text file of 50 x 50 numbers between 0 and 1. A pixel of expression is 1 - x, with x the
expression scaled to 0 to 1 over the lines of the source. A table published beside the images has x
for 1,600 genes by name. A pixel gets the name of the only gene with which it agrees in every cell
that both have.

No file says which cell CCL_61 is. The numbers rise with the full CCLE name in the order of ASCII
(22RV1_PROSTATE; an underscore sorts behind letters and digits, so HT29_LARGE_INTESTINE is before
HT_HAEMATOPOIETIC...). Of the 504 cells with curves 30 have no image; the descriptor names these
(`cells_without_expression`), and the drugs (`drugs`). The data card has the evidence. A test with
the real files repeats that what was not measured agrees in all 474 x 24 cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import Features
from sciml_data.formats.interface import Native

SIDE = 50
PIXELS = SIDE * SIDE
TOLERANCE = 1e-8  # the table has nine decimals; the largest measured difference is 5e-10
MIN_COMMON_CELLS = 10  # that image and table must share before pixels get names
CID = "CID:"


def image_ids(native: Native, part: str) -> tuple[str, ...]:
    """Return the ids with an image (CCL_61, CCL_65 ...) in the order of their numbers."""
    folder = native.block[part]
    names = [PurePosixPath(path) for path in native.paths if path.startswith(f"{folder}/")]
    return tuple(sorted((name.stem for name in names), key=number_of))


def number_of(name: str) -> int:
    """Return the number in an id, -1 for an id without one."""
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1


def _read_images(
    native: Native, part: str, ids: Sequence[str], *, may_be_missing: bool
) -> NDArray[np.float64]:
    """Return the images as rows: (id, 2500) float64, pixels row by row.

    Args:
        native: files and descriptor.
        part: key of the block that names the folder of the images.
        ids: of the images to read.
        may_be_missing: whether a pixel may be NaN.

    Raises:
        NativeFormatError: `.problems` has every image that is not 50 x 50 numbers from 0 to 1.
    """
    rows, problems = np.full((len(ids), PIXELS), np.nan), []
    for number, name in enumerate(ids):
        path = native.root / native.block[part] / f"{name}.txt"
        try:
            rows[number] = _image(path, may_be_missing=may_be_missing)
        except ValueError as error:
            problems.append(Problem("damaged", path.name, str(error)))
    if problems:
        raise NativeFormatError(
            f"{len(problems)} of {len(ids)} images are damaged",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )
    return rows


def expression(native: Native, ids: Sequence[str]) -> Features:
    """Return the expression of cells: (cell, 2500) float32, 0 lowest, 1 highest of all lines.

    Raises:
        NativeFormatError: an image or the table is damaged.
    """
    values = 1.0 - _read_images(native, "expression_images", ids, may_be_missing=False)
    cells, genes, table = _read_table(native.root / native.block["expression_table"])
    names = {pixel: f"GE_{genes[gene]}" for pixel, gene in matches(values, ids, cells, table)}
    source = native.block["expression_images"]
    return Features(values.astype(np.float32), _named_pixels(names), source)


def descriptors(native: Native, ids: Sequence[str]) -> Features:
    """Return the descriptors of drugs as published: (drug, 2500) float32, 0 to 1, without names."""
    values = _read_images(native, "descriptor_images", ids, may_be_missing=True)
    source = native.block["descriptor_images"]
    return Features(values.astype(np.float32), _named_pixels({}), source)


def _named_pixels(names: Mapping[int, str]) -> tuple[str, ...]:
    """Return a name for every pixel; a pixel without a known name is named by its number from 1."""
    return tuple(names.get(pixel, f"unnamed_{pixel + 1:04d}") for pixel in range(PIXELS))


def matches(
    values: NDArray[np.float64],
    ids: Sequence[str],
    cells: Sequence[str],
    table: NDArray[np.float64],
) -> list[tuple[int, int]]:
    """Return pairs (column of `values`, column of `table`) that are equal in all common cells.

    Only columns with exactly one partner are returned, and no column if there are fewer common
    cells than `MIN_COMMON_CELLS`.

    Args:
        values: (id, pixel) float64.
        ids: of the rows of `values`.
        cells: of the rows of `table`.
        table: (cell, gene) float64.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    shared = [(row_of[name], row) for row, name in enumerate(cells) if name in row_of]
    if len(shared) < MIN_COMMON_CELLS:
        return []
    ours, theirs = values[[row for row, _ in shared]], table[[row for _, row in shared]]
    squares = (ours**2).sum(0)[:, None] + (theirs**2).sum(0) - 2 * ours.T @ theirs
    near = np.argwhere(
        squares < 1e-6
    )  # squares are rounded, so they only select; differences decide
    same = [
        pair for pair in near if np.abs(ours[:, pair[0]] - theirs[:, pair[1]]).max() < TOLERANCE
    ]
    pixels, genes = np.array(same, dtype=np.int64).reshape(-1, 2).T
    is_unique = (np.bincount(pixels, minlength=1)[pixels] == 1) & (
        np.bincount(genes, minlength=1)[genes] == 1
    )
    return list(zip(pixels[is_unique].tolist(), genes[is_unique].tolist(), strict=True))


def ccle_names(
    ids: Sequence[str], names: Iterable[str], without: Iterable[str], *, place: str = "cells"
) -> dict[str, str]:
    """Return the full CCLE name of each id.

    Args:
        ids: of cells with images, in the order of their numbers.
        names: full CCLE names of all cells with curves.
        without: full CCLE names of cells without an image.
        place: native file with the curves, for messages.

    Raises:
        NativeFormatError: there are not as many ids as names with an image.
    """
    ordered = sorted(set(names) - set(without))
    if len(ordered) != len(ids):
        raise NativeFormatError(
            "cells with images cannot be matched with cells with curves",
            problems=[Problem("count", place, f"{len(ids)} images, {len(ordered)} names")],
            untouched="nothing was converted",
            hint="fetch all images; a cell without one is named in native.cells_without_expression",
        )
    return dict(zip(ids, ordered, strict=True))


def short_name(ccle_name: str) -> str:
    """Return a CCLE name without its tissue, as in Uno's ids behind `CCLE.`."""
    return ccle_name.partition("_")[0]


def cell_texts(
    ids: Sequence[str], names: Sequence[str], usual: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the text columns of cells: IGTD id, usual name and tissue."""
    return {
        "igtd_id": tuple(ids),
        "cell_name": tuple(usual.get(name, "") for name in names),
        "tissue": tuple(name.partition("_")[2].lower() for name in names),
    }


def drug_texts(
    drugs: Mapping[str, Mapping[str, str]], ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the text columns of drugs, by their IGTD ids."""
    return {
        "igtd_drug_id": tuple(ids),
        "compound": tuple(drugs[name]["compound"] for name in ids),
        "pubchem_cid": tuple(
            drugs[name]["canonical"].removeprefix(CID)
            if drugs[name]["canonical"].startswith(CID)
            else ""
            for name in ids
        ),
    }


def _image(path: Path, *, may_be_missing: bool) -> NDArray[np.float64]:
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) != SIDE:
        raise ValueError(f"{SIDE} lines expected, {len(lines)} found")
    image = np.empty((SIDE, SIDE))
    for number, line in enumerate(lines):
        fields = line.split("\t")
        if len(fields) != SIDE:
            raise ValueError(f"line {number + 1}: {SIDE} numbers expected, {len(fields)} found")
        image[number] = [float(field) for field in fields]
    outside = ~((image >= 0) & (image <= 1))
    if may_be_missing:
        outside &= ~np.isnan(image)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        message = f"{image[row, column]} found, a number from 0 to 1 expected"
        raise ValueError(f"line {row + 1}, number {column + 1}: {message}")
    return image.ravel()


def _read_table(path: Path) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Return cells, genes and the scaled expression: (cell, gene) float64."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise _damaged(path, 1, "is not UTF-8") from error
    genes = lines[0].split("\t")[1:] if lines else []
    cells, rows = [], []
    for number, line in enumerate(lines[1:], start=2):
        name, *fields = line.split("\t")
        try:
            row = [float(field) for field in fields]
        except ValueError as error:
            raise _damaged(path, number, str(error)) from error
        if len(row) != len(genes):
            raise _damaged(path, number, f"{len(genes)} numbers expected, {len(row)} found")
        cells.append(name)
        rows.append(row)
    if not rows:
        raise _damaged(path, 1, "a header and a line for each cell are expected")
    return cells, genes, np.array(rows)


def _damaged(path: Path, line: int, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("damaged", f"{path.name}:{line}", wrong)],
        untouched="nothing was converted",
    )

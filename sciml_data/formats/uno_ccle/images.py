"""Features that were published as images: text files of 50 x 50 numbers between 0 and 1.

IGTD (Zhu et al. 2021, doi:10.1038/s41598-021-90923-y) lays the features of a cell or a drug out as
an image. A pixel of expression is 1 - x, x being the expression scaled to 0 ... 1 over the lines of
the source. A table published beside the images has x for 1,600 genes by name; a pixel gets the
name of the only gene with which it agrees in every cell that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import Features
from sciml_data.formats.interface import Native

SIDE = 50
PIXELS = SIDE * SIDE
AGREES = 1e-8  # the table has nine decimals, the images sixteen digits; measured: 5e-10 at most
FEWEST_CELLS = 10  # cells that image and table must share before a pixel is given a name


def image_ids(native: Native, part: str) -> tuple[str, ...]:
    """Return the ids that have an image: CCL_61, CCL_65 ..., in the order of their numbers."""
    folder = native.block[part]
    names = [PurePosixPath(path) for path in native.paths if path.startswith(f"{folder}/")]
    return tuple(sorted((name.stem for name in names), key=number_of))


def number_of(name: str) -> int:
    """Return the number in an id, -1 where there is none."""
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1


def read_images(
    native: Native, part: str, ids: Sequence[str], *, may_be_missing: bool
) -> NDArray[np.float64]:
    """Return the images as rows: (id, 2500) float64, pixels row by row.

    Args:
        native: the files.
        part: of the block, the folder of the images.
        ids: which.
        may_be_missing: whether a pixel may be NaN.

    Raises:
        NativeFormatError: `.problems` has every image that is not 50 x 50 numbers from 0 to 1.
    """
    rows, problems = np.full((len(ids), PIXELS), np.nan), []
    for at, name in enumerate(ids):
        path = native.root / native.block[part] / f"{name}.txt"
        try:
            rows[at] = _image(path, may_be_missing=may_be_missing)
        except ValueError as error:
            problems.append(Problem("damaged", path.name, str(error)))
    if problems:
        raise NativeFormatError(
            f"{len(problems)} of {len(ids)} images are damaged",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` says whether the file is the one that was published",
        )
    return rows


def expression(native: Native, ids: Sequence[str]) -> Features:
    """Return the expression of cells: (cell, 2500), 0 the lowest and 1 the highest of all lines.

    Raises:
        NativeFormatError: an image or the table is damaged.
    """
    values = 1.0 - read_images(native, "expression_images", ids, may_be_missing=False)
    cells, genes, table = _read_table(native.root / native.block["expression_table"])
    names = {pixel: f"GE_{genes[gene]}" for pixel, gene in matches(values, ids, cells, table)}
    return Features(values.astype(np.float32), named_pixels(names))


def descriptors(native: Native, ids: Sequence[str]) -> Features:
    """Return the descriptors of drugs as they were published: (drug, 2500), 0 ... 1, no names."""
    values = read_images(native, "descriptor_images", ids, may_be_missing=True)
    return Features(values.astype(np.float32), named_pixels({}))


def named_pixels(names: Mapping[int, str]) -> tuple[str, ...]:
    """Return a name for every pixel, by its number from 1 where none is known."""
    return tuple(names.get(pixel, f"unnamed_{pixel + 1:04d}") for pixel in range(PIXELS))


def matches(
    values: NDArray[np.float64],
    ids: Sequence[str],
    cells: Sequence[str],
    table: NDArray[np.float64],
) -> list[tuple[int, int]]:
    """Return (column of `values`, column of `table`) that are the same in all common cells.

    Only columns with exactly one partner are returned; none with fewer common cells than
    `FEWEST_CELLS`.
    """
    place = {name: row for row, name in enumerate(ids)}
    shared = [(place[name], row) for row, name in enumerate(cells) if name in place]
    if len(shared) < FEWEST_CELLS:
        return []
    ours, theirs = values[[row for row, _ in shared]], table[[row for _, row in shared]]
    squares = (ours**2).sum(0)[:, None] + (theirs**2).sum(0) - 2 * ours.T @ theirs
    near = np.argwhere(squares < 1e-6)  # rounding of the squares; the differences decide
    same = [pair for pair in near if np.abs(ours[:, pair[0]] - theirs[:, pair[1]]).max() < AGREES]
    pixels, genes = np.array(same, dtype=np.int64).reshape(-1, 2).T
    is_alone = (np.bincount(pixels, minlength=1)[pixels] == 1) & (
        np.bincount(genes, minlength=1)[genes] == 1
    )
    return list(zip(pixels[is_alone].tolist(), genes[is_alone].tolist(), strict=True))


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
    """Return cells, genes and the scaled expression: (cell, gene)."""
    lines = path.read_text(encoding="utf-8").splitlines()
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

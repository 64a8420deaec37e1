"""Folders of images: PNG, TIFF, JPEG and others that Pillow reads; the folder is the class.

The block `native` of the descriptor says how the images are read.

    classes       names of the folders that the images are in, in the order of their numbers; the
                  variables `label` and `class_name` have them. Without it there are no labels
    size          [rows, columns] of the ready images. Without it all images have the size of the
                  first one. A smaller image is padded by zeros at its end, and the variables
                  `height` and `width` say how much of it is used
    left_native   glob -> what these files are: they are not converted

    train/cat/001.png                a sample of the split `train` and the class `cat`

An image is (row, column), or (row, column, channel) in color, as it is stored: no orientation or
color profile is applied. The variable `file` has the native path. Pillow comes with the extra
`formats`.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats.columns import attributes_of, data_files, not_sound
from sciml_data.formats.interface import Native, Shard, max_content_bytes, no_split, raise_if_any
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
DECODERS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # of Pillow, which has many more
# Modes of Pillow, and the type and channels of their arrays.
MODES: Mapping[str, tuple[str, int]] = {
    "1": ("bool", 1), "L": ("uint8", 1), "LA": ("uint8", 2), "RGB": ("uint8", 3),
    "RGBA": ("uint8", 4), "I;16": ("uint16", 1), "I;16L": ("uint16", 1), "I;16B": ("uint16", 1),
    "I": ("int32", 1), "F": ("float32", 1),
}  # fmt: skip
SHARD_BYTES = 128 * 2**20  # of the images in a ready file: in memory once, and made in seconds
COMPRESSION_LEVEL = 4
# What Pillow raises of damage.
DAMAGED = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, RuntimeError, MemoryError,
    ArithmeticError, AttributeError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options of the conversion of images."""

    images_per_shard: int = option(
        0, "images in a ready file; 0 takes as many as make up 128 MiB", minimum=0
    )
    compression: str = option(
        "none", "of the ready files; gzip reads slower", choices=("none", "gzip")
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each split; without a stated size, the heads of all are read.

    Raises:
        CallError: an option is unknown or has a wrong value, or Pillow is not installed.
        NativeFormatError: a file is not an image by its name, or is in no split or class.
    """
    chosen = parse_options(Options, options)
    require_pillow()
    problems: list[Problem] = []
    by_split: dict[str, list[str]] = {}
    for path in data_files(native):
        split = native.split_of(path)
        if not path.lower().endswith(SUFFIXES):
            problems.append(Problem("unexpected", path, f"not one of {', '.join(SUFFIXES)}"))
        elif split is None:
            problems.append(no_split(native, path))
        elif "classes" in native.block and class_of(path) not in native.block["classes"]:
            known = ", ".join(native.block["classes"])
            problems.append(Problem("class", path, f"the folder is none of the classes {known}"))
        else:
            by_split.setdefault(split, []).append(path)
    raise_if_any([*problems, *_different_sizes(native, by_split)], native)
    made = []
    for split, paths in by_split.items():
        step = chosen.images_per_shard or _images_of(native, paths[0], SHARD_BYTES)
        made += [
            Shard(f"{split}-{number:05d}.nc", split, tuple(paths[first : first + step]))
            for number, first in enumerate(range(0, len(paths), step))
        ]
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the images of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has each image that is damaged or of another size or type.
    """
    import xarray as xr

    chosen = parse_options(Options, options)
    images, sizes, problems = _read_images(native, shard.inputs)
    if problems:
        raise not_sound(f"images of {shard.name}", problems)
    columns: dict[str, Any] = {
        "image": images,
        "file": np.array([path.encode() for path in shard.inputs], np.bytes_),
    }
    if classes := native.block.get("classes"):
        columns["label"] = np.array([classes.index(class_of(path)) for path in shard.inputs])
        columns["class_name"] = np.array([name.encode() for name in classes], np.bytes_)
    if "size" in native.block:
        columns["height"], columns["width"] = sizes.T
    variables = {
        name: xr.Variable(
            native.variables[name]["dims"],
            values if values.dtype.kind == "S" else values.astype(native.variables[name]["dtype"]),
            attributes_of(native.variables[name]),
        )
        for name, values in columns.items()
    }
    for variable in variables.values():
        variable.encoding = {"_FillValue": None}
    encoding: dict[str, Any] = {"chunksizes": (1, *images.shape[1:])}
    if chosen.compression == "gzip":
        encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    variables["image"].encoding |= encoding
    sample = native.variables["image"]["dims"][0]
    return xr.Dataset(variables, attrs={"Conventions": "CF-1.11", "shard_dimension": sample})


def class_of(path: str) -> str:
    """Return the name of the folder that an image is in."""
    return PurePosixPath(path).parent.name


@contextmanager
def open_image(native: Native, path: str) -> Iterator[Any]:
    """Open an image with Pillow; its pixels are read on access.

    Raises:
        NativeFormatError: it is damaged, has several frames or another type than declared, or
            declares far more than its file can hold.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of images with more than 89 million pixels; the limit here is that of files.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(native.root / path, formats=DECODERS) as image:
                if problem := _head_problem(native, path, image):
                    raise not_sound(path, [problem])
                yield image
        except Image.DecompressionBombError as error:
            raise not_sound(path, [Problem("size", path, str(error))]) from error
        except DAMAGED as error:
            problem = Problem("unreadable", path, f"cannot be read as an image: {error}")
            raise not_sound(path, [problem]) from error


def require_pillow() -> None:
    """Raise an error if Pillow is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise CallError(
            "the package Pillow, which reads images, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[formats]'",
        ) from error


def _head_problem(native: Native, path: str, image: Any) -> Problem | None:
    """Return what is wrong with the head of an image, before its pixels are read."""
    declared = native.variables["image"]
    if image.mode not in MODES:
        return Problem("mode", path, f"images of the mode {image.mode} are not read")
    if getattr(image, "n_frames", 1) > 1:
        return Problem("frames", path, f"has {image.n_frames} frames, and one is expected")
    dtype, channels = MODES[image.mode]
    is_color = len(declared["dims"]) > 3
    if is_color != (channels > 1):
        expected = "channels" if is_color else "a single channel"
        return Problem("channels", path, f"{expected} declared, {image.mode} is in the file")
    if not np.can_cast(dtype, declared["dtype"]):
        return Problem("dtype", path, f"{declared['dtype']} is declared, {dtype} is in the file")
    size_bytes = image.width * image.height * channels * np.dtype(dtype).itemsize
    file_bytes = (native.root / path).stat().st_size
    if size_bytes > max_content_bytes(file_bytes):
        message = f"{image.height} x {image.width} pixels in a file of {file_bytes:,} bytes"
        return Problem("size", path, message)
    return None


def _read_images(
    native: Native, paths: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.int64], list[Problem]]:
    """Return images of one size, the used (rows, columns) of each, and what is wrong with them."""
    problems: list[Problem] = []
    sizes = np.zeros((len(paths), 2), np.int64)
    images: NDArray[Any] = np.zeros(0)
    for number, path in enumerate(paths):
        try:
            with open_image(native, path) as image:
                pixels = np.asarray(image)
        except NativeFormatError as error:
            problems += error.problems
            continue
        if not images.size:
            shape = (*native.block.get("size", pixels.shape[:2]), *pixels.shape[2:])
            images = np.zeros((len(paths), *shape), native.variables["image"]["dtype"])
        if problem := _size_problem(native, path, pixels.shape, images.shape[1:]):
            problems.append(problem)
            continue
        rows, columns = sizes[number] = pixels.shape[:2]
        images[number, :rows, :columns] = pixels
    return images, sizes, problems


def _size_problem(
    native: Native, path: str, found: Sequence[int], expected: Sequence[int]
) -> Problem | None:
    """Return a problem if an image has another size, or does not fit into the stated one."""
    if tuple(found[2:]) != tuple(expected[2:]):
        return Problem("channels", path, f"{expected[2:]} expected, {found[2:]} in the file")
    rows, columns = found[:2]
    if "size" in native.block:
        is_right = rows <= expected[0] and columns <= expected[1]
    else:
        is_right = (rows, columns) == tuple(expected[:2])
    message = f"{expected[0]} x {expected[1]} pixels expected, {rows} x {columns} found"
    return None if is_right else Problem("size", path, message)


def _different_sizes(native: Native, by_split: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Return a problem for each image of another size than the first, if no size is stated."""
    problems: list[Problem] = []
    expected: tuple[int, int] | None = None
    for path in (
        path for paths in by_split.values() for path in paths if "size" not in native.block
    ):
        with suppress(NativeFormatError), open_image(native, path) as image:  # `read` names it
            found = (image.height, image.width)
            expected = expected or found
            if problem := _size_problem(native, path, found, expected):
                problems.append(problem)
    return problems


def _images_of(native: Native, path: str, size_bytes: int) -> int:
    """Return how many images make up a number of bytes."""
    with suppress(NativeFormatError), open_image(native, path) as image:
        rows, columns = native.block.get("size", (image.height, image.width))
        dtype, channels = MODES[image.mode]
        return max(1, size_bytes // int(rows * columns * channels * np.dtype(dtype).itemsize))
    return 1

"""Files that are not predictions: each function here turns a sound file into one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

OUTSIDE = "swordfish"  # in a file outside the run, that no check may read


def part_of(file: h5py.File) -> h5py.Group:
    """Return the group of the part `test`."""
    return file["test"]


def edited(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Return a function that applies a change to an HDF5 file."""

    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def replaced(name: str, **options: Any) -> Callable[[Path], None]:
    """Return a function that makes a variable of the part `test` anew."""

    def change(file: h5py.File) -> None:
        group = part_of(file)
        del group[name]
        group.create_dataset(name, **options)

    return edited(change)


def outside(path: Path) -> Path:
    """Write a file that is not of the run, and return its path."""
    secret = path.parent.parent / "outside.bin"
    secret.write_bytes(OUTSIDE.encode() * 1000)
    return secret


def external_link(path: Path) -> None:
    """Let `predicted` be in another HDF5 file."""
    other = path.parent.parent / "outside.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.zeros((62, 2), "float32")
    edited(lambda file: _link(part_of(file), "predicted", h5py.ExternalLink(str(other), "/x")))(
        path
    )


def external_storage(path: Path) -> None:
    """Let the values of `predicted` be bytes of another file."""
    files = [(str(outside(path)), 0, 496)]
    replaced("predicted", shape=(62, 2), dtype="f4", external=files)(path)


def virtual(path: Path) -> None:
    """Let `predicted` be a view of another HDF5 file."""
    layout = h5py.VirtualLayout(shape=(62, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(str(path.parent.parent / "o.h5"), "x", shape=(62, 2))

    def change(file: h5py.File) -> None:
        del part_of(file)["predicted"]
        part_of(file).create_virtual_dataset("predicted", layout)

    edited(change)(path)


def many_texts_of_one(path: Path) -> None:
    """Let a million texts have the address of a long one."""

    def change(file: h5py.File) -> None:
        group = part_of(file)
        del group["row"]
        group.create_dataset("row", data=np.array(["x" * 100_000] + ["y"] * 61, dtype=object))

    edited(change)(path)
    with h5py.File(path, "r") as file:
        row = part_of(file)["row"]
        start, stored = row.id.get_offset(), row.id.get_storage_size()
    content = bytearray(path.read_bytes())
    width = stored // 62
    content[start : start + stored] = content[start : start + width] * 62
    path.write_bytes(content)


def _link(group: h5py.Group, name: str, link: Any) -> None:
    del group[name]
    group[name] = link


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return a function that puts something else in the place of the file."""

    def apply(path: Path) -> None:
        path.unlink()
        make(path)

    return apply


def containing(content: bytes) -> Callable[[Path], None]:
    """Return a function that gives a file another content."""

    def apply(path: Path) -> None:
        path.write_bytes(content)

    return apply


def _half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _classic(path: Path) -> None:
    """Write a NetCDF-3 file."""
    import xarray as xr

    path.unlink()
    xr.Dataset({"observed": ("row", np.zeros(3))}).to_netcdf(path, engine="scipy")


def _set_parts(value: Any) -> Callable[[Path], None]:
    return edited(lambda file: file.attrs.__setitem__("parts", value))


SHAPE = {"shape": (1 << 20, 1 << 20), "dtype": "f8", "chunks": (1024, 1024), "compression": "gzip"}
# Files that no check may open or take for predictions: name -> how a sound file becomes it.
NOT_PREDICTIONS: dict[str, Callable[[Path], None]] = {
    "text": containing(b"not at all\n"),
    "empty": containing(b""),
    "zip": containing(b"PK\x03\x04" + b"\0" * 100),
    "signature only": containing(b"\x89HDF\r\n\x1a\n" + b"\0" * 100),
    "half a file": _half,
    "NetCDF-3": _classic,
    "folder": instead(Path.mkdir),
    "pipe": instead(os.mkfifo),
    "link": instead(lambda path: path.symlink_to(outside(path))),
    "dead link": instead(lambda path: path.symlink_to("nowhere")),
    "device": instead(lambda path: path.symlink_to("/dev/zero")),
    "external link": external_link,
    "soft link": edited(lambda f: _link(part_of(f), "predicted", h5py.SoftLink("/test/observed"))),
    "soft link to nothing": edited(lambda f: _link(f, "test", h5py.SoftLink("/nowhere"))),
    "external storage": external_storage,
    "virtual": virtual,
    "8 TiB declared": replaced("predicted", **SHAPE),
    "8 TiB declared twice": edited(
        lambda f: [
            part_of(f).__delitem__(name) or part_of(f).create_dataset(name, **SHAPE)
            for name in ("observed", "predicted")
        ]
    ),
    "a text for every row": many_texts_of_one,
    "other name": edited(lambda f: part_of(f).move("predicted", "guessed")),
    "nothing observed": edited(lambda f: part_of(f).__delitem__("observed")),
    "an array more": edited(lambda f: part_of(f).create_dataset("more", data=np.zeros(3))),
    "a group more": edited(lambda f: f.create_group("hidden")),
    "a group in a part": edited(lambda f: part_of(f).create_group("hidden")),
    "a part that is an array": edited(
        lambda f: f.__delitem__("test") or f.create_dataset("test", data=[1])
    ),
    "other shape": replaced("predicted", data=np.zeros((61, 2), "f4")),
    "no axes": replaced("predicted", data=np.float32(1)),
    "nine axes": replaced("predicted", data=np.zeros((1,) * 9, "f4")),
    "texts": replaced("predicted", data=np.full((62, 2), b"x")),
    "objects": replaced("predicted", data=np.full((62, 2), "x", dtype=object)),
    "complex": replaced("predicted", data=np.zeros((62, 2), "c16")),
    "compound": replaced("predicted", data=np.zeros((62, 2), [("a", "f4"), ("b", "f4")])),
    "references": replaced("predicted", shape=(62, 2), dtype=h5py.ref_dtype),
    "lists": replaced("predicted", shape=(62, 2), dtype=h5py.vlen_dtype("f4")),
    "a filter of others": replaced("predicted", data=np.zeros((62, 2), "f4"), compression="lzf"),
    "no value at all": replaced("predicted", dtype="f4", data=h5py.Empty("f4")),
    "no parts": edited(lambda f: f.attrs.__delitem__("parts")),
    "parts that climb": _set_parts("../../x,train"),
    "parts that repeat": _set_parts("test,test,train,validation"),
    "parts without name": _set_parts("test,,train"),
    "parts that are numbers": _set_parts(np.arange(5)),
    "parts that are empty": _set_parts(h5py.Empty("S1")),
    "parts of bytes": _set_parts(np.bytes_(b"\xff\xfe")),
    "parts too many": _set_parts(",".join(f"p{number}" for number in range(100))),
    "a part more": _set_parts("train,validation,test,fresh"),
}


def half_of_it_nan(path: Path) -> None:
    """Leave every other prediction out."""

    def change(file: h5py.File) -> None:
        values = part_of(file)["predicted"][...]
        values[::2] = np.nan
        part_of(file)["predicted"][...] = values

    edited(change)(path)


def one_infinite(path: Path) -> None:
    """Predict something endless once."""

    def change(file: h5py.File) -> None:
        part_of(file)["predicted"][0, 0] = np.inf

    edited(change)(path)


NOT_FINITE = {"half NaN": half_of_it_nan, "infinite": one_infinite}


ONE_OF_EACH = {
    name: NOT_PREDICTIONS[name]
    for name in (
        *("text", "empty", "half a file", "folder", "pipe", "link", "device", "external link"),
        *("external storage", "virtual", "8 TiB declared", "other name", "texts"),
        *("a group more", "no parts", "parts that climb"),
    )
}

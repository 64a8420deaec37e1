"""Damage to native files, by a random generator: bytes, texts, HDF5 objects, archives."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator
MISSING_SHARE = 0.03  # of damaged samples: a file is missing
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\3\4"
COMPRESSED: tuple[tuple[bytes, Callable[[bytes], bytes], Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", gzip.decompress, gzip.compress),
    (b"BZh", bz2.decompress, bz2.compress),
    (b"\xfd7zXZ", lzma.decompress, lzma.compress),
)
# In place of a number or word of a text.
HOSTILE_TEXTS = (
    b"9" * 5000, b"-" + b"1" * 5000, b"NaN", b"nan", b"inf", b"-inf", b"-1", b"0", b"1e400",
    b"1e-400", b"", b" ", b"\xff\xfe", b"\xed\xa0\x80", b"\0", b"\0" * 100, b"text", b'"',
    b'"unclosed', b"\t", b",",
    b"\n", b"\r", b"0x10", b"1_000", "\u0661\u0662".encode(), b"[" * 5000, b"{}", b"null",
    b"2147483648", b"-9223372036854775809", b"18446744073709551616", b"1.7976931348623157e308",
    b"\x1b[2J", b"A" * 200_000, b"=1+1", b"../../../etc/passwd", b"1" * 19,
)  # fmt: skip
# In place of an attribute or array of HDF5.
HOSTILE_VALUES: tuple[Any, ...] = (
    "text", "9" * 5000, np.bytes_(b"\xff\xfe"), np.bytes_(b""), b"\xed\xa0\x80", -1, 0,
    2**63 - 1, -(2**63), np.nan, np.inf,
    -np.inf, 1e308, np.float16(1), np.float128(1), True,
    [], [1, 2], [-1, -1],
    [2**62, 2**62], [np.nan, np.nan], ["a", "b"], np.zeros((2, 2)), np.zeros((0, 5)),
    np.zeros(3, "c16"), np.zeros(2, [("a", "i4"), ("b", "S3")]), h5py.Empty("f4"),
    h5py.Empty("S1"), np.array([1, 2], object), [5, 300, 300], [3, 2**40, 2**40], "nan", "NaN",
    "-1", "1e400", "[ 0 0 ]", "[ . . ]", "[ 1.2.3 ]", "",
)  # fmt: skip


def damage(sample: Path, root: Path, random: Random) -> tuple[str | None, str]:
    """Copy a sample with one damaged file, and return its path and what was done.

    Each kind of file (suffix) is chosen as often as the others: there may be a hundred of one and a
    single one of another. The path is None if the file was left out.

    Args:
        sample: folder of sound files.
        root: folder of the copy, which does not exist yet.
        random: decides on everything.
    """
    paths = sorted(path for path in sample.rglob("*") if path.is_file())
    suffixes = sorted({path.suffix for path in paths})
    suffix = suffixes[random.integers(len(suffixes))]
    alike = [path for path in paths if path.suffix == suffix]
    chosen = alike[random.integers(len(alike))]
    is_missing = len(paths) > 1 and random.random() < MISSING_SHARE
    for path in paths:
        copy = root / path.relative_to(sample)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path != chosen:
            os.link(path, copy)
        elif not is_missing:
            shutil.copyfile(path, copy)
    place = chosen.relative_to(sample).as_posix()
    return (None, f"no {place}") if is_missing else (place, _damage_file(root / place, random))


def _damage_file(path: Path, random: Random) -> str:
    content = path.read_bytes()
    if random.random() < 0.5:
        if content.startswith(HDF5):
            return damage_objects(path, random)
        if content.startswith(ZIP):
            path.write_bytes(_damaged_archive(content, random))
            return "a member of the archive"
        for start, inflate, deflate in COMPRESSED:
            if content.startswith(start):
                changed, what = damaged_bytes(inflate(content), random)
                path.write_bytes(deflate(changed))
                return f"{what}, inside of the compressed content"
        if b"\0" not in content[:4096]:
            changed, what = damaged_text(content, random)
            path.write_bytes(changed)
            return what
    changed, what = damaged_bytes(content, random)
    path.write_bytes(changed)
    return what


# --- bytes ---------------------------------------------------------------------------------------


def damaged_bytes(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return content with damaged bytes, and what was done."""
    kind = str(random.choice(["flip", "flip", "head", "numbers", "blocks", "blocks", "blocks"]))
    if kind == "blocks":
        return _damaged_blocks(content, random)
    changed = bytearray(content)
    room = len(content) if kind == "flip" else min(len(content), 4096)
    places = random.integers(0, max(1, room), random.integers(1, 17))
    for place in places:
        if kind == "numbers":  # a 4-byte number that is too large, negative or zero
            number = random.choice(np.array([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
            changed[place : place + 4] = int(number).to_bytes(4, "little")
        elif place < len(changed):
            changed[place] ^= int(random.integers(1, 256))
    return bytes(changed), f"{kind} at {places.tolist()}"


def _damaged_blocks(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return content that is cut or longer, or with blocks out of place."""
    kind = str(random.choice(["cut", "swap", "zero", "repeat", "more"]))
    changed = bytearray(content)
    first, second = (int(place) for place in random.integers(0, max(1, len(content)), 2))
    length = int(2 ** random.integers(0, 13))
    if kind == "cut":
        del changed[first:]
    elif kind == "swap":
        here, there = changed[first : first + length], changed[second : second + length]
        changed[first : first + length], changed[second : second + length] = there, here
    elif kind == "zero":
        changed[first : first + length] = bytes(length)
    elif kind == "repeat":
        changed[first:first] = changed[first : first + length]
    else:
        changed += random.bytes(length)
    return bytes(changed), f"{kind} {length} bytes at {first}"


def damaged_text(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return a text with a hostile word, or with lines or fields out of place."""
    kind = random.choice(["word", "word", "word", "head", "line", "field", "bytes"])
    if kind in ("word", "head"):
        words = list(re.finditer(rb"[^\s,;|]+", content[: 500 if kind == "head" else None]))
        if words:
            word = words[random.integers(len(words))]
            hostile = HOSTILE_TEXTS[random.integers(len(HOSTILE_TEXTS))]
            changed = content[: word.start()] + hostile + content[word.end() :]
            return changed, f"{hostile[:20]!r} at {word.start()}"
    if kind == "line":
        lines = content.splitlines(keepends=True)
        here, there = random.integers(0, len(lines), 2) if lines else (0, 0)
        lines[here:here] = lines[there : there + 1]
        return b"".join(lines), f"line {there} again before line {here}"
    if kind == "field":
        separators = [place for place, letter in enumerate(content) if letter in b",\t |"]
        if separators:
            place = separators[random.integers(len(separators))]
            return content[:place] + content[place + 1 :], f"no separator at {place}"
    return damaged_bytes(content, random)


# --- HDF5 ----------------------------------------------------------------------------------------


def damage_objects(path: Path, random: Random) -> str:
    """Change an object of an HDF5 file by its own library."""
    with h5py.File(path, "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda _, item: items.append(item))
        item = items[random.integers(len(items))]
        arrays = [each for each in items if isinstance(each, h5py.Dataset)]
        array = arrays[random.integers(len(arrays))]
        value = HOSTILE_VALUES[random.integers(len(HOSTILE_VALUES))]
        kind = random.choice(["attribute", "value", "delete", "group", "type", "shape", "chunk"])
        try:
            if kind == "attribute":
                return _damage_attribute(item, value, random)
            return _damage_array(file, array, kind, value)
        except (TypeError, ValueError, OSError) as error:  # h5py cannot write such a value
            return f"nothing: {kind}: {error}"


def _damage_attribute(item: Any, value: Any, random: Random) -> str:
    names = [*item.attrs, "nominal_shape", "synthetic"]
    name = names[random.integers(len(names))]
    if random.random() < 0.2 and name in item.attrs:
        del item.attrs[name]
        return f"no attribute {item.name}@{name}"
    item.attrs[name] = value
    if name == "nominal_shape":
        item.attrs["synthetic"] = True
    return f"attribute {item.name}@{name} is {str(value)[:40]!r}"


def _damage_array(file: Any, array: Any, kind: str, value: Any) -> str:
    name, shape, dtype, attributes = array.name, array.shape, array.dtype, dict(array.attrs)
    values = array[()] if kind in ("type", "shape") else None
    if kind == "chunk" and array.chunks and array.size:
        array.id.write_direct_chunk((0,) * array.ndim, b"not what the filters expect")
        return f"a chunk of {name} has other bytes"
    del file[name]
    if kind == "value":
        file[name] = value
    elif kind == "group":
        file.create_group(name)
    elif kind == "type":
        numbers = np.asarray(values)
        other = "S5" if numbers.dtype.kind in "fiub" else "f8"
        file[name] = np.zeros(shape, other) if numbers.dtype.names else numbers.astype(other)
    elif kind == "shape":
        file[name] = np.asarray(values).reshape(-1)
    elif kind == "chunk":
        file.create_dataset(name, (2**20, *shape[1:]), dtype, chunks=True)
    if name in file and isinstance(file[name], h5py.Dataset):
        file[name].attrs.update({key: text for key, text in attributes.items() if key[0].isalpha()})
    return f"{kind} of {name}" + (f" is {str(value)[:40]!r}" if kind == "value" else "")


# --- archives ------------------------------------------------------------------------------------


def _damaged_archive(content: bytes, random: Random) -> bytes:
    """Return a zip with one damaged member and a right checksum."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(target, "w") as changed:
        names = archive.namelist()
        chosen = names[random.integers(len(names))]
        for name in names:
            member = archive.read(name)
            if name == chosen:
                head, rest = member[:128], member[128:]
                change = damaged_text if random.random() < 0.5 else damaged_bytes
                member = change(head, random)[0] + rest
            changed.writestr(
                name, member, random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            )
    return target.getvalue()

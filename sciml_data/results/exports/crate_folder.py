"""A crate as a folder or a zip file, whole or not there at all."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError
from sciml_data.metadata.rocrate import METADATA_NAME

ZIP = ".zip"
FILE_MODE = 0o644 << 16  # in the upper half of a zip entry's attributes


def check_place(to: str) -> Path:
    """Return the place of a crate.

    Raises:
        CallError: something lies there, or the folder it is to lie in is not there.
    """
    place = Path(to).expanduser()
    is_free = not place.exists() or (place.is_dir() and not any(place.iterdir()))
    if not is_free or (place.exists() and place.suffix == ZIP):
        raise CallError(
            f"{place} is there already; a crate is written to a new place",
            untouched="nothing was written",
            hint="name another, or take it away first",
        )
    if not place.absolute().parent.is_dir():
        raise CallError(
            f"the folder {place.absolute().parent} is not there",
            untouched="nothing was written",
            hint=f"mkdir -p {place.absolute().parent}",
        )
    return place


def write_crate(
    place: Path, crate: Mapping[str, Any], files: Mapping[str, Path], *, time: str
) -> None:
    """Write the metadata and the files; a crate that is cut off has another name.

    Args:
        place: a folder, or a file whose name ends in `.zip`.
        crate: what stands in `ro-crate-metadata.json`.
        files: path in the crate -> where it lies now.
        time: ISO 8601, of all entries of a zip file, so that equal crates are equal bytes.
    """
    text = json.dumps(crate, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    partial = place.with_name(f".{place.name}.partial-{os.getpid()}")
    try:
        if place.suffix == ZIP:
            _write_zip(partial, text, files, time=time)
        else:
            _write_folder(partial, text, files)
        partial.replace(place)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)


def _write_folder(folder: Path, text: str, files: Mapping[str, Path]) -> None:
    folder.mkdir()
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / METADATA_NAME).write_text(text, encoding="utf-8")


def _write_zip(path: Path, text: str, files: Mapping[str, Path], *, time: str) -> None:
    moment = datetime.datetime.fromisoformat(time).timetuple()[:6]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [METADATA_NAME, *sorted(files)]:
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = FILE_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as target:
                if name == METADATA_NAME:
                    target.write(text.encode("utf-8"))
                else:
                    with files[name].open("rb") as source:
                        shutil.copyfileobj(source, target)

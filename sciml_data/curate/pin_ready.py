"""Pin a ready form: converted files that a curator publishes, as a distribution of their own.

The manifest of the published folder becomes a file of the version's folder in the registry. It has
the ready files, the conversion record, and the chunk index with the hash of every chunk. So users
can fetch the ready files instead of the native ones, or read single chunks of them, and check both.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.errors import CallError
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.progress import Progress, counted, format_bytes
from sciml_data.ready.chunk_index import index_line
from sciml_data.ready.folder import (
    CHUNKS_NAME,
    RECORD_NAME,
    chunk_indexes,
    find_converted,
    folder_name,
)
from sciml_data.ready.verification import require_unchanged
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor
from sciml_data.registry.manifest import Entry, Manifest, hash_file
from sciml_data.registry.stages import Converted


@dataclass(frozen=True)
class ReadyPin:
    """A ready form to be pinned.

    Attributes:
        descriptor: of the version.
        converted: the ready files; the folder to publish is `converted.root`.
        manifest: of the published files.
        urls: addresses of the published folder, each with a slash at the end.
    """

    descriptor: Descriptor
    converted: Converted
    manifest: Manifest
    urls: tuple[str, ...]

    @property
    def texts(self) -> dict[str, str]:
        """Return the manifest and the descriptor that lists it, by their file names."""
        manifest = self.manifest.dump()
        options = dict(self.converted.options)
        name = f"ready-{folder_name(options)}.csv" if options else "ready.csv"
        document: dict[str, Any] = copy.deepcopy(dict(self.descriptor.document))
        blocks = document["sciml"].setdefault("ready", [])
        blocks[:] = [block for block in blocks if block["options"] != options]
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        block = {"options": options, "manifest": name, "hash": f"sha256:{digest}"}
        blocks.append({**block, "urls": list(self.urls)})
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        return {name: manifest, DESCRIPTOR_NAME: text}


def pin_ready(
    descriptor: Descriptor,
    folder: DatasetFolder,
    urls: Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ReadyPin:
    """Return the pin of the ready files of a version, and complete their chunk index.

    Args:
        descriptor: of the version.
        folder: of the version in the home.
        urls: addresses of the folder as it will be published.
        options: of the conversion; None are the defaults.
        progress: called with (bytes read, bytes to read).

    Raises:
        CallError: the files were not converted, are of other native files than the pinned ones, or
            another ready form with these options is pinned.
        VerificationError: ready files are missing or changed.
        NotWritableError: the ready files are in a shared home.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    converted = find_converted(descriptor, folder.own, options)
    convert = f"sciml-data convert {descriptor.dataset} --version {descriptor.version}"
    if converted is None:
        raise CallError(
            f"there are no ready files of {name} in {folder.ready}",
            untouched="nothing was pinned",
            hint=f"{convert} makes them",
        )
    if descriptor.manifest is not None and converted.native_digest != descriptor.manifest.digest:
        raise CallError(
            f"the ready files of {name} were made of other native files than the pinned ones, or "
            "of a part of them",
            untouched="nothing was pinned",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} && {convert}",
        )
    require_unchanged(converted, progress=progress)
    _complete_index(converted)
    about = [
        Entry(each, path.stat().st_size, hash_file(path))
        for each in (CHUNKS_NAME, RECORD_NAME)
        for path in [converted.root / each]
    ]
    manifest = Manifest(tuple(sorted([*converted.manifest, *about])))
    pin = ReadyPin(descriptor, converted, manifest, tuple(f"{url.rstrip('/')}/" for url in urls))
    _refuse_change(pin)
    return pin


def _refuse_change(pin: ReadyPin) -> None:
    """Raise CallError if other ready files were published: users may have read them."""
    (name, manifest), _ = pin.texts.items()
    existing = pin.descriptor.folder / name
    if existing.is_file() and existing.read_text(encoding="utf-8") != manifest:
        raise CallError(
            f"another ready form of {pin.descriptor.dataset} {pin.descriptor.version} is pinned "
            f"in {name}, and published files never change",
            untouched="nothing was pinned",
            hint="publish files of another ready form as a new version of the dataset",
        )


def _complete_index(converted: Converted) -> None:
    """Write the chunk index of all ready files, sorted by name, so that equal files give it."""
    entries = converted.manifest.by_path
    lines = {
        index.path: index.content.decode()
        for index in chunk_indexes(converted.root)
        if index.path in entries and entries[index.path].hash == index.hash
    }
    for path in entries.keys() - lines.keys():
        lines[path] = index_line(converted.root / path, entries[path]) + "\n"
    text = "".join(lines[path] for path in sorted(lines))
    write_atomically(converted.root / CHUNKS_NAME, text)


def ready_pull_request(pin: ReadyPin) -> str:
    """Return a summary of a pinned ready form for its reviewers, as Markdown."""
    files, size = len(pin.manifest), pin.manifest.total_bytes
    options = json.dumps(dict(pin.converted.options), sort_keys=True)
    return "\n".join(
        [
            f"Pin the ready form of {pin.descriptor.dataset} {pin.descriptor.version}: "
            f"{counted(files, 'file')}, {format_bytes(size)}",
            "",
            f"- files: {counted(len(pin.converted.manifest), 'ready file')}, {CHUNKS_NAME} and "
            f"{RECORD_NAME}",
            f"- options: {options}",
            f"- manifest: sha256 {pin.manifest.digest}",
            f"- made of native files with manifest sha256 {pin.converted.native_digest}",
            f"- to be copied: every file of the manifest in {pin.converted.root}/",
            *(f"- to: {url}" for url in pin.urls),
        ]
    )

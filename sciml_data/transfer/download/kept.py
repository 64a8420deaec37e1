"""The manifest of what was fetched of a version that nobody has pinned."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from sciml_data.home import write_atomically
from sciml_data.registry.manifest import Entry, Manifest, read_manifest
from sciml_data.registry.stages import Plan


def fetched_manifest(plan: Plan, hashes: Mapping[str, str]) -> Manifest:
    """Return the manifest of the planned files that are there."""
    return Manifest(
        tuple(
            sorted(
                Entry(file.path, file.size_bytes, hashes[file.path])
                for file in plan.files
                if file.path in hashes
            )
        )
    )


def keep(plan: Plan, hashes: Mapping[str, str]) -> None:
    """Merge what is there into the kept manifest of an unpinned version; of others, do nothing."""
    if plan.descriptor.manifest is not None or not hashes:
        return
    path = plan.folder.manifest
    entries: dict[str, Entry] = {}
    with contextlib.suppress(FileNotFoundError):
        entries = dict(read_manifest(path).by_path)
    merged = entries | dict(fetched_manifest(plan, hashes).by_path)
    if merged != entries:
        write_atomically(path, Manifest(tuple(sorted(merged.values()))).dump())

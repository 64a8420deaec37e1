"""The published ready forms of a dataset: converted files that mirrors hold, pinned by a manifest.

A curator converts a dataset once and copies the folder of its ready files to a mirror. The
descriptor then lists the folder as a distribution of its own:

    "ready": [{"options": {}, "manifest": "ready.csv", "hash": "sha256:...", "urls": ["https://..."]}]

The manifest has the ready files, the conversion record and the chunk index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.errors import CallError, DescriptorError, Problem
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Manifest, hash_file, read_manifest


@dataclass(frozen=True)
class ReadyForm:
    """A published set of ready files.

    Attributes:
        options: of the conversion.
        manifest: path, size and hash of every published file.
        urls: addresses of the folder that has them, each with a slash at the end.
    """

    options: Mapping[str, Any]
    manifest: Manifest
    urls: tuple[str, ...]


def published_ready_form(
    descriptor: Descriptor, options: Mapping[str, Any] | None = None
) -> ReadyForm:
    """Return the ready form that the registry lists for a set of options.

    Args:
        descriptor: of the version.
        options: of the conversion; None are the defaults.

    Raises:
        CallError: the registry lists no ready form, or none with these options.
        DescriptorError: its manifest is missing, or has not the hash in the descriptor.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    blocks = descriptor.document["sciml"].get("ready", [])
    for block in blocks:
        if block["options"] == dict(options or {}):
            return ReadyForm(block["options"], _manifest(descriptor, block), tuple(block["urls"]))
    if not blocks:
        raise CallError(
            f"the registry lists no ready form of {name}: only its native files are published",
            untouched="nothing was fetched",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} && "
            f"sciml-data convert {descriptor.dataset} --version {descriptor.version}",
        )
    known = "; ".join(json.dumps(block["options"], sort_keys=True) for block in blocks)
    raise CallError(
        f"the registry lists no ready form of {name} with these options",
        untouched="nothing was fetched",
        hint=f"options of published forms: {known}",
    )


def _manifest(descriptor: Descriptor, block: Mapping[str, Any]) -> Manifest:
    path = descriptor.folder / block["manifest"]
    wrong = "no such file" if not path.is_file() else ""
    if not wrong and (actual := hash_file(path)) != block["hash"]:
        wrong = f"it has the hash {actual}, the descriptor says {block['hash']}"
    if wrong:
        raise DescriptorError(
            f"the manifest of the ready form of {descriptor.dataset} {descriptor.version} cannot "
            "be used",
            problems=[Problem("manifest", path.name, wrong)],
            untouched="nothing was fetched",
            hint="update the registry, or pin the ready form again: "
            f"sciml-data pin {descriptor.dataset} --ready",
        )
    return read_manifest(path)

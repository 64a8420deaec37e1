"""Start the folder of a new dataset: a descriptor and a card with the places that are to be filled.

What is left empty is found by `sciml-data check`, so that nothing is published half filled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sciml_data.descriptor import DESCRIPTOR_NAME, MANIFEST_NAME
from sciml_data.errors import CallError, Problem
from sciml_data.home import write_atomically
from sciml_data.manifest import Manifest, manifest_of, unsafe_because

TO_FILL = "(to be written)"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # descriptor.schema.json, `name`
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a folder's name
READER = re.compile(r"[a-z][a-z0-9_]*")  # descriptor.schema.json, `reader`
HEADINGS = {
    "What it is": "what was measured or simulated, over which region, time and range",
    "Instruments and processing": "what made the numbers, and every step since",
    "Variables": "names, units, how missing is told, with the ready form's dimensions",
    "Licence": "as upstream states it; if it states none, say so and where you looked",
    "How to cite": "the words upstream asks for",
    "Gaps and flaws": "what is missing, known to be wrong, or not comparable over the whole",
    "Versions": "what each version holds, and how it differs from the one before",
}


def start_dataset(
    root: Path,
    dataset: str,
    version: str,
    *,
    reader: str,
    today: date,
    files: Path | None = None,
) -> list[Path]:
    """Write the folder of a version, and the dataset's card where there is none yet.

    Args:
        root: the registry; made where it is not there.
        dataset: id, lower case words joined by underscores.
        version: name of the version's folder.
        reader: module of `sciml_data/readers/` that reads the native format.
        today: date of creation.
        files: folder of the native files, laid out as published; the manifest is made of them.
            None leaves it empty.

    Returns:
        the files that were written.

    Raises:
        CallError: a name is none, the version is there already, or the native files may not
            stand in a manifest.
    """
    _hold_name(dataset, NAME, "dataset id", "lower case words joined by underscores")
    _hold_name(version, VERSION, "version", "letters, digits, points, dashes and underscores")
    _hold_name(reader, READER, "reader", "the name of a module of sciml_data/readers/")
    folder = root / "datapackages" / dataset / version
    if folder.exists():
        raise CallError(
            f"{dataset} {version} is there already: {folder}",
            untouched="nothing was overwritten",
            hint="a mend of a published dataset is a new version",
        )
    manifest = (_manifest_of(files) if files is not None else Manifest(())).dump()
    written = {
        folder / MANIFEST_NAME: manifest,
        folder / DESCRIPTOR_NAME: _descriptor(dataset, version, reader, manifest, today),
    }
    card = folder.parent / "README.md"
    if not card.exists():
        written[card] = _card(dataset)
    for path, text in written.items():
        write_atomically(path, text)
    return list(written)


def _manifest_of(files: Path) -> Manifest:
    """Return the manifest of a folder whose every path may stand in one."""
    manifest = manifest_of(files) if files.is_dir() else Manifest(())
    unsafe = [
        Problem("path", entry.path, reason)
        for entry in manifest
        if (reason := unsafe_because(entry.path))
    ]
    if unsafe or not manifest.entries:
        raise CallError(
            f"{files} has no files" if not unsafe else f"{files} has paths that are refused",
            problems=unsafe,
            untouched="nothing was written",
        )
    return manifest


def _hold_name(name: str, pattern: re.Pattern[str], what: str, form: str) -> None:
    if not pattern.fullmatch(name):
        raise CallError(
            f"{name!r} is no {what}: {form} are expected",
            untouched="nothing was written",
            hint="sciml-data new my_dataset 1.0 --reader earthquake",
        )


def _descriptor(dataset: str, version: str, reader: str, manifest: str, today: date) -> str:
    document: Mapping[str, Any] = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": dataset,
        "title": "",
        "description": "",
        "version": version,
        "created": f"{today.isoformat()}T00:00:00Z",  # RFC 3339, as Data Package v2 asks
        "keywords": [],
        "licenses": [],
        "sources": [],
        "contributors": [],
        "resources": [manifest_resource(manifest)],
        "sciml": {
            "trust": "pinned",
            "citation": [],
            "native": {"reader": reader},
            "mirrors": [],
            "splits": {"all": ["**"]},
            "variables": {},
            "sample": {"description": ""},
        },
    }
    return json.dumps(document, indent=2) + "\n"


def manifest_resource(manifest: str) -> dict[str, Any]:
    """Return the manifest's own entry in the descriptor, with the size and hash it has now."""
    hash_pattern = "[a-z0-9]+:[0-9a-f]+(-[0-9]+:[0-9]+)?"
    return {
        "name": "manifest",
        "path": MANIFEST_NAME,
        "title": "Every native file: path, size in bytes, hash",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(manifest.encode()),
        "hash": f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}",
        "type": "table",
        "schema": {
            "fields": [
                {
                    "name": "path",
                    "type": "string",
                    "constraints": {"required": True, "unique": True},
                },
                {
                    "name": "bytes",
                    "type": "integer",
                    "constraints": {"required": True, "minimum": 0},
                },
                {
                    "name": "hash",
                    "type": "string",
                    "constraints": {"required": True, "pattern": hash_pattern},
                },
            ]
        },
    }


def _card(dataset: str) -> str:
    parts = [f"# {dataset}\n"]
    parts += [f"## {heading}\n\n{TO_FILL} {hint}\n" for heading, hint in HEADINGS.items()]
    return "\n".join(parts)

"""Small datasets for tests: any files, with a descriptor and a manifest in a registry folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor, read_descriptor
from sciml_data.registry.manifest import Entry, Manifest, hash_file


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder.

    Args:
        root: the folder.
        files: relative path -> content.
    """
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_dataset(
    registry: Path,
    files: Mapping[str, bytes],
    *,
    mirrors: Sequence[Mapping[str, str]] = (),
    splits: Mapping[str, Sequence[str]] | None = None,
    dataset: str = "tiny",
) -> Descriptor:
    """Write version 1.0 of a dataset into a registry folder, and return its descriptor.

    Args:
        registry: folder; `datapackages/` is made in it.
        files: path in the manifest -> content.
        mirrors: for each mirror, prefix of a path -> prefix of a URL.
        splits: name -> globs; a split "all" with every file is added.
        dataset: id.
    """
    folder = registry / "datapackages" / dataset / "1.0"
    folder.mkdir(parents=True, exist_ok=True)
    entries = (
        Entry(path, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
        for path, content in files.items()
    )
    manifest_path = folder / "manifest.csv"
    manifest_path.write_text(Manifest(tuple(sorted(entries))).dump(), encoding="utf-8")
    document = _document(dataset, manifest_path)
    document["sciml"] = {
        "trust": "pinned",
        "citation": ["The sciml-data developers (2026): files made for a test"],
        "native": {"reader": "earthquake"},
        "mirrors": [
            {"name": f"mirror-{number}", "prefixes": dict(prefixes)}
            for number, prefixes in enumerate(mirrors)
        ],
        "splits": {"all": ["**"], **{name: list(globs) for name, globs in (splits or {}).items()}},
        "variables": {"value": {"dims": ["x"], "dtype": "float32", "units": "1", "long_name": "v"}},
        "sample": {"description": "Files written by the format of a test.", "seed": 0},
    }
    (folder / "datapackage.json").write_text(json.dumps(document), encoding="utf-8")
    return read_descriptor(folder)


def write_unpinned(
    registry: Path,
    *,
    mirrors: Sequence[Mapping[str, str]],
    splits: Mapping[str, Sequence[str]] | None = None,
    expected: Mapping[str, Any] | None = None,
    dataset: str = "tiny",
) -> Descriptor:
    """Write an unpinned version 1.0 of a dataset, and return its descriptor.

    Args:
        registry: folder; `datapackages/` is made in it, with a data card.
        mirrors: for each mirror, prefix of a path -> prefix of a URL; all have `s3://bucket/`.
        splits: name -> globs; a split "all" with every file is added.
        expected: block `expected` of the descriptor: numbers and sizes of files.
        dataset: id.
    """
    folder = write_dataset(registry, {"note": b""}, dataset=dataset).folder
    (folder / "manifest.csv").rename(folder / "notes.csv")
    path = folder / "datapackage.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["resources"][0] |= {"name": "notes", "path": "notes.csv", "title": "Notes"}
    document["sciml"] |= {
        "trust": "unpinned",
        "mirrors": [
            {"name": f"mirror-{number}", "s3": "s3://bucket/", "prefixes": dict(prefixes)}
            for number, prefixes in enumerate(mirrors)
        ],
        **({"expected": dict(expected)} if expected else {}),
    }
    document["sciml"]["splits"] |= {name: list(globs) for name, globs in (splits or {}).items()}
    path.write_text(json.dumps(document), encoding="utf-8")
    (folder.parent / "README.md").write_text(f"# {dataset}\n", encoding="utf-8")
    return read_descriptor(folder)


def change_descriptor(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Apply a function to the JSON of a descriptor, which it changes in place."""
    path = folder / DESCRIPTOR_NAME
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _document(dataset: str, manifest_path: Path) -> dict[str, object]:
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": dataset,
        "title": "A dataset made for a test",
        "description": "Files that a test wrote: described, listed with their sizes and "
        "hashes, and pinned as those of every other dataset of a registry are.",
        "version": "1.0",
        "created": "2026-01-01T00:00:00Z",
        "keywords": ["test", "fixture", "fetching"],
        "licenses": [
            {
                "name": "CC0-1.0",
                "title": "CC0 1.0 Universal",
                "path": "https://creativecommons.org/publicdomain/zero/1.0/",
            }
        ],
        "sources": [{"title": "made for a test", "path": "https://example.org/"}],
        "contributors": [{"title": "A test"}],
        "resources": [
            {
                "name": "manifest",
                "path": manifest_path.name,
                "title": "Every native file: path, size in bytes, hash",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "bytes": manifest_path.stat().st_size,
                "hash": hash_file(manifest_path),
            }
        ],
    }

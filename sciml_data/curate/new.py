"""Start the folder of a new dataset: a descriptor and a card with the places that must be filled.

`sciml-data check` finds every place that is still empty, so that nothing is published half filled.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sciml_data.curate.inventory import Proposal, take_inventory
from sciml_data.curate.native_resources import with_native_resources
from sciml_data.curate.recognise import recognise
from sciml_data.errors import CallError, DescriptorError, nearest
from sciml_data.home import write_atomically
from sciml_data.progress import Log, Progress
from sciml_data.registry import PROFILE, TO_FILL
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, MANIFEST_NAME, examine_descriptor
from sciml_data.registry.layout import check_dataset_id, check_version
from sciml_data.registry.manifest import Manifest

READER = re.compile(r"[a-z][a-z0-9_]*")  # descriptor.schema.json, `reader`
HASH_PATTERN = "[a-z0-9]+:[0-9a-f]+(-[0-9]+:[0-9]+)?"
# Problems of a version that a new one would be copied with.
COPIED_KINDS = {"syntax", "schema", "path", "text"}
CARD_NAME = "README.md"
GIT_ATTRIBUTES = ".gitattributes"
NO_CONVERSION = """\
# The registry has hashes of its files, so git must not change line ends (core.autocrlf).
* -text
"""
HEADINGS = {
    "What it is": "what was measured or simulated, over which region, time and range",
    "Instruments and processing": "what made the numbers, and every step since",
    "Variables": "names, units, how missing values are marked, with the ready form's dimensions",
    "Licence": "as upstream states it; if it states none, say so and where you looked",
    "How to cite": "the words upstream asks for",
    "Gaps and flaws": "what is missing, known to be wrong, or not comparable over the whole",
    "Versions": "what each version holds, and how it differs from the one before",
}


def start_dataset(  # noqa: PLR0913 - the first three name the version, the rest are keywords
    root: Path,
    dataset: str,
    version: str,
    *,
    today: date,
    reader: str | None = None,
    like: str | None = None,
    stated: Mapping[str, Any] | None = None,
    files: Path | None = None,
    progress: Progress | None = None,
    log: Log | None = None,
) -> list[Path]:
    """Write the folder of a version, and the dataset's card if there is none yet.

    Args:
        root: the registry; it is made if it does not exist.
        dataset: id of the dataset, lower case words joined by underscores.
        version: name of the version's folder.
        today: date of creation.
        reader: format that reads the native files. None recognises CSV, Parquet, NetCDF, images
            and arrays of HDF5 files; for others, `native.format` has to be filled.
        like: an existing version, whose descriptor and files are copied.
        stated: known keys of the descriptor, and under "sciml" of its block.
        files: folder of the native files in the layout that is published; the manifest lists them.
            None leaves the manifest empty.
        progress: called with (bytes hashed, bytes to hash).
        log: gets a line about hidden and system files that are left out of the manifest, and about
            content that is not converted.

    Returns:
        the files that were written.

    Raises:
        CallError: a name is not valid, the version exists, `like` does not exist, an address has
            a password, or the native files may not be listed in a manifest.
    """
    _check_names(dataset, version, reader)
    if re.search(r'(?i)https?://[^/\s"]*@', json.dumps(stated or {})):
        raise CallError(
            "an address has a user before its host, and everybody can read a registry",
            untouched="nothing was written",
            hint="leave USER:PASSWORD@ out; who fetches gives it (docs/how-to/networks.md)",
        )
    folder = root / "datapackages" / dataset / version
    if folder.exists():
        raise CallError(
            f"{dataset} {version} already exists: {folder}",
            untouched="nothing was overwritten",
            hint="edit its files while it is not published; a fix of a published dataset is a new "
            f"version: sciml-data new {dataset} VERSION --like {version}",
        )
    inventory = take_inventory(files, progress, log) if files is not None else Manifest(())
    manifest = inventory.dump()
    if like is None:
        proposal = _recognised(files, inventory, log) if files and not reader else None
        document = _descriptor(dataset, reader, proposal, stated or {})
    else:
        document = _descriptor_like(root / "datapackages" / dataset, like, stated or {})
    document |= {"version": version, "created": f"{today.isoformat()}T00:00:00Z"}
    document["resources"] = [manifest_resource(manifest), *document["resources"]]
    document["resources"] = with_native_resources(document, inventory)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    written = {folder / MANIFEST_NAME: manifest, folder / DESCRIPTOR_NAME: text}
    card = folder.parent / CARD_NAME
    if not card.exists():
        written[card] = _card(dataset)
    if not (root / "datapackages").exists() and not (root / GIT_ATTRIBUTES).exists():
        written[root / GIT_ATTRIBUTES] = NO_CONVERSION
    copied = _copy_resources(folder, like, document) if like else []
    for path, content in written.items():
        write_atomically(path, content)
    return [*written, *copied]


def manifest_resource(manifest: str) -> dict[str, Any]:
    """Return the entry of a manifest in the descriptor, with the manifest's size and hash."""
    required = {"required": True}
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
                {"name": "path", "type": "string", "constraints": {**required, "unique": True}},
                {"name": "bytes", "type": "integer", "constraints": {**required, "minimum": 0}},
                {
                    "name": "hash",
                    "type": "string",
                    "constraints": {**required, "pattern": HASH_PATTERN},
                },
            ]
        },
    }


def _check_names(dataset: str, version: str, reader: str | None) -> None:
    wrong_reader = "" if READER.fullmatch(reader or "any") else "is not the name of a reader"
    reasons = {
        dataset: check_dataset_id(dataset),
        version: check_version(version),
        reader: wrong_reader,
    }
    for name, reason in reasons.items():
        if reason:
            raise CallError(
                f"{name!r} {reason}",
                untouched="nothing was written",
                hint="sciml-data new my_dataset 1.0 --files RAW_DIR",
            )


def _recognised(files: Path, inventory: Manifest, log: Log | None) -> Proposal | None:
    """Return how the files are read; the log gets a line for everything that is not."""
    proposal = recognise(files, inventory, log)
    if proposal is not None and log is not None:
        for text in proposal.left_out:
            log(f"not converted: {text}")
    return proposal


def _descriptor(
    dataset: str, reader: str | None, proposal: Proposal | None, stated: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a descriptor in which everything that nobody stated is empty."""
    block: dict[str, Any] = {"trust": "pinned", "citation": []}
    if proposal is not None:
        block |= {
            "native": proposal.block,
            "splits": proposal.splits,
            "variables": proposal.variables,
        }
        block |= {"sample": {"description": proposal.sample}} if proposal.sample else {}
    else:
        block |= {
            "native": {"reader": reader} if reader else {"format": ""},
            "splits": {"all": ["**"]},
            "variables": {},
        }
        block |= {"sample": {"description": ""}} if reader else {}
    return {
        "$schema": PROFILE,
        "name": dataset,
        "title": "",
        "description": "",
        "version": "",
        "created": "",
        "keywords": [],
        "licenses": [],
        "sources": [],
        "contributors": [],
        **{key: value for key, value in stated.items() if key != "sciml"},
        "resources": [],
        "sciml": {**block, "mirrors": [], **stated.get("sciml", {})},
    }


def _descriptor_like(dataset: Path, like: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the descriptor of another version without its manifest."""
    path = dataset / like / DESCRIPTOR_NAME
    if not path.is_file():
        known = sorted(
            descriptor.parent.name for descriptor in dataset.glob(f"*/{DESCRIPTOR_NAME}")
        )
        hint = f"start {dataset.name} without --like"
        raise CallError(
            f"{dataset.name} has no version {like!r} to start from{nearest(like, known)}",
            untouched="nothing was written",
            hint=f"--like VERSION: {', '.join(known)}" if known else hint,
        )
    examined = examine_descriptor(path.parent)
    # Texts that are still to be written do not matter. Its files are copied by their paths.
    problems = [item for item in examined.problems if item.kind in COPIED_KINDS]
    if problems:
        raise DescriptorError(
            f"{dataset.name} {like} is not valid, so no version can start from it",
            problems=problems,
            untouched="nothing was written",
            hint="correct it, or start without --like",
        )
    document = copy.deepcopy(dict(examined.document))
    document["resources"] = [item for item in document["resources"] if item["name"] != "manifest"]
    document |= {key: value for key, value in stated.items() if key != "sciml"}
    document["sciml"] |= {"trust": "pinned", **stated.get("sciml", {})}
    return document


def _copy_resources(folder: Path, like: str, document: Mapping[str, Any]) -> list[Path]:
    """Copy the files that another version has beside its manifest; return the copies."""
    copied = []
    for resource in document["resources"][1:]:
        source = folder.parent / like / resource["path"]
        if source.is_file():
            copied.append(folder / resource["path"])
            copied[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copied[-1])
    return copied


def _card(dataset: str) -> str:
    parts = [f"# {dataset}\n"]
    parts += [f"## {heading}\n\n{TO_FILL} {hint}\n" for heading, hint in HEADINGS.items()]
    return "\n".join(parts)

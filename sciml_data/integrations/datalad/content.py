"""What a DataLad dataset holds besides the data: ordinary files, read without git-annex.

    README.md             the card, and how this clone is used
    datapackage.json      descriptor, with the files beside it
    manifest.csv          path, bytes, hash
    checksums.sha256      for `sha256sum -c`
    .datalad/config       the dataset's id; .gitattributes keeps these files out of the annex

Where a native file has one of these names they lie in a folder `sciml-data/` instead.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import DescriptorError, Problem
from sciml_data.integrations.datalad.keys import Keyed
from sciml_data.registry.descriptor import Descriptor

CARD_NAME = "README.md"
CHECKSUMS_NAME = "checksums.sha256"
CONFIG_NAME = ".datalad/config"
FOLDER = "sciml-data/"
ATTRIBUTES_NAME = ".gitattributes"
RESERVED = {".git", ".gitattributes", ".gitmodules", ".datalad"}
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)[^)]*\)")  # of Markdown, within the registry


def metadata_files(
    descriptor: Descriptor, files: Sequence[Keyed], *, identifier: str
) -> dict[str, bytes]:
    """Return every ordinary file of a version by its path.

    Args:
        descriptor: of the version.
        files: of its manifest.
        identifier: DataLad's id of the dataset.

    Raises:
        DescriptorError: a native file has a name that git or DataLad needs.
    """
    beside = {path.name: path.read_bytes() for path in _beside(descriptor)}
    beside |= {
        CARD_NAME: _readme(descriptor, files).encode(),
        CHECKSUMS_NAME: _checksums(files).encode(),
    }
    folder = metadata_folder([one.entry.path for one in files], set(beside))
    named = {folder + name: content for name, content in beside.items()}
    return {
        **named,
        CONFIG_NAME: dataset_config(identifier).encode(),
        ATTRIBUTES_NAME: _attributes(sorted(named)).encode(),
    }


def ordinary_names(descriptor: Descriptor) -> set[str]:
    """Return the names of the ordinary files of a version, the folder they lie in left out."""
    return {CHECKSUMS_NAME, CARD_NAME, *(path.name for path in _beside(descriptor))}


def metadata_folder(paths: Sequence[str], names: set[str]) -> str:
    """Return where the ordinary files lie: the top, or a folder where a native file has a name.

    Raises:
        DescriptorError: a native file has a name that git or DataLad needs.
    """
    tops = {path.partition("/")[0] for path in paths}
    taken = tops & (RESERVED | ({FOLDER.rstrip("/")} if tops & names else set()))
    inner = [path for path in paths if ".git" in path.split("/")]
    if taken or inner:
        raise DescriptorError(
            "a DataLad dataset cannot hold these files",
            problems=[
                Problem("name", path, "is a name that git or DataLad needs")
                for path in [*sorted(taken), *inner]
            ],
            untouched="nothing was made of it",
        )
    return FOLDER if tops & names else ""


def dataset_id(descriptor: Descriptor) -> str:
    """Return DataLad's id of a dataset, made of its name and where its oldest version is from."""
    origin = str(descriptor.document.get("homepage") or descriptor.document["sources"][0]["path"])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{origin}#sciml-data/{descriptor.dataset}"))


def dataset_config(identifier: str) -> str:
    """Return what `.datalad/config` says."""
    return f'[datalad "dataset"]\n\tid = {identifier}\n'


def weak_note(files: Sequence[Keyed]) -> str:
    """Return a sentence on files of which git-annex can hold the size only, or nothing."""
    weak = sum(one.is_weak for one in files)
    if not weak:
        return ""
    return (
        f"{weak} of {len(files)} files are pinned by a hash that git-annex does not know (gitblob, "
        "or s3etag of parts): it holds their size only; `sciml-data verify --clone` holds the hash"
    )


@dataclass(frozen=True)
class Summary:
    """A line of the superdataset's README: a dataset, its versions, and the newest one's files."""

    dataset: str
    versions: tuple[str, ...]
    files: int
    title: str


def super_readme(datasets: Sequence[Summary]) -> str:
    """Return the README of the superdataset: a table of its datasets."""
    lines = [
        "# Datasets of a sciml-data registry",
        "",
        "A DataLad superdataset: names, sizes, hashes and addresses of all files; no file is here "
        "until it is asked for.",
        "",
        "| dataset | versions | files | what |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.dataset} | {', '.join(one.versions)} | {one.files} | {one.title} |"
        for one in datasets
    ]
    return "\n".join([*lines, "", "    datalad get -n DATASET", "    datalad get DATASET/PATH", ""])


def _beside(descriptor: Descriptor) -> list[Path]:
    return [
        path
        for path in sorted(descriptor.folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]


def _readme(descriptor: Descriptor, files: Sequence[Keyed]) -> str:
    card = descriptor.folder.parent / CARD_NAME
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {descriptor.title}\n"
    version, dataset = descriptor.version, descriptor.dataset
    used = [
        "## This DataLad dataset",
        "",
        f"Version {version}: {len(files)} files. Their names, sizes, hashes and addresses are "
        "here; a file itself comes when it is asked for, and is held against its hash.",
        "",
        f"    git checkout {version}      # a version is a tag",
        "    datalad get PATH",
        f"    sciml-data verify {dataset} --version {version} --clone .",
    ]
    if note := weak_note(files):
        used += ["", note[0].upper() + note[1:] + "."]
    return "\n".join([LINK.sub(r"\1", text).rstrip(), "", *used, ""])


def _checksums(files: Sequence[Keyed]) -> str:
    return "".join(
        f"{one.entry.hash.removeprefix('sha256:')}  {one.entry.path}\n"
        for one in files
        if one.entry.hash.startswith("sha256:")
    )


def _attributes(paths: Sequence[str]) -> str:
    named = (json.dumps(f"/{path}", ensure_ascii=False) for path in [*paths, ATTRIBUTES_NAME])
    rules = [f"{path} annex.largefiles=nothing" for path in [*named, ".datalad/**"]]
    return "\n".join(["* annex.backend=SHA256E", *rules, ""])

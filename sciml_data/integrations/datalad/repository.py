"""The content of a DataLad dataset besides its data, and commits that need no work tree.

These ordinary files can be read without git-annex:

    README.md             the data card, and how to use this clone
    datapackage.json      descriptor, with the files beside it
    manifest.csv          path, bytes, hash
    checksums.sha256      for `sha256sum -c`
    .datalad/config       id of the dataset; .gitattributes keeps these files out of the annex

They are in a folder `sciml-data/` if a native file has one of these names.

A commit is a stream to `git fast-import`. Symbolic links to missing content then need no file
system: 20,000 of them, with keys and work tree, take 11 s of CPU time, where `git annex fromkey`
and `git commit` take 100 s (docs/explanation/performance.md). A version gives the same commit
everywhere, because author, date and tree come from the version.
"""

from __future__ import annotations

import calendar
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sciml_data.errors import DescriptorError, Problem
from sciml_data.integrations.datalad.annex import AnnexFile
from sciml_data.registry.descriptor import Descriptor
from sciml_data.transfer.protocols.annex import EMAIL, NAME, git, git_succeeds

CARD_NAME = "README.md"
CHECKSUMS_NAME = "checksums.sha256"
CONFIG_NAME = ".datalad/config"
FOLDER = "sciml-data/"
ATTRIBUTES_NAME = ".gitattributes"
RESERVED = {".git", ".gitattributes", ".gitmodules", ".datalad"}
# A Markdown link to a file of the registry, which a mirror does not have.
LINK_IN_REGISTRY = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)[^)]*\)")
MAIN = "refs/heads/main"
BUILD = "refs/sciml-data/build"  # of a commit that is being written; clones do not get it
FILE, LINK, REPOSITORY = "100644", "120000", "160000"  # modes of entries in a git tree


def metadata_files(
    descriptor: Descriptor, files: Sequence[AnnexFile], *, identifier: str
) -> dict[str, bytes]:
    """Return the content of every ordinary file of a version, by path.

    Args:
        descriptor: of the version.
        files: of its manifest.
        identifier: DataLad's id of the dataset.

    Raises:
        DescriptorError: a native file has a name that git or DataLad reserves.
    """
    contents = {path.name: path.read_bytes() for path in _package_files(descriptor)}
    contents |= {
        CARD_NAME: _readme(descriptor, files).encode(),
        CHECKSUMS_NAME: _checksums(files).encode(),
    }
    folder = metadata_folder([file.entry.path for file in files], set(contents))
    placed = {folder + name: content for name, content in contents.items()}
    return {
        **placed,
        CONFIG_NAME: dataset_config(identifier).encode(),
        ATTRIBUTES_NAME: _attributes(sorted(placed)).encode(),
    }


def ordinary_names(descriptor: Descriptor) -> set[str]:
    """Return the names of the ordinary files of a version, without their folder."""
    return {CHECKSUMS_NAME, CARD_NAME, *(path.name for path in _package_files(descriptor))}


def metadata_folder(paths: Sequence[str], names: set[str]) -> str:
    """Return the folder of the ordinary files: the root, or a subfolder if names collide.

    Args:
        paths: of the native files.
        names: of the ordinary files.

    Raises:
        DescriptorError: a native file has a name that git or DataLad reserves.
    """
    tops = {path.partition("/")[0] for path in paths}
    reserved = tops & (RESERVED | ({FOLDER.rstrip("/")} if tops & names else set()))
    if reserved:  # `.git` deeper in a path is refused by the manifest
        raise DescriptorError(
            "a DataLad dataset cannot hold these files",
            problems=[
                Problem("name", path, "is reserved by git or DataLad") for path in sorted(reserved)
            ],
            untouched="no mirror of it was made",
        )
    return FOLDER if tops & names else ""


def dataset_id(descriptor: Descriptor) -> str:
    """Return DataLad's id of a dataset, derived from its name and origin."""
    origin = str(descriptor.document.get("homepage") or descriptor.document["sources"][0]["path"])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{origin}#sciml-data/{descriptor.dataset}"))


def dataset_config(identifier: str) -> str:
    """Return the content of `.datalad/config`."""
    return f'[datalad "dataset"]\n\tid = {identifier}\n'


def weak_note(files: Sequence[AnnexFile]) -> str:
    """Return a sentence on files of which git-annex checks only the size; "" if there are none."""
    weak = sum(file.is_weak for file in files)
    if not weak:
        return ""
    return (
        f"{weak} of {len(files)} files are pinned by a hash that git-annex does not know (gitblob, "
        "or s3etag of parts): git-annex checks their size only; `sciml-data verify --clone` checks "
        "the hash"
    )


@dataclass(frozen=True)
class Summary:
    """A dataset in the superdataset's README: its versions, and the files of the newest version."""

    dataset: str
    versions: tuple[str, ...]
    files: int
    title: str


def super_readme(datasets: Sequence[Summary]) -> str:
    """Return the README of the superdataset: a table of its datasets."""
    lines = [
        "# Datasets of a sciml-data registry",
        "",
        "A DataLad superdataset with names, sizes, hashes and addresses of all files. "
        "`datalad get` fetches the files themselves.",
        "",
        "| dataset | versions | files | title |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.dataset} | {', '.join(row.versions)} | {row.files} | {row.title} |"
        for row in datasets
    ]
    return "\n".join([*lines, "", "    datalad get -n DATASET", "    datalad get DATASET/PATH", ""])


@dataclass(frozen=True)
class Tree:
    """The content of a commit, by path.

    Attributes:
        files: contents of files.
        links: targets of symbolic links.
        repositories: commits of subdatasets.
    """

    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)


def write_commit(
    repository: Path, tree: Tree, message: str, *, seconds: int, tag: str = ""
) -> tuple[str, bool]:
    """Write a commit on top of `main`, if its content differs from `main`.

    `main` itself is not moved.

    Args:
        repository: of the commit.
        tree: all content; nothing of the parent remains.
        message: of the commit and the tag.
        seconds: since 1970, UTC: date of commit and tag.
        tag: name of a tag for the commit; with a tag, an equal commit is written too.

    Returns:
        The commit, and whether it is new.
    """
    parent = commit_of(repository, MAIN)
    git(
        repository, "fast-import", "--quiet", "--force", "--done",
        stdin=b"".join(_stream(tree, message, seconds, parent, tag)),
    )  # fmt: skip
    written = commit_of(repository, BUILD) or ""
    git(repository, "update-ref", "-d", BUILD)
    is_same = parent is not None and git_succeeds(repository, "diff", "--quiet", parent, written)
    return (parent, False) if parent is not None and is_same and not tag else (written, True)


def check_out(repository: Path) -> None:
    """Check out `main`; files that git does not track are not touched."""
    git(repository, "symbolic-ref", "HEAD", MAIN)
    git(repository, "reset", "--quiet", "--hard", MAIN)


def commit_of(repository: Path, reference: str) -> str | None:
    """Return the commit of a reference, or None."""
    if not git_succeeds(repository, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"):
        return None
    return git(repository, "rev-parse", f"{reference}^{{commit}}").decode().strip()


def seconds_of(created: str) -> int:
    """Return seconds since 1970 of a date in a descriptor."""
    return calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))


def _package_files(descriptor: Descriptor) -> list[Path]:
    return [
        path
        for path in sorted(descriptor.folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]


def _readme(descriptor: Descriptor, files: Sequence[AnnexFile]) -> str:
    card = descriptor.folder.parent / CARD_NAME
    title = f"# {descriptor.title}\n"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else title
    version, dataset = descriptor.version, descriptor.dataset
    usage = [
        "## This DataLad dataset",
        "",
        f"Version {version}: {len(files)} files. The clone has their names, sizes, hashes and "
        "addresses. `datalad get` fetches a file and checks it against its hash.",
        "",
        f"    git checkout {version}      # a version is a tag",
        "    datalad get PATH",
        f"    sciml-data verify {dataset} --version {version} --clone .",
    ]
    if note := weak_note(files):
        usage += ["", note[0].upper() + note[1:] + "."]
    return "\n".join([LINK_IN_REGISTRY.sub(r"\1", text).rstrip(), "", *usage, ""])


def _checksums(files: Sequence[AnnexFile]) -> str:
    return "".join(
        f"{file.entry.hash.removeprefix('sha256:')}  {file.entry.path}\n"
        for file in files
        if file.entry.hash.startswith("sha256:")
    )


def _attributes(paths: Sequence[str]) -> str:
    quoted = (json.dumps(f"/{path}", ensure_ascii=False) for path in [*paths, ATTRIBUTES_NAME])
    rules = [f"{path} annex.largefiles=nothing" for path in [*quoted, ".datalad/**"]]
    return "\n".join(["* annex.backend=SHA256E", *rules, ""])


def _stream(
    tree: Tree, message: str, seconds: int, parent: str | None, tag: str
) -> Iterator[bytes]:
    """Yield the commands of `git fast-import`."""
    who = f"{NAME} <{EMAIL}> {seconds} +0000"
    yield f"reset {BUILD}\n".encode()  # an interrupted run may have left one
    yield f"commit {BUILD}\ncommitter {who}\n".encode() + _data(message.encode())
    if parent is not None:
        yield f"from {parent}\n".encode()
    yield b"deleteall\n"
    for path, content in sorted(tree.files.items()):
        yield f"M {FILE} inline {_quoted(path)}\n".encode() + _data(content)
    for path, link in sorted(tree.links.items()):
        yield f"M {LINK} inline {_quoted(path)}\n".encode() + _data(link.encode())
    for path, commit in sorted(tree.repositories.items()):
        yield f"M {REPOSITORY} {commit} {_quoted(path)}\n".encode()
    if tag:
        yield f"tag {tag}\nfrom {BUILD}\ntagger {who}\n".encode() + _data(message.encode())
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'

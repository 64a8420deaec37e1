"""Publish a mirror as static files: any web server serves them, and `datalad clone` clones them.

    PATH/datasets.git        superdataset, bare
    PATH/<dataset>.git       each dataset, bare

or as a RIA store (PATH/<three letters>/<rest of DataLad's id>, and PATH/alias/<name>). Each
repository has a single pack of objects and the lists for git's dumb HTTP protocol, so that a clone
takes about ten requests. A changed repository is made under a temporary name and takes its place by
two renames.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import CallError
from sciml_data.home import write_atomically
from sciml_data.integrations.datalad.mirror import check_is_mirror, mirror_datasets, repository_id
from sciml_data.progress import Log
from sciml_data.transfer.protocols.annex import git, git_succeeds, require_programs

logger = logging.getLogger(__name__)

SUPERDATASET = "datasets"  # published name of the superdataset
REFERENCES = ("refs/heads/main", "refs/heads/git-annex", "refs/tags")
OURS = "sciml-data.dataset"  # setting in the git configuration of published repositories
# Versions of the RIA layout, from datalad/customremotes/ria_utils.py.
STORE_LAYOUT, OBJECT_LAYOUT = "1", "2"


@dataclass(frozen=True)
class PublishedRepository:
    """A published repository.

    Attributes:
        name: of the dataset, or `datasets`.
        place: folder of the bare repository.
        is_new: whether it was missing or different before.
    """

    name: str
    place: Path
    is_new: bool


def publish_mirror(
    root: Path, to: Path, *, ria: bool = False, log: Log = logger.info
) -> list[PublishedRepository]:
    """Publish a mirror's repositories in a folder; the superdataset, which names them, is last.

    Args:
        root: folder of the mirror.
        to: folder that a web server serves.
        ria: publish as a RIA store.
        log: gets a line for each changed repository.

    Raises:
        CallError: git is missing, `root` is not a mirror, or a target exists and is not ours.
        ProgramError: git failed.
    """
    require_programs("git")
    check_is_mirror(root)
    to.mkdir(parents=True, exist_ok=True)
    published = []
    for name, repository in _repositories(root):
        identifier = repository_id(repository)
        place = to / identifier[:3] / identifier[3:] if ria else to / f"{name}.git"
        is_new = _publish(repository, place, name, log)
        if ria:
            _complete_store(to, place, name)
        published.append(PublishedRepository(name, place, is_new))
    return published


def _repositories(root: Path) -> Iterator[tuple[str, Path]]:
    for name in mirror_datasets(root):
        yield name, root / name
    yield SUPERDATASET, root


def _publish(repository: Path, place: Path, name: str, log: Log) -> bool:
    """Make a bare repository, and return whether it was missing or different before."""
    partial, old = (place.with_name(f".{place.name}.{kind}") for kind in ("partial", "old"))
    if old.exists() and not place.exists():
        old.rename(place)  # an earlier call was killed between the two renames
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    if place.exists():
        _check_ours(place, name)
        if _references(place) == _references(repository):
            return False
    log(f"{name}: to {place}")
    partial.mkdir(parents=True)
    git(partial, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    specifications = [f"+{ref}:{ref}" for ref in REFERENCES[:2] if _has(repository, ref)]
    git(
        partial, "fetch", "--quiet", "--no-tags", str(repository.resolve()),
        *specifications, "+refs/tags/*:refs/tags/*",
    )  # fmt: skip
    (partial / "FETCH_HEAD").unlink(missing_ok=True)
    git(partial, "config", OURS, name)
    git(partial, "repack", "-a", "-d", "-q")
    git(partial, "pack-refs", "--all")
    git(partial, "update-server-info")
    if place.exists():
        place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return True


def _references(repository: Path) -> str:
    form = "%(refname) %(objectname)"
    return git(repository, "for-each-ref", f"--format={form}", *REFERENCES).decode()


def _has(repository: Path, reference: str) -> bool:
    return git_succeeds(repository, "rev-parse", "--verify", "--quiet", reference)


def _check_ours(place: Path, name: str) -> None:
    """Raise an error if a folder was not published by `publish_mirror` for this dataset."""
    if not (place / "HEAD").is_file() or not git_succeeds(
        place, "config", "--file", "config", "--get", OURS, f"^{name}$"
    ):
        raise CallError(
            f"{place} exists and was not published by `mirror publish` for {name}",
            untouched="the folder was not changed",
            hint="use another folder for --to",
        )


def _complete_store(to: Path, place: Path, name: str) -> None:
    """Write the layout files of a RIA store, and the alias of a dataset in it."""
    (to / "error_logs").mkdir(exist_ok=True)
    for folder, layout in ((to, STORE_LAYOUT), (place, OBJECT_LAYOUT)):
        if not (folder / "ria-layout-version").is_file():
            write_atomically(folder / "ria-layout-version", f"{layout}\n")
    alias = to / "alias" / name
    alias.parent.mkdir(exist_ok=True)
    target = os.path.relpath(place, alias.parent)
    if not alias.is_symlink() or os.readlink(alias) != target:  # noqa: PTH115 (a relative text)
        alias.unlink(missing_ok=True)
        alias.symlink_to(target)

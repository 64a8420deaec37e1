"""A mirror as files that any static web server serves, and that `datalad clone` clones.

    PATH/datasets.git        superdataset, bare
    PATH/<dataset>.git       each dataset, bare

or as a RIA store (PATH/<three letters>/<rest of DataLad's id>, and PATH/alias/<name>). Each holds
one pack of objects and the lists that git's dumb HTTP reads: a clone is some ten requests. A
repository is made beside its place and comes there by two renames; what has not changed stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import CallError
from sciml_data.home import write_atomically
from sciml_data.integrations.datalad.addresses import Log
from sciml_data.integrations.datalad.superdataset import datasets_of, refuse_foreign, repository_id
from sciml_data.transfer.protocols.annex import git, git_succeeds, require_programs

SUPERDATASET = "datasets"  # what the superdataset is called where it is published
REFERENCES = ("refs/heads/main", "refs/heads/git-annex", "refs/tags")
OURS = "sciml-data.dataset"  # in the configuration of what we published
STORE_LAYOUT, OBJECT_LAYOUT = "1", "2"  # of RIA: datalad/customremotes/ria_utils.py


@dataclass(frozen=True)
class Published:
    """One repository at its place; `is_new` if it was not there, or was another one."""

    name: str
    place: Path
    is_new: bool


def publish(
    root: Path, to: Path, *, ria: bool = False, log: Log = lambda _: None
) -> list[Published]:
    """Put a mirror's repositories into a folder; the superdataset, which names them, comes last.

    Args:
        root: of the mirror.
        to: folder that a web server serves.
        ria: as a RIA store.
        log: is told what goes on.

    Raises:
        CallError: git is missing, `root` is no mirror, or something else is in a place.
        ProgramError: git failed.
    """
    require_programs("git")
    refuse_foreign(root)
    to.mkdir(parents=True, exist_ok=True)
    found = []
    for name, repository in _repositories(root):
        identifier = repository_id(repository)
        place = to / identifier[:3] / identifier[3:] if ria else to / f"{name}.git"
        is_new = _publish(repository, place, name, log)
        if ria:
            _complete_store(to, place, name)
        found.append(Published(name, place, is_new))
    return found


def _repositories(root: Path) -> Iterator[tuple[str, Path]]:
    for name in datasets_of(root):
        yield name, root / name
    yield SUPERDATASET, root


def _publish(repository: Path, place: Path, name: str, log: Log) -> bool:
    """Make a bare repository at a place, and return whether it differs from what was there."""
    partial, old = (place.with_name(f".{place.name}.{what}") for what in ("partial", "old"))
    if old.exists() and not place.exists():
        old.rename(place)  # killed between the two renames
    for left in (partial, old):
        shutil.rmtree(left, ignore_errors=True)
    if place.exists():
        _refuse_foreign_place(place, name)
        if _references(place) == _references(repository):
            return False
    log(f"{name}: to {place}")
    partial.mkdir(parents=True)
    git(partial, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    specifications = [f"+{one}:{one}" for one in REFERENCES[:2] if _has(repository, one)]
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


def _refuse_foreign_place(place: Path, name: str) -> None:
    if not (place / "HEAD").is_file() or not git_succeeds(
        place, "config", "--file", "config", "--get", OURS, f"^{name}$"
    ):
        raise CallError(
            f"{place} is there, and is not what `mirror publish` put there for {name}",
            untouched="it was left alone",
            hint="name another folder with --to",
        )


def _complete_store(to: Path, place: Path, name: str) -> None:
    """Write what makes a folder a RIA store, and a name for a dataset of it."""
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

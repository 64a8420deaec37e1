"""One dataset as a DataLad dataset: its versions as tags, its files as keys with addresses."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sciml_data.errors import CallError, DescriptorError, Problem
from sciml_data.home import write_atomically
from sciml_data.integrations.datalad.addresses import (
    NOTE,
    addresses,
    register,
    set_remotes,
    web_remotes,
)
from sciml_data.integrations.datalad.commit import (
    MAIN,
    Tree,
    check_out,
    commit_of,
    seconds_of,
    write_commit,
)
from sciml_data.integrations.datalad.content import (
    CONFIG_NAME,
    FOLDER,
    dataset_id,
    metadata_files,
    weak_note,
)
from sciml_data.integrations.datalad.keys import STRONG, Keyed, keyed
from sciml_data.registry.descriptor import MANIFEST_NAME, Descriptor
from sciml_data.registry.layout import version_key
from sciml_data.registry.manifest import Manifest, parse_manifest
from sciml_data.transfer.protocols.annex import ProgramError, git, git_succeeds

MAKING = "making"  # of our notes: datasets that are not whole yet
UNFINISHED = "unfinished"  # of our notes: somebody is changing the repository, or was killed
# 20,000 files leave 44,000 loose objects, 180 MB; packed they are 12. 6,700 is git's own threshold.
PACK_IF_MANY = (
    "-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet",
)  # fmt: skip

Log = Callable[[str], None]
Hashes = Callable[[Descriptor], dict[str, str]]


def make_subdataset(root: Path, versions: Sequence[Descriptor], hashes: Hashes, log: Log) -> None:
    """Make `root/DATASET`, whole or not at all.

    Args:
        root: of the mirror.
        versions: of one dataset, the oldest first.
        hashes: gives sha256 of files, by path, that the manifest has other hashes of.
        log: is told what goes on.
    """
    name = versions[0].dataset
    making = root / NOTE / MAKING
    making.mkdir(exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=making))  # a killed one may still move
    partial.chmod(making.stat().st_mode)
    git(partial, "init", "--quiet", "--initial-branch=main")
    git(partial, "annex", "init", "--quiet", f"sciml-data mirror of {name}")
    bring_up(partial, versions, hashes, log)
    partial.rename(root / name)


def bring_up(
    repository: Path, versions: Sequence[Descriptor], hashes: Hashes, log: Log
) -> list[str]:
    """Let a repository have these versions and their addresses; return what changed.

    Args:
        repository: of one dataset.
        versions: that it is to have, the oldest first.
        hashes: gives sha256 of files, by path, that the manifest has other hashes of.
        log: is told what goes on.

    Raises:
        CallError: somebody changed files in it.
        DescriptorError: a version that it has is another one in the registry.
    """
    for one in versions:
        _refuse_another(repository, one)
    with changing(repository):
        files = {one.version: _keyed(repository, one, hashes) for one in versions}
        wanted = {one for each in versions for one in addresses(each, files[each.version])}
        changes = set_remotes(repository, web_remotes(versions[-1].mirrors))
        changes += register(repository, wanted, name=versions[0].dataset, log=log)
        identifier = _identifier(repository) or dataset_id(versions[0])
        for one in versions:
            changes += _commit(repository, one, files[one.version], identifier)
            if note := weak_note(files[one.version]):
                log(f"{one.dataset} {one.version}: {note}")
        check_out(repository)
        git(repository, *PACK_IF_MANY)
    return changes


@contextlib.contextmanager
def changing(repository: Path) -> Iterator[None]:
    """Mark a repository as being changed, so that what a kill leaves is known to be ours.

    Raises:
        CallError: somebody else changed files in it.
    """
    unfinished = repository / NOTE / UNFINISHED
    if not unfinished.exists() and commit_of(repository, "HEAD") is not None:
        state = git(
            repository, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"
        )
        if changed := state.decode().splitlines():
            raise CallError(
                f"somebody changed files in {repository}",
                problems=[Problem("changed", one[3:], "is not as committed") for one in changed],
                untouched="nothing was changed",
                hint=f"git -C {repository} stash puts them away",
            )
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.touch()
    yield
    unfinished.unlink()


def _keyed(repository: Path, descriptor: Descriptor, hashes: Hashes) -> list[Keyed]:
    """Return the files of a version; hashes that were found once are kept for the next time."""
    entries = tuple(descriptor.manifest or ())
    if all(entry.hash.startswith(f"{STRONG}:") for entry in entries):
        return keyed(repository, entries)
    note = repository / NOTE / f"hashes-{descriptor.version}.json"
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    found = before | hashes(descriptor)
    if found != before:
        write_atomically(note, json.dumps(found, indent=1) + "\n")
    return keyed(repository, entries, found)


def _identifier(repository: Path) -> str:
    """Return DataLad's id of a dataset that has a version already, which stays, or nothing."""
    if commit_of(repository, MAIN) is None:
        return ""
    name = ("--get", "datalad.dataset.id")
    return git(repository, "config", "--blob", f"{MAIN}:{CONFIG_NAME}", *name).decode().strip()


def _commit(
    repository: Path, descriptor: Descriptor, files: Sequence[Keyed], identifier: str
) -> list[str]:
    """Commit and tag a version that is not there, or what is told of the newest one anew."""
    version = descriptor.version
    is_there = git_succeeds(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}")
    tags = git(repository, "tag", "--list").decode().split()
    is_newest = all(version_key(tag) <= version_key(version) for tag in tags)
    if is_there and not is_newest:
        return []
    tree = Tree(
        metadata_files(descriptor, files, identifier=identifier),
        {one.entry.path: one.link for one in files},
    )
    commit, is_new = write_commit(
        repository,
        tree,
        f"{descriptor.dataset} {version}\n\n{descriptor.title}\n",
        seconds=seconds_of(descriptor.document["created"]),
        tag="" if is_there else version,
    )
    if is_newest and is_new:
        git(repository, "update-ref", MAIN, commit)
    if not is_new:
        return []
    return ["what is told of it" if is_there else f"version {version}: {len(files)} files"]


def _refuse_another(repository: Path, descriptor: Descriptor) -> None:
    """Raise if the version that is there has other files than that of the registry."""
    before = _tagged_manifest(repository, descriptor.version)
    now = descriptor.manifest
    if before is None or now is None or before == now:
        return
    old, new = before.by_path, now.by_path
    changed = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    raise DescriptorError(
        f"{descriptor.dataset} {descriptor.version} of the mirror has other files than that of "
        "the registry; a published version never changes",
        problems=[Problem("changed", path, "differs") for path in changed],
        untouched="the mirror was not changed",
        hint="give the changed files a new version",
    )


def _tagged_manifest(repository: Path, version: str) -> Manifest | None:
    for folder in ("", FOLDER):
        try:
            text = git(repository, "show", f"refs/tags/{version}:{folder}{MANIFEST_NAME}")
        except ProgramError:
            continue
        return parse_manifest(text.decode())
    return None

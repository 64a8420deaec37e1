"""A folder that is a DataLad superdataset of a registry: one subdataset for each dataset.

Each subdataset comes to its place whole; the superdataset's commit, which names their commits, is
written last. What was killed goes on with the same command.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sciml_data.errors import CallError, LockedError
from sciml_data.home import write_atomically
from sciml_data.integrations.datalad.addresses import NOTE
from sciml_data.integrations.datalad.commit import MAIN, Tree, check_out, commit_of, write_commit
from sciml_data.integrations.datalad.content import (
    CONFIG_NAME,
    FOLDER,
    Summary,
    dataset_config,
    super_readme,
)
from sciml_data.integrations.datalad.subdataset import (
    MAKING,
    Hashes,
    Log,
    bring_up,
    changing,
    make_subdataset,
)
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, MANIFEST_NAME, Descriptor
from sciml_data.registry.layout import version_key
from sciml_data.registry.manifest import read_manifest
from sciml_data.transfer.protocols.annex import git, require_programs

ID_NAME = "superdataset"  # of our notes: DataLad's id of the superdataset; marks a mirror

Versions = Mapping[str, Sequence[Descriptor]]  # of each dataset, the oldest first


def no_hashes(_: Descriptor) -> dict[str, str]:
    """Return no hash: files are known by the manifest alone."""
    return {}


def create(
    root: Path, versions: Versions, *, hashes: Hashes = no_hashes, log: Log = lambda _: None
) -> list[str]:
    """Make a mirror of these versions in a folder that is empty, or is not there.

    Where an earlier call was killed, it goes on.

    Args:
        root: of the superdataset.
        versions: of each dataset, the oldest first.
        hashes: gives sha256 of files, by path, that the manifest has other hashes of.
        log: is told what goes on.

    Returns:
        What was made, in sentences.

    Raises:
        CallError: git or git-annex is missing, or the folder is somebody else's or finished.
        ProgramError: git or git-annex failed.
    """
    require_programs("git", "git-annex")
    if is_mirror(root):
        if commit_of(root, MAIN) is not None:
            raise CallError(
                f"{root} is a mirror already",
                untouched="nothing was changed",
                hint=f"sciml-data mirror update {root} brings it up to the registry",
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CallError(
            f"{root} is no empty folder", untouched="nothing was changed", hint="name a new folder"
        )
    else:
        root.mkdir(parents=True, exist_ok=True)
        git(root, "init", "--quiet", "--initial-branch=main")
        write_atomically(root / NOTE / ID_NAME, f"{uuid.uuid4()}\n")
    return _bring_all(root, versions, hashes, log)


def update(
    root: Path, versions: Versions, *, hashes: Hashes = no_hashes, log: Log = lambda _: None
) -> list[str]:
    """Bring a mirror up to these versions; datasets that it lacks are added.

    Returns:
        What changed, in sentences; nothing where the mirror is as the registry says.

    Raises:
        CallError: the folder is no mirror, or somebody changed files in it.
        DescriptorError: a version that is there is another one in the registry.
        ProgramError: git or git-annex failed.
    """
    require_programs("git", "git-annex")
    refuse_foreign(root)
    return _bring_all(root, versions, hashes, log)


def is_mirror(root: Path) -> bool:
    """Return whether a folder is a mirror that `create` began."""
    return (root / NOTE / ID_NAME).is_file()


def refuse_foreign(root: Path) -> None:
    """Raise CallError unless a folder is a mirror."""
    if not is_mirror(root):
        raise CallError(
            f"{root} is no mirror of a registry",
            untouched="nothing was changed",
            hint=f"sciml-data mirror create {root}",
        )


def datasets_of(root: Path) -> list[str]:
    """Return the ids of the datasets that a mirror has, sorted."""
    return sorted(
        path.name for path in root.iterdir() if path.name[0] != "." and (path / ".git").is_dir()
    )


def repository_id(repository: Path) -> str:
    """Return DataLad's id of a mirror's superdataset, or of one of its datasets."""
    if is_mirror(repository):
        return (repository / NOTE / ID_NAME).read_text(encoding="utf-8").strip()
    name = "datalad.dataset.id"
    return git(repository, "config", "--file", CONFIG_NAME, name).decode().strip()


def _bring_all(root: Path, versions: Versions, hashes: Hashes, log: Log) -> list[str]:
    changes: list[str] = []
    with _lock(root), changing(root):
        for name, found in versions.items():
            if (root / name).exists():
                changes += [f"{name}: {one}" for one in bring_up(root / name, found, hashes, log)]
            else:
                log(f"{name}: {', '.join(one.version for one in found)}")
                make_subdataset(root, found, hashes, log)
                changes.append(f"{name}: made, {', '.join(one.version for one in found)}")
        shutil.rmtree(root / NOTE / MAKING, ignore_errors=True)
        if _commit(root):
            changes.append("superdataset: committed")
    return changes


def _commit(root: Path) -> bool:
    """Commit what the superdataset holds, and return whether that is anything new."""
    names = datasets_of(root)
    modules = "".join(
        f'[submodule "{name}"]\n\tpath = {name}\n\turl = ../{name}.git\n'
        f"\tdatalad-id = {repository_id(root / name)}\n"
        for name in names
    )
    tree = Tree(
        {
            ".gitmodules": modules.encode(),
            ".gitattributes": b"** annex.largefiles=nothing\n",
            CONFIG_NAME: dataset_config(repository_id(root)).encode(),
            "README.md": super_readme([_summary(root / name) for name in names]).encode(),
        },
        repositories={name: commit_of(root / name, MAIN) or "" for name in names},
    )
    seconds = max(int(git(root / name, "log", "-1", "--format=%ct", MAIN)) for name in names)
    commit, is_new = write_commit(root, tree, "Datasets of the registry\n", seconds=seconds)
    if is_new:
        git(root, "update-ref", MAIN, commit)
    check_out(root)
    return is_new


def _summary(repository: Path) -> Summary:
    folder = repository / (FOLDER if (repository / FOLDER / DESCRIPTOR_NAME).is_file() else "")
    document = json.loads((folder / DESCRIPTOR_NAME).read_text(encoding="utf-8"))
    tags = git(repository, "tag", "--list").decode().split()
    return Summary(
        repository.name,
        tuple(sorted(tags, key=version_key)),
        len(read_manifest(folder / MANIFEST_NAME)),
        document["title"],
    )


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    import filelock

    try:
        with filelock.FileLock(root / NOTE / "lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise LockedError(
            f"another process works in {root}",
            untouched="nothing was changed",
            hint="wait for it to end",
        ) from error

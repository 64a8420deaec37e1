"""A mirror: a DataLad superdataset of a registry, with a subdataset for each dataset.

In a subdataset the versions are tags, and the files are keys with addresses. Each subdataset is
made in a temporary folder and renamed when it is complete. The superdataset's commit, which names
the commits of the subdatasets, is written last. An interrupted command is resumed by the same
command.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sciml_data.errors import CallError, DescriptorError, LockedError, Problem
from sciml_data.home import Home, read_json, write_atomically
from sciml_data.integrations.datalad.annex import (
    STATE_FOLDER,
    STRONG,
    AnnexFile,
    annex_files,
    file_addresses,
    register_addresses,
    set_remotes,
    web_remotes,
)
from sciml_data.integrations.datalad.repository import (
    CONFIG_NAME,
    FOLDER,
    MAIN,
    Summary,
    Tree,
    check_out,
    commit_of,
    dataset_config,
    dataset_id,
    metadata_files,
    seconds_of,
    super_readme,
    weak_note,
    write_commit,
)
from sciml_data.progress import Log, counted
from sciml_data.registry.descriptor import (
    DESCRIPTOR_NAME,
    MANIFEST_NAME,
    Descriptor,
    load_descriptor,
)
from sciml_data.registry.layout import Registry, version_key
from sciml_data.registry.manifest import Manifest, lstat_inside, parse_manifest, read_manifest
from sciml_data.transfer.download.partial_file import hashes_like
from sciml_data.transfer.protocols.annex import ProgramError, git, git_succeeds, require_programs

logger = logging.getLogger(__name__)

# In STATE_FOLDER. The first has DataLad's id of the superdataset, and marks a mirror.
ID_NAME = "superdataset"
MAKING = "making"  # datasets that are not complete yet
UNFINISHED = "unfinished"  # the repository is being changed, or the command was interrupted
# 20,000 files leave 44,000 loose objects of 180 MB; packed they take 12 MB. 6,700 is git's default.
PACK_IF_MANY = (
    "-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet",
)  # fmt: skip

Versions = Mapping[str, Sequence[Descriptor]]  # of each dataset, the oldest first
# Returns path -> sha256 of files of a version that have another kind of hash in the manifest.
HashLookup = Callable[[Descriptor], dict[str, str]]


def select_versions(
    registry: Registry, datasets: Sequence[str], version: str | None, log: Log
) -> dict[str, list[Descriptor]]:
    """Return the pinned versions of each dataset, the oldest first.

    Args:
        registry: of the datasets.
        datasets: ids; an empty list selects all, and unpinned versions are logged.
        version: version of each dataset; None selects all pinned versions.
        log: gets the unpinned versions that were not selected.

    Raises:
        CallError: a given dataset is unknown or has no pinned version, or nothing is selected.
    """
    selected: dict[str, list[Descriptor]] = {}
    unpinned: list[str] = []
    for dataset in datasets or registry.datasets():
        if version is not None and not datasets and version not in registry.versions(dataset):
            continue
        names = [version] if version is not None else registry.versions(dataset)
        descriptors = [load_descriptor(registry, dataset, name) for name in names]
        pinned = [d for d in descriptors if d.is_pinned and d.manifest is not None]
        if pinned:
            selected[dataset] = pinned
        else:
            unpinned += [f"{d.dataset} {d.version}" for d in descriptors]
    if unpinned and (datasets or not selected):
        _refuse_unpinned(unpinned)
    if unpinned:
        log(
            f"not in the mirror, because they are not pinned: {', '.join(unpinned)}; "
            "`sciml-data pin` pins a version once all its files are fetched"
        )
    if not selected:
        raise CallError(
            f"no dataset of the registry has a version {version!r}" if version else
            "the registry has no dataset", untouched="no mirror was made"
        )  # fmt: skip
    return selected


def sha256_from_home(home: Home, log: Log) -> HashLookup:
    """Return a lookup of sha256 from files in the home.

    A file in the home is used only if its bytes also have the hash of the manifest.
    """

    def lookup(descriptor: Descriptor) -> dict[str, str]:
        root = home.dataset(descriptor.dataset, descriptor.version).native
        hashes: dict[str, str] = {}
        others = [e for e in descriptor.manifest or () if not e.hash.startswith(f"{STRONG}:")]
        for entry in others:
            if lstat_inside(root, entry.path) is None:
                continue
            same_kind, sha256 = hashes_like(root / entry.path, (entry.hash, f"{STRONG}:"))
            if same_kind == entry.hash:
                hashes[entry.path] = sha256
        name = f"{descriptor.dataset} {descriptor.version}"
        log(f"{name}: the home has the sha256 of {len(hashes)} of {counted(len(others), 'file')}")
        return hashes

    return lookup


def no_hashes(_: Descriptor) -> dict[str, str]:
    """Return an empty lookup: only the hashes of the manifest are used."""
    return {}


def create_mirror(
    root: Path, versions: Versions, *, hashes: HashLookup = no_hashes, log: Log = logger.info
) -> list[str]:
    """Make a mirror in an empty or new folder, or resume an interrupted call.

    Args:
        root: folder of the superdataset.
        versions: of each dataset, the oldest first.
        hashes: gives sha256 of files that have another kind of hash in the manifest.
        log: gets a line for each step.

    Returns:
        A sentence for each change.

    Raises:
        CallError: git or git-annex is missing, or the folder is not empty or a finished mirror.
        ProgramError: git or git-annex failed.
    """
    require_programs("git", "git-annex")
    if is_mirror(root):
        if commit_of(root, MAIN) is not None:
            raise CallError(
                f"{root} is a mirror already",
                untouched="nothing was changed",
                hint=f"sciml-data mirror update {root}",
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CallError(
            f"{root} is not an empty folder",
            untouched="nothing was changed",
            hint="use a new folder",
        )
    else:
        root.mkdir(parents=True, exist_ok=True)
        git(root, "init", "--quiet", "--initial-branch=main")
        write_atomically(root / STATE_FOLDER / ID_NAME, f"{uuid.uuid4()}\n")
    return _update_all(root, versions, hashes, log)


def update_mirror(
    root: Path, versions: Versions, *, hashes: HashLookup = no_hashes, log: Log = logger.info
) -> list[str]:
    """Update a mirror to these versions, and add datasets that are not in it.

    Args:
        root: folder of the superdataset.
        versions: of each dataset, the oldest first.
        hashes: gives sha256 of files that have another kind of hash in the manifest.
        log: gets a line for each step.

    Returns:
        A sentence for each change; an empty list if the mirror is up to date.

    Raises:
        CallError: the folder is not a mirror, or somebody changed files in it.
        DescriptorError: a version of the mirror differs from that of the registry.
        ProgramError: git or git-annex failed.
    """
    require_programs("git", "git-annex")
    check_is_mirror(root)
    return _update_all(root, versions, hashes, log)


def is_mirror(root: Path) -> bool:
    """Return whether a folder is a mirror, complete or not."""
    return (root / STATE_FOLDER / ID_NAME).is_file()


def check_is_mirror(root: Path) -> None:
    """Raise CallError unless a folder is a mirror."""
    if not is_mirror(root):
        raise CallError(
            f"{root} is not a mirror of a registry",
            untouched="nothing was changed",
            hint=f"sciml-data mirror create {root}",
        )


def mirror_datasets(root: Path) -> list[str]:
    """Return the ids of the datasets in a mirror, sorted."""
    return sorted(
        path.name for path in root.iterdir() if path.name[0] != "." and (path / ".git").is_dir()
    )


def repository_id(repository: Path) -> str:
    """Return DataLad's id of a mirror's superdataset, or of one of its datasets."""
    if is_mirror(repository):
        return (repository / STATE_FOLDER / ID_NAME).read_text(encoding="utf-8").strip()
    name = "datalad.dataset.id"
    return git(repository, "config", "--file", CONFIG_NAME, name).decode().strip()


def _update_all(root: Path, versions: Versions, hashes: HashLookup, log: Log) -> list[str]:
    changes: list[str] = []
    with _lock(root), _mark_unfinished(root):
        for name, descriptors in versions.items():
            if (root / name).exists():
                updates = _update_dataset(root / name, descriptors, hashes, log)
                changes += [f"{name}: {update}" for update in updates]
            else:
                names = ", ".join(descriptor.version for descriptor in descriptors)
                log(f"{name}: {names}")
                _make_dataset(root, descriptors, hashes, log)
                changes.append(f"{name}: made, {names}")
        shutil.rmtree(root / STATE_FOLDER / MAKING, ignore_errors=True)
        if _commit_superdataset(root):
            changes.append("superdataset: committed")
    return changes


def _make_dataset(root: Path, versions: Sequence[Descriptor], hashes: HashLookup, log: Log) -> None:
    """Make `root/DATASET`, complete or not at all."""
    name = versions[0].dataset
    making = root / STATE_FOLDER / MAKING
    making.mkdir(exist_ok=True)
    # A new name each time: git-annex of an interrupted command may still write into the last one.
    partial = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=making))
    partial.chmod(making.stat().st_mode)
    git(partial, "init", "--quiet", "--initial-branch=main")
    git(partial, "annex", "init", "--quiet", f"sciml-data mirror of {name}")
    _update_dataset(partial, versions, hashes, log)
    partial.rename(root / name)


def _update_dataset(
    repository: Path, versions: Sequence[Descriptor], hashes: HashLookup, log: Log
) -> list[str]:
    """Update a subdataset to these versions and their addresses; return a sentence per change.

    Raises:
        CallError: somebody changed files in it.
        DescriptorError: a version of the mirror differs from that of the registry.
    """
    for descriptor in versions:
        _check_same_manifest(repository, descriptor)
    with _mark_unfinished(repository):
        files = {d.version: _annex_files(repository, d, hashes) for d in versions}
        addresses = {a for d in versions for a in file_addresses(d, files[d.version])}
        changes = set_remotes(repository, web_remotes(versions[-1].mirrors))
        changes += register_addresses(repository, addresses, name=versions[0].dataset, log=log)
        identifier = _committed_id(repository) or dataset_id(versions[0])
        for descriptor in versions:
            changes += _commit_version(
                repository, descriptor, files[descriptor.version], identifier
            )
            if note := weak_note(files[descriptor.version]):
                log(f"{descriptor.dataset} {descriptor.version}: {note}")
        check_out(repository)
        git(repository, *PACK_IF_MANY)
    return changes


@contextlib.contextmanager
def _mark_unfinished(repository: Path) -> Iterator[None]:
    """Mark a repository during changes, so that leftovers of an interrupted command are known.

    Raises:
        CallError: somebody else changed files in it.
    """
    unfinished = repository / STATE_FOLDER / UNFINISHED
    if not unfinished.exists() and commit_of(repository, "HEAD") is not None:
        state = git(
            repository, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"
        )
        if changed := state.decode().splitlines():
            raise CallError(
                f"{repository} has uncommitted changes",
                problems=[Problem("changed", line[3:], "is not committed") for line in changed],
                untouched="nothing was changed",
                hint=f"git -C {repository} stash",
            )
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.touch()
    yield
    unfinished.unlink()


def _annex_files(repository: Path, descriptor: Descriptor, hashes: HashLookup) -> list[AnnexFile]:
    """Return the files of a version with their keys; looked-up hashes are stored for later."""
    entries = tuple(descriptor.manifest or ())
    if all(entry.hash.startswith(f"{STRONG}:") for entry in entries):
        return annex_files(repository, entries)
    path = repository / STATE_FOLDER / f"hashes-{descriptor.version}.json"
    stored = read_json(path) if path.is_file() else {}
    known = stored | hashes(descriptor)
    if known != stored:
        write_atomically(path, json.dumps(known, indent=1) + "\n")
    return annex_files(repository, entries, known)


def _committed_id(repository: Path) -> str:
    """Return DataLad's id of a dataset with a commit, which never changes; "" without a commit."""
    if commit_of(repository, MAIN) is None:
        return ""
    name = ("--get", "datalad.dataset.id")
    return git(repository, "config", "--blob", f"{MAIN}:{CONFIG_NAME}", *name).decode().strip()


def _commit_version(
    repository: Path, descriptor: Descriptor, files: Sequence[AnnexFile], identifier: str
) -> list[str]:
    """Commit and tag a new version, or commit the changed description of the newest version."""
    version = descriptor.version
    is_tagged = git_succeeds(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}")
    tags = git(repository, "tag", "--list").decode().split()
    is_newest = all(version_key(tag) <= version_key(version) for tag in tags)
    if is_tagged and not is_newest:
        return []
    tree = Tree(
        metadata_files(descriptor, files, identifier=identifier),
        {file.entry.path: file.link for file in files},
    )
    commit, is_new = write_commit(
        repository,
        tree,
        f"{descriptor.dataset} {version}\n\n{descriptor.title}\n",
        seconds=seconds_of(descriptor.document["created"]),
        tag="" if is_tagged else version,
    )
    if is_newest and is_new:
        git(repository, "update-ref", MAIN, commit)
    if not is_new:
        return []
    return [
        "description updated" if is_tagged else f"version {version}: {counted(len(files), 'file')}"
    ]


def _check_same_manifest(repository: Path, descriptor: Descriptor) -> None:
    """Raise an error if the tagged version has other files than the version of the registry."""
    before = _tagged_manifest(repository, descriptor.version)
    now = descriptor.manifest
    if before is None or now is None or before == now:
        return
    old, new = before.by_path, now.by_path
    changed = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    raise DescriptorError(
        f"{descriptor.dataset} {descriptor.version} has other files in the mirror than in the "
        "registry; a published version never changes",
        problems=[Problem("changed", path, "differs") for path in changed],
        untouched="the mirror was not changed",
        hint="publish the changed files as a new version",
    )


def _tagged_manifest(repository: Path, version: str) -> Manifest | None:
    for folder in ("", FOLDER):
        try:
            text = git(repository, "show", f"refs/tags/{version}:{folder}{MANIFEST_NAME}")
        except ProgramError:
            continue
        return parse_manifest(text.decode())
    return None


def _commit_superdataset(root: Path) -> bool:
    """Commit the superdataset, and return whether the commit is new."""
    names = mirror_datasets(root)
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
    document = read_json(folder / DESCRIPTOR_NAME)
    tags = git(repository, "tag", "--list").decode().split()
    return Summary(
        repository.name,
        tuple(sorted(tags, key=version_key)),
        len(read_manifest(folder / MANIFEST_NAME)),
        document["title"],
    )


def _refuse_unpinned(unpinned: Sequence[str]) -> None:
    dataset = unpinned[0].partition(" ")[0]
    raise CallError(
        f"a mirror needs pinned hashes, and {len(unpinned)} "
        f"version{'s are' if len(unpinned) > 1 else ' is'} not pinned",
        problems=[Problem("unpinned", name, "no manifest in the registry") for name in unpinned],
        untouched="no mirror was made",
        hint=f"sciml-data get {dataset}, then sciml-data pin {dataset} --registry CHECKOUT",
    )


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Lock a mirror against other processes: two of them would write the same commits."""
    import filelock

    try:
        with filelock.FileLock(root / STATE_FOLDER / "lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise LockedError(
            f"another process works in {root}",
            untouched="nothing was changed",
            hint="wait for it to end",
        ) from error

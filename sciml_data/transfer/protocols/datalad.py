"""Files of a DataLad dataset, `datalad:PLACE`: a clone on this computer, or whatever can be cloned.

    datalad:PLACE#DATASET/VERSION/PATH

PLACE is a folder, or an address that `datalad clone` takes (https://…/ID.git, ria+https://…#~ID,
ssh://…); it is the dataset itself or a superdataset that has it as DATASET. The tag VERSION says
which file PATH is, else the branch that is checked out. git-annex brings the content, from whatever
the dataset knows to have it, and holds it against its key; the stage above hashes it again.

A clone on this computer keeps what was brought, as after `datalad get`. An address is cloned into a
temporary folder, from which each file goes as soon as it was read.
"""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import tempfile
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from sciml_data.errors import SciMLDataError
from sciml_data.transfer.protocols.annex import Batch, git, is_true, need, run
from sciml_data.transfer.protocols.file import FileSource
from sciml_data.transfer.protocols.source import (
    Body,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
)

SCHEME = "datalad"
MOST_AT_ONCE = 4  # processes of git-annex, each of which fetches one file at a time
LINK, REPOSITORY = "120000", b"160000 "  # modes in a tree of git
POINTER = b"/annex/objects/"  # starts the text of an annexed file that is no link


def make_source(connections: int, timeouts: Timeouts) -> Source:  # noqa: ARG001 (protocol)
    """Return the source of `datalad:` addresses."""
    return DataladSource(min(connections, MOST_AT_ONCE))


def place_address(text: str) -> str:
    """Return `datalad:PLACE` of what a user wrote; a folder's path becomes absolute."""
    place = text.removeprefix(f"{SCHEME}:")
    is_address = "://" in place or ("@" in place and ":" in place)
    return f"{SCHEME}:{place if is_address else Path(place).expanduser().resolve()}"


def folder_of(address: str) -> Path | None:
    """Return the folder that `datalad:PLACE` names, or None where it is an address."""
    place = address.removeprefix(f"{SCHEME}:")
    return Path(place) if place.startswith("/") else None


@dataclass
class _Dataset:
    """A repository that files are asked of.

    Attributes:
        root: of the clone.
        is_own: whether the clone is ours, and what it brought need not stay.
        free: processes that nobody asks at the moment; None stands for one not started.
        trees: of each version, path -> (mode, object).
        readers: of a key's content, how many there are.
        locks: so that a key is brought once.
    """

    root: Path
    is_own: bool
    free: queue.SimpleQueue[_Bringer | None] = field(default_factory=queue.SimpleQueue)
    trees: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    readers: Counter[str] = field(default_factory=Counter)
    locks: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )


class _Bringer:
    """Two processes of git-annex: one says where a key's content lies, one brings it there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._where = Batch(root, "annex", "contentlocation", "--batch")
        self._get = Batch(root, "annex", "get", "--batch-keys", "--json", "--json-error-messages")

    def bring(self, key: str) -> Path:
        """Return where a key's content lies, brought there if need be."""
        if place := self._where.ask(key):
            return self._root / place
        answer = self._get.ask(key)
        if place := self._where.ask(key):
            return self._root / place
        said: list[str] = json.loads(answer or "{}").get("error-messages", [])
        reasons = " ".join(" ".join(said).split())
        raise SourceError(
            f"git-annex does not bring it: {reasons or 'nothing is known to have it'}"
        )

    def close(self) -> None:
        """End both."""
        self._get.close()
        self._where.close()


class DataladSource:
    """Clones that are made and read for one run."""

    def __init__(self, jobs: int) -> None:
        """Take how many files git-annex may bring at once from one dataset."""
        self._jobs = jobs
        self._datasets: dict[tuple[str, str], _Dataset | SourceError] = {}
        self._temporary: list[Path] = []
        self._lock = threading.Lock()
        self._files = FileSource()

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Let git-annex bring a file and open it at an offset; see `Source.open`."""
        place, _, rest = url.removeprefix(f"{SCHEME}:").rpartition("#")
        name, version, path = (unquote(part) for part in rest.split("/", 2))
        try:
            dataset = self._dataset(place, name)
            annexed = self._look_up(dataset, version, path)
            if isinstance(annexed, bytes):
                return _body_of(annexed, start, end)
            return self._open_key(dataset, annexed, start, end, tag)
        except SourceError:
            raise
        except SciMLDataError as error:
            raise SourceError(error.message) from error

    def close(self) -> None:
        """End git-annex, and remove our clones."""
        for dataset in self._datasets.values():
            while isinstance(dataset, _Dataset) and not dataset.free.empty():
                if bringer := dataset.free.get():
                    bringer.close()
        for folder in self._temporary:
            remove_clone(folder)

    def _dataset(self, place: str, name: str) -> _Dataset:
        """Return a dataset, cloned once where it is not on this computer; a failure is one, too."""
        with self._lock:
            if (place, name) not in self._datasets:
                try:
                    self._datasets[place, name] = self._find(place, name)
                except SciMLDataError as error:
                    self._datasets[place, name] = SourceError(error.message)
            found = self._datasets[place, name]
        if isinstance(found, SourceError):
            raise found
        return found

    def _find(self, place: str, name: str) -> _Dataset:
        need("git", "git-annex")
        folder = folder_of(place)
        if folder is not None and not is_true(folder, "rev-parse", "--git-dir"):
            raise SourceError(f"{folder} is no DataLad dataset")
        is_own = folder is None or git(folder, "rev-parse", "--is-bare-repository") == b"true\n"
        root = self._clone(place) if folder is None or is_own else folder
        if git(root, "ls-tree", "HEAD", name).startswith(REPOSITORY):
            if not (root / name / ".git").exists():
                need("datalad")
                run(["datalad", "-l", "error", "get", "-n", name], root)
            root /= name
        if not is_true(root, "config", "--get", "annex.uuid") and _has_annex(root):
            git(root, "annex", "init", "--quiet")  # once: several processes would do it at once
        dataset = _Dataset(root, is_own)
        for _ in range(self._jobs):
            dataset.free.put(None)
        return dataset

    def _clone(self, place: str) -> Path:
        need("datalad")
        folder = Path(tempfile.mkdtemp(prefix="sciml-data-clone-"))
        self._temporary.append(folder)
        run(["datalad", "-l", "error", "clone", place, "clone"], folder)
        return folder / "clone"

    def _look_up(self, dataset: _Dataset, version: str, path: str) -> str | bytes:
        """Return the key of a file, or its content where git itself has it."""
        with self._lock:
            if version not in dataset.trees:
                dataset.trees[version] = _tree(dataset.root, version)
        if path not in dataset.trees[version]:
            raise SourceError(f"no such file in {dataset.root.name}, version {version}")
        mode, name = dataset.trees[version][path]
        content = git(dataset.root, "cat-file", "blob", name)
        if mode == LINK or content.startswith(POINTER):
            return content.decode().split("\n")[0].rpartition("/")[2]
        return content

    def _open_key(
        self, dataset: _Dataset, key: str, start: int, end: int | None, tag: str | None
    ) -> Body:
        with self._lock:
            lock = dataset.locks[key]
        with lock:
            bringer = dataset.free.get()
            try:
                bringer = bringer or _Bringer(dataset.root)
                content = bringer.bring(key)
            finally:
                dataset.free.put(bringer)
            body = self._files.open(content.absolute().as_uri(), start=start, end=end, tag=tag)
            dataset.readers[key] += 1

        def close() -> None:
            body.close()
            with lock:
                dataset.readers[key] -= 1
                if dataset.is_own and dataset.readers[key] == 0:
                    content.parent.chmod(0o700)  # git-annex takes the right to write away
                    content.unlink()

        return replace(body, close=close)


def remove_clone(folder: Path) -> None:
    """Remove a clone, folders that may not be written among it."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            if not (path := Path(place, name)).is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _has_annex(root: Path) -> bool:
    references = git(root, "for-each-ref", "--format=%(refname)").decode().split()
    return any(one.endswith("/git-annex") for one in references)


def _tree(root: Path, version: str) -> dict[str, tuple[str, str]]:
    """Return path -> (mode, object) of a version, of what is checked out where it has no tag."""
    tag = f"refs/tags/{version}"
    which = tag if is_true(root, "rev-parse", "--verify", "--quiet", tag) else "HEAD"
    listed = git(root, "ls-tree", "-r", "-z", "--full-tree", which).decode().split("\0")
    rows = (row.split("\t", 1) for row in listed if row)
    return {path: (said.split()[0], said.split()[2]) for said, path in rows}


def _body_of(content: bytes, start: int, end: int | None) -> Body:
    """Return a body of bytes that are here."""
    if start > len(content):
        raise RangeRefusedError(f"it has {len(content)} bytes")
    stop = len(content) if end is None else min(end, len(content))
    stream = io.BytesIO(content[start:stop])
    return Body(start, len(content), None, stream.read, stream.close, stop)

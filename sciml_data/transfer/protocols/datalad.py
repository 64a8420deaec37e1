"""Files of a DataLad dataset, `datalad:PLACE`: a clone on this computer, or an address to clone.

    datalad:PLACE#DATASET/VERSION/PATH

PLACE is a folder, or an address for `datalad clone` (https://…/ID.git, ria+https://…#~ID,
ssh://…). It is the dataset itself, or a superdataset that contains it as DATASET. PATH is the file
at the tag VERSION, or on the current branch if there is no such tag. git-annex fetches the content
from any place that the dataset knows, and checks it against its key; `transfer.download` hashes it
again.

A clone on this computer keeps the fetched files, as after `datalad get`. An address is cloned into
a temporary folder, from which each file is deleted as soon as it was read.
"""

from __future__ import annotations

import io
import json
import os
import queue
import re
import shutil
import tempfile
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from sciml_data.errors import SciMLDataError, redacted
from sciml_data.transfer.protocols.annex import Batch, git, git_succeeds, require_programs, run
from sciml_data.transfer.protocols.file import FileSource
from sciml_data.transfer.protocols.source import (
    Body,
    NoMirrorError,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
)

SCHEME = "datalad"
MAX_PROCESSES = 4  # of git-annex; each of them fetches one file at a time
LINK, SUBMODULE = "120000", b"160000 "  # file modes in a git tree
# Of git, in the output of datalad, which quotes it among commands and folders.
FATAL = re.compile(r"fatal: (.+?)(?:\s*'?\]|\n|\\n|$)")
POINTER = b"/annex/objects/"  # start of an unlocked annexed file's blob


def make_source(connections: int, timeouts: Timeouts) -> Source:  # noqa: ARG001 (protocol)
    """Return the source of `datalad:` addresses."""
    return DataladSource(min(connections, MAX_PROCESSES))


def place_address(text: str) -> str:
    """Return `datalad:PLACE` for a user's text; the path of a folder becomes absolute.

    Raises:
        CallError: the address is not valid.
    """
    place = text.removeprefix(f"{SCHEME}:")
    if "://" in place:
        from sciml_data.transfer.protocols.credentials import take_credentials

        return f"{SCHEME}:{take_credentials(place)}"
    is_address = "@" in place and ":" in place
    return f"{SCHEME}:{place if is_address else Path(place).expanduser().resolve()}"


def folder_of(address: str) -> Path | None:
    """Return the folder in `datalad:PLACE`, or None if it is an address."""
    place = address.removeprefix(f"{SCHEME}:")
    return Path(place) if place.startswith("/") else None


@dataclass
class _Dataset:
    """A clone from which files are read.

    Attributes:
        root: folder of the clone.
        is_temporary: whether the clone is ours, and its files are deleted after reading.
        free: fetchers that are not in use; None stands for one that was not started yet.
        trees: path -> (mode, object) of each version.
        readers: number of open files of each key; the content is deleted after the last.
        locks: one for each key, so that two threads do not fetch it at the same time.
    """

    root: Path
    is_temporary: bool
    free: queue.SimpleQueue[_Fetcher | None] = field(default_factory=queue.SimpleQueue)
    trees: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    readers: Counter[str] = field(default_factory=Counter)
    locks: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )


class _Fetcher:
    """Two processes of git-annex: one finds the content of a key, the other fetches it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._where = Batch(root, "annex", "contentlocation", "--batch")
        self._get = Batch(root, "annex", "get", "--batch-keys", "--json", "--json-error-messages")

    def fetch(self, key: str) -> Path:
        """Return the path of a key's content, after fetching it if necessary."""
        if place := self._where.ask(key):
            return self._root / place
        answer = self._get.ask(key)
        if place := self._where.ask(key):
            return self._root / place
        messages: list[str] = json.loads(answer or "{}").get("error-messages", [])
        reasons = redacted(" ".join(" ".join(messages).split()))
        raise SourceError(f"git-annex cannot fetch it: {reasons or 'no known place has it'}")

    def close(self) -> None:
        """End both processes."""
        self._get.close()
        self._where.close()


class DataladSource:
    """The clones of one run."""

    def __init__(self, jobs: int) -> None:
        """Take the number of files that git-annex fetches at once from one dataset."""
        self._jobs = jobs
        self._datasets: dict[tuple[str, str], _Dataset | SourceError] = {}
        self._temporary: list[Path] = []
        # Guards the clones and their trees. It is held while a dataset is cloned: other threads
        # need the same clone and would have to wait for it anyway.
        self._lock = threading.Lock()
        self._files = FileSource()

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Let git-annex fetch a file, and open it at an offset; see `Source.open`."""
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
        """End git-annex, and remove temporary clones."""
        for dataset in self._datasets.values():
            while isinstance(dataset, _Dataset) and not dataset.free.empty():
                if fetcher := dataset.free.get():
                    fetcher.close()
        for folder in self._temporary:
            remove_clone(folder)

    def _dataset(self, place: str, name: str) -> _Dataset:
        """Return a dataset, cloned once if it is not on this computer; a failure is kept."""
        with self._lock:
            if (place, name) not in self._datasets:
                try:
                    self._datasets[place, name] = self._find(place, name)
                except SciMLDataError as error:
                    self._datasets[place, name] = NoMirrorError(_reason(error.message))
            dataset = self._datasets[place, name]
        if isinstance(dataset, SourceError):
            raise dataset
        return dataset

    def _find(self, place: str, name: str) -> _Dataset:
        require_programs("git", "git-annex")
        folder = folder_of(place)
        if folder is not None and not git_succeeds(folder, "rev-parse", "--git-dir"):
            raise SourceError(f"{folder} is not a DataLad dataset")
        is_temporary = (
            folder is None or git(folder, "rev-parse", "--is-bare-repository") == b"true\n"
        )
        root = self._clone(place) if folder is None or is_temporary else folder
        if git(root, "ls-tree", "HEAD", name).startswith(SUBMODULE):
            if not (root / name / ".git").exists():
                require_programs("datalad")
                run(["datalad", "-l", "error", "get", "-n", name], root)
            root /= name
        if not git_succeeds(root, "config", "--get", "annex.uuid") and _has_annex(root):
            git(root, "annex", "init", "--quiet")  # now, or each process would do it at once
        dataset = _Dataset(root, is_temporary)
        for _ in range(self._jobs):
            dataset.free.put(None)
        return dataset

    def _clone(self, place: str) -> Path:
        from sciml_data.transfer.protocols.credentials import with_credentials

        require_programs("datalad")
        folder = Path(tempfile.mkdtemp(prefix="sciml-data-clone-"))
        self._temporary.append(folder)
        run(["datalad", "-l", "error", "clone", with_credentials(place), "clone"], folder)
        return folder / "clone"

    def _look_up(self, dataset: _Dataset, version: str, path: str) -> str | bytes:
        """Return the key of a file, or its content if it is stored in git itself."""
        with self._lock:
            if version not in dataset.trees:
                dataset.trees[version] = _tree(dataset.root, version)
        if path not in dataset.trees[version]:
            raise SourceError(f"no such file in {dataset.root.name}, version {version}")
        mode, name = dataset.trees[version][path]
        content = git(dataset.root, "cat-file", "blob", name)
        if mode == LINK or content.startswith(POINTER):
            return os.fsdecode(content).split("\n")[0].rpartition("/")[2]
        return content

    def _open_key(
        self, dataset: _Dataset, key: str, start: int, end: int | None, tag: str | None
    ) -> Body:
        with self._lock:
            lock = dataset.locks[key]
        with lock:
            fetcher = dataset.free.get()
            try:
                fetcher = fetcher or _Fetcher(dataset.root)
                content = fetcher.fetch(key)
            finally:
                dataset.free.put(fetcher)
            body = self._files.open(content.absolute().as_uri(), start=start, end=end, tag=tag)
            dataset.readers[key] += 1

        def close() -> None:
            body.close()
            with lock:
                dataset.readers[key] -= 1
                if dataset.is_temporary and dataset.readers[key] == 0:
                    content.parent.chmod(0o700)  # git-annex makes it read-only
                    content.unlink()

        return replace(body, close=close)


def _reason(message: str) -> str:
    """Return why a clone failed: the reason that git gives, without the commands around it."""
    fatal = FATAL.search(message)
    return f"it cannot be cloned: {fatal[1]}" if fatal else message


def remove_clone(folder: Path) -> None:
    """Remove a clone, including its read-only folders."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            if not (path := Path(place, name)).is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _has_annex(root: Path) -> bool:
    references = git(root, "for-each-ref", "--format=%(refname)").decode().split()
    return any(reference.endswith("/git-annex") for reference in references)


def _tree(root: Path, version: str) -> dict[str, tuple[str, str]]:
    """Return path -> (mode, object) at the tag of a version, or at HEAD if there is no such tag."""
    tag = f"refs/tags/{version}"
    which = tag if git_succeeds(root, "rev-parse", "--verify", "--quiet", tag) else "HEAD"
    # Names in a repository are bytes of any encoding.
    lines = os.fsdecode(git(root, "ls-tree", "-r", "-z", "--full-tree", which)).split("\0")
    rows = (line.split("\t", 1) for line in lines if line)
    return {path: (entry.split()[0], entry.split()[2]) for entry, path in rows}


def _body_of(content: bytes, start: int, end: int | None) -> Body:
    """Return a body with bytes from the memory."""
    if start > len(content):
        raise RangeRefusedError(f"it has {len(content)} bytes")
    stop = len(content) if end is None else min(end, len(content))
    stream = io.BytesIO(content[start:stop])
    return Body(start, len(content), None, stream.read, stream.close, stop)

"""Windows on disk: each complete and with its hash, so that an interrupted fetch can be resumed.

<folder>/partial/comcat/<window>.csv   as the service sent it, until the period is complete
<folder>/native/comcat/<window>.csv    the same file, when the period is complete
<folder>/windows/<window>.json         its URL, time of retrieval, number of events, size and sha256

The JSON is written after the CSV: a window counts only with both. A window without events has no
CSV.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sciml_data.errors import CallError, NoSpaceError, full_disk
from sciml_data.home import DatasetFolder, publish, write_atomically
from sciml_data.registry.manifest import Entry, Manifest, hash_file
from sciml_data.transfer.protocols.fdsn.windows import Window, read_time

WINDOW_NAME = re.compile(r"\d{8}T\d{6}Z_\d{8}T\d{6}Z")
FOLDER = "comcat"  # in native/: the format reader expects the CSV files there


@dataclass(frozen=True)
class StoredWindow:
    """A finished window: what the service sent for it, and when.

    Attributes:
        window: the period.
        events: number of events.
        size_bytes: of the CSV.
        sha256: of the CSV, as `sha256:HEX`.
        url: of the query.
        retrieved: time of the query, UTC.
        path: of the CSV; None if the window has no events.
    """

    window: Window
    events: int
    size_bytes: int
    sha256: str
    url: str
    retrieved: datetime
    path: Path | None

    def as_json(self) -> dict[str, str | int]:
        """Return the window's entry in its JSON, and in the summary of the period."""
        return {
            "window": self.window.name,
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "events": self.events,
            "bytes": self.size_bytes,
            "hash": self.sha256,
            "url": self.url,
            "retrieved": self.retrieved.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True)
class WindowStore:
    """The windows in one dataset's folder that were fetched with the same `parameters`."""

    folder: DatasetFolder
    parameters: Mapping[str, str]
    log: Callable[[str], None]

    def load(self) -> list[StoredWindow]:
        """Return every finished window whose file still has its sha256.

        A window whose file is missing or changed is forgotten; a changed file is moved to
        quarantine.
        """
        for leftover in (self.folder.partial / FOLDER).glob(".*"):  # of a process that was killed
            leftover.unlink()
        windows = (self._read(path) for path in sorted(self._sidecars.glob("[!.]*.json")))
        return [window for window in windows if window is not None]

    def put(
        self, window: Window, body: bytes, *, events: int, url: str, at: datetime
    ) -> StoredWindow:
        """Store the body of a window's answer.

        Args:
            window: the period.
            body: CSV; only stored if there are events.
            events: number of events.
            url: of the query.
            at: time of the query, UTC.

        Raises:
            NoSpaceError: the disk is full.
        """
        content = body if events else b""
        path = self.folder.partial / FOLDER / f"{window.name}.csv" if events else None
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        stored = StoredWindow(window, events, len(content), digest, url, at, path)
        sidecar = {**stored.as_json(), "parameters": dict(self.parameters)}
        with _no_space_error(self.folder.root):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}")
                temporary.write_bytes(content)
                publish(temporary, path)
            text = json.dumps(sidecar, indent=1) + "\n"
            write_atomically(self._sidecars / f"{window.name}.json", text)
        return stored

    def drop(self, stored: StoredWindow) -> None:
        """Forget a window; its published file stays until the period is published again."""
        name = stored.window.name
        (self._sidecars / f"{name}.json").unlink(missing_ok=True)
        (self.folder.partial / FOLDER / f"{name}.csv").unlink(missing_ok=True)

    def publish(self, windows: Iterable[StoredWindow]) -> Manifest:
        """Move these windows, and no others, to native/, and return their manifest.

        Windows of other periods go back to partial/, for later use. The file of a window that was
        dropped is deleted, because newer windows have its events.
        """
        native = self.folder.native / FOLDER
        with_events = {stored.window.name: stored for stored in windows if stored.path is not None}
        native.mkdir(parents=True, exist_ok=True)
        for path in sorted(native.glob("*.csv")):
            if path.stem in with_events or not WINDOW_NAME.fullmatch(path.stem):
                continue
            if (self._sidecars / f"{path.stem}.json").is_file():
                publish(path, self.folder.partial / FOLDER / path.name)
            else:
                path.unlink()
        for name, stored in with_events.items():
            if stored.path is not None and stored.path.parent != native:
                publish(stored.path, native / f"{name}.csv")
        return Manifest(
            tuple(
                Entry(f"{FOLDER}/{name}.csv", stored.size_bytes, stored.sha256)
                for name, stored in sorted(with_events.items())
            )
        )

    @property
    def _sidecars(self) -> Path:
        return self.folder.root / "windows"

    def _read(self, sidecar: Path) -> StoredWindow | None:
        try:
            entry = json.loads(sidecar.read_text(encoding="utf-8"))
            window = Window(read_time(entry["start"], "start"), read_time(entry["end"], "end"))
            retrieved = read_time(entry["retrieved"], "retrieved")
            events, size_bytes, digest = int(entry["events"]), int(entry["bytes"]), entry["hash"]
            url, parameters = str(entry["url"]), entry["parameters"]
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError, CallError):
            self.log(f"{sidecar.name} cannot be read; its window is fetched again")
            sidecar.unlink()
            return None
        if parameters != dict(self.parameters) or window.name != sidecar.stem:
            return None
        path = self._find(window.name, digest) if events else None
        if events and path is None:
            self.log(f"window {window}: its file is missing or changed; it is fetched again")
            sidecar.unlink()
            return None
        return StoredWindow(window, events, size_bytes, digest, url, retrieved, path)

    def _find(self, name: str, digest: str) -> Path | None:
        for place in (self.folder.partial, self.folder.native):
            path = place / FOLDER / f"{name}.csv"
            if path.is_file() and hash_file(path) == digest:
                return path
            if path.is_file() and place == self.folder.partial:
                publish(path, self.folder.quarantine / FOLDER / path.name)
        return None


@contextmanager
def _no_space_error(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not (reason := full_disk(error)):
            raise
        raise NoSpaceError(
            f"{reason} in {root}",
            untouched="finished windows are kept",
            hint="make room, and run the same command again; it resumes",
        ) from error

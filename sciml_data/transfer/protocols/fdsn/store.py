"""Windows on disk: each whole and provable, so that a fetch cut anywhere goes on where it was.

<folder>/partial/comcat/<window>.csv   as the service sent it, while the period is not complete
<folder>/native/comcat/<window>.csv    the same file, once the period is
<folder>/windows/<window>.json         its URL, time of retrieval, number of events, size and sha256

The JSON is written after the CSV: a window counts only with both. One without events has no CSV.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sciml_data.errors import CallError, NoSpaceError
from sciml_data.home import DatasetFolder, publish, write_atomically
from sciml_data.registry.manifest import Entry, Manifest, hash_file
from sciml_data.transfer.protocols.fdsn.windows import Window, read_time

WINDOW_NAME = re.compile(r"\d{8}T\d{6}Z_\d{8}T\d{6}Z")
FOLDER = "comcat"  # of native/, where the reader looks for the service's CSV files


@dataclass(frozen=True)
class Held:
    """A finished window: what the service sent for it, and when.

    `path` is where its CSV lies now; None where the window has no events.
    """

    window: Window
    events: int
    size_bytes: int
    sha256: str
    url: str
    retrieved: datetime
    path: Path | None

    def as_json(self) -> dict[str, str | int]:
        """Return what stands in the window's JSON, and in the list of the whole period."""
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
    """The windows in one dataset's folder that were asked for with the same `parameters`."""

    folder: DatasetFolder
    parameters: Mapping[str, str]
    log: Callable[[str], None]

    def held(self) -> list[Held]:
        """Return every finished window whose bytes still have their sha256.

        A window that lost its file, or whose file changed, is forgotten; the file is set aside in
        quarantine.
        """
        for leftover in (self.folder.partial / FOLDER).glob(".*"):  # of a process that was killed
            leftover.unlink()
        found = []
        for sidecar in sorted(self._sidecars.glob("[!.]*.json")):
            held = self._read(sidecar)
            if held is not None:
                found.append(held)
        return found

    def put(self, window: Window, body: bytes, *, events: int, url: str, at: datetime) -> Held:
        """Keep a window's body, with where it came from and the time `at` which it did.

        Raises:
            NoSpaceError: the disk does not hold it.
        """
        kept = body if events else b""
        path = self.folder.partial / FOLDER / f"{window.name}.csv" if events else None
        digest = f"sha256:{hashlib.sha256(kept).hexdigest()}"
        held = Held(window, events, len(kept), digest, url, at, path)
        sidecar = {**held.as_json(), "parameters": dict(self.parameters)}
        with _full_disk_said(self.folder.root):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}")
                temporary.write_bytes(kept)
                publish(temporary, path)
            text = json.dumps(sidecar, indent=1) + "\n"
            write_atomically(self._sidecars / f"{window.name}.json", text)
        return held

    def drop(self, held: Held) -> None:
        """Forget a window; a published file of it stays until the period is published again."""
        (self._sidecars / f"{held.window.name}.json").unlink(missing_ok=True)
        (self.folder.partial / FOLDER / f"{held.window.name}.csv").unlink(missing_ok=True)

    def publish(self, windows: Iterable[Held]) -> Manifest:
        """Make native/ hold these windows and no others, and return their manifest.

        Windows of other periods go back to partial/, to be used again; a file of a window that was
        dropped goes for good, newer windows hold its events.
        """
        native = self.folder.native / FOLDER
        with_events = {held.window.name: held for held in windows if held.path is not None}
        native.mkdir(parents=True, exist_ok=True)
        for path in sorted(native.glob("*.csv")):
            if path.stem in with_events or not WINDOW_NAME.fullmatch(path.stem):
                continue
            if (self._sidecars / f"{path.stem}.json").is_file():
                publish(path, self.folder.partial / FOLDER / path.name)
            else:
                path.unlink()
        for name, held in with_events.items():
            if held.path is not None and held.path.parent != native:
                publish(held.path, native / f"{name}.csv")
        return Manifest(
            tuple(
                Entry(f"{FOLDER}/{name}.csv", held.size_bytes, held.sha256)
                for name, held in sorted(with_events.items())
            )
        )

    @property
    def _sidecars(self) -> Path:
        return self.folder.root / "windows"

    def _read(self, sidecar: Path) -> Held | None:
        try:
            found = json.loads(sidecar.read_text(encoding="utf-8"))
            window = Window(read_time(found["start"], "start"), read_time(found["end"], "end"))
            retrieved = read_time(found["retrieved"], "retrieved")
            events, size_bytes, digest = int(found["events"]), int(found["bytes"]), found["hash"]
            url, parameters = str(found["url"]), found["parameters"]
        except (ValueError, KeyError, TypeError, CallError):
            self.log(f"{sidecar.name} cannot be read; its window is asked for again")
            sidecar.unlink()
            return None
        if parameters != dict(self.parameters) or window.name != sidecar.stem:
            return None
        path = self._find(window.name, digest) if events else None
        if events and path is None:
            self.log(f"window {window}: its file is missing or changed; it is asked for again")
            sidecar.unlink()
            return None
        return Held(window, events, size_bytes, digest, url, retrieved, path)

    def _find(self, name: str, digest: str) -> Path | None:
        for place in (self.folder.partial, self.folder.native):
            path = place / FOLDER / f"{name}.csv"
            if path.is_file() and hash_file(path) == digest:
                return path
            if path.is_file() and place == self.folder.partial:
                publish(path, self.folder.quarantine / FOLDER / path.name)
        return None


@contextmanager
def _full_disk_said(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoSpaceError(
            f"the disk that holds {root} is full",
            untouched="finished windows are kept",
            hint="free some space and give the same command again",
        ) from error

"""A dataset as a `pooch.Pooch`, for code that uses Pooch, with the downloads of sciml-data.

Compared with Pooch's own downloader, `fetch` resumes interrupted transfers, tries several mirrors
until the content is right, hashes bytes as they arrive, and does not hash unchanged files again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pooch

from sciml_data.progress import Log, Progress
from sciml_data.registry import Plan
from sciml_data.transfer import fetch

HASHLIB_KINDS = ("sha256", "md5")  # kinds of hashes in a manifest that Pooch can check itself


class DatasetPooch(pooch.Pooch):  # type: ignore[misc] # Pooch ships no types
    """The native files of a version; `fetch` uses the download of `sciml_data.transfer`."""

    def __init__(self, plan: Plan, *, base_url: str, log: Log | None = None) -> None:
        """Make a Pooch of a plan.

        Args:
            plan: files of the version, all or some; they are stored in `plan.folder.native`.
            base_url: address for files without a mirror, returned by `get_url`.
            log: gets mirrors that fail or send wrong content.
        """
        super().__init__(
            path=plan.folder.native,
            base_url=base_url,
            registry={file.path: _known_hash(file.hash) for file in plan.files},
            urls={file.path: file.urls[0] for file in plan.files if file.urls},
        )
        self._plan = plan
        self._files = {file.path: file for file in plan.files}
        self._log = log
        self._lock = threading.Lock()  # a second fetch into the same folder would be refused

    def fetch(
        self,
        fname: str,
        processor: Callable[[str, str, pooch.Pooch], Any] | None = None,
        downloader: Callable[..., Any] | None = None,
        progressbar: Any = False,  # noqa: FBT002 - Pooch's signature
    ) -> Any:
        """Return the local path of a file, or the result of the processor.

        Args:
            fname: path in the manifest.
            processor: a Pooch processor, e.g. `pooch.Unzip()`.
            downloader: a Pooch downloader; if given, Pooch's own fetch is used.
            progressbar: true for tqdm's, or an object with `total` and `update`.

        Raises:
            ValueError: the dataset has no such file.
            FetchError: no mirror gave the file; `.problems` has the reason of each.
        """
        if downloader is not None:
            return super().fetch(fname, processor, downloader, progressbar)
        self._assert_file_in_registry(fname)
        path = self.abspath / fname
        action = "fetch" if path.is_file() else "download"  # the words that processors know
        plan = replace(self._plan, files=(self._files[fname],), is_whole=False)
        with self._lock:
            fetch(plan, log=self._log, progress=_progress_of(progressbar))
        return str(path) if processor is None else processor(str(path), action, self)


def _known_hash(known: str | None) -> str | None:
    """Return a hash that Pooch can check, else None; `fetch` checks hashes of every kind."""
    return known if known is not None and known.startswith(HASHLIB_KINDS) else None


def _progress_of(bar: Any) -> Progress | None:
    """Return a `progress` callback that updates a progress bar."""
    if not bar:
        return None
    if bar is True:
        import tqdm

        bar = tqdm.tqdm(unit="B", unit_scale=True)
    shown = 0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        bar.total = total
        bar.update(done - shown)  # negative where a file starts again
        shown = done

    return progress

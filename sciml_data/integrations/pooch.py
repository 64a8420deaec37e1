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

from sciml_data.errors import FetchError
from sciml_data.integrations.pooch_registry import pooch_hash, pooch_url
from sciml_data.progress import Log, Progress
from sciml_data.registry import Plan, PlannedFile
from sciml_data.transfer import fetch
from sciml_data.transfer.protocols import (
    RangeRefusedError,
    SourceError,
    Sources,
    Timeouts,
    TransientError,
)


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
            registry={file.path: pooch_hash(file.hash) for file in plan.files},
            urls={file.path: pooch_url(file.urls[0]) for file in plan.files if file.urls},
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

    def is_available(self, fname: str, downloader: Callable[..., Any] | None = None) -> bool:
        """Return whether a mirror has a file now; nothing is stored.

        Args:
            fname: path in the manifest.
            downloader: a Pooch downloader; if given, it is asked instead.

        Raises:
            ValueError: the dataset has no such file.
            FetchError: no mirror answered.
        """
        if downloader is not None:
            return bool(super().is_available(fname, downloader))
        self._assert_file_in_registry(fname)
        file = self._files[fname]
        errors: list[SourceError] = []
        with Sources(connections=1, timeouts=Timeouts()) as sources:
            for url in file.urls:
                try:
                    if _has_file(sources, file, url):
                        return True
                except SourceError as error:
                    errors.append(error)
        if errors and all(isinstance(error, TransientError) for error in errors):
            raise FetchError(f"no mirror of {fname} answers: {errors[-1].message}")
        return False


def _has_file(sources: Sources, file: PlannedFile, url: str) -> bool:
    """Return whether a mirror has a file of the right size, as far as it says its size.

    Raises:
        SourceError: the mirror does not give the file.
    """
    source = sources.of(url)
    try:
        body = source.open(url, end=1)
    except RangeRefusedError:  # an empty file has no first byte
        body = source.open(url)
    body.close()
    return body.size_bytes in {None, file.size_bytes} or bool(body.encoding)


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

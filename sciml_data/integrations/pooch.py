"""A dataset as a `pooch.Pooch`, for code that uses Pooch: its registry and its fetch are ours.

What Pooch's own downloader has not, it gains: resuming, several mirrors until one has the right
bytes, hashing as they arrive, and no second hashing of what was verified and is unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pooch

from sciml_data.progress import Log, Progress
from sciml_data.registry.stages import Plan
from sciml_data.transfer.download import fetch

HASHLIB_KINDS = ("sha256", "md5")  # those of ours that Pooch can check itself


class DatasetPooch(pooch.Pooch):  # type: ignore[misc] # Pooch ships no types
    """The native files of a version; `fetch` brings one through `sciml_data.transfer.download`."""

    def __init__(self, plan: Plan, *, base_url: str, log: Log | None = None) -> None:
        """Take the plan of the version.

        Args:
            plan: its files, whole or in part; they will lie in `plan.folder.native`.
            base_url: of a file without a mirror, which `get_url` names.
            log: is told of mirrors that lie or fail.
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
        self._one_at_a_time = threading.Lock()  # the folder is held by one fetch

    def fetch(
        self,
        fname: str,
        processor: Callable[[str, str, pooch.Pooch], Any] | None = None,
        downloader: Callable[..., Any] | None = None,
        progressbar: Any = False,  # noqa: FBT002 - Pooch's signature
    ) -> Any:
        """Return the path of a file on this computer, or what the processor makes of it.

        Args:
            fname: path in the manifest.
            processor: as Pooch has it, e.g. `pooch.Unzip()`.
            downloader: one of Pooch's or the user's; with it, Pooch's own fetch is used.
            progressbar: true for tqdm's, or an object with `total` and `update`.

        Raises:
            ValueError: the registry has no such file.
            FetchError: no mirror gave the file; `.problems` has each one's reason.
        """
        if downloader is not None:
            return super().fetch(fname, processor, downloader, progressbar)
        self._assert_file_in_registry(fname)
        place = self.abspath / fname
        action = "fetch" if place.is_file() else "download"  # the words that processors know
        plan = replace(self._plan, files=(self._files[fname],), is_whole=False)
        with self._one_at_a_time:
            fetch(plan, log=self._log, progress=_teller(progressbar))
        return str(place) if processor is None else processor(str(place), action, self)


def _known_hash(known: str | None) -> str | None:
    """Return a hash that Pooch can check, else None; ours are checked by `fetch`, of any kind."""
    return known if known is not None and known.startswith(HASHLIB_KINDS) else None


def _teller(bar: Any) -> Progress | None:
    if not bar:
        return None
    if bar is True:
        import tqdm

        bar = tqdm.tqdm(unit="B", unit_scale=True)
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        bar.total = total
        bar.update(done - told)
        told = done

    return tell

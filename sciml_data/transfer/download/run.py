"""What all transfers of a run share."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder
from sciml_data.progress import Meter
from sciml_data.transfer.download.crew import Crew
from sciml_data.transfer.download.mirrors import Mirrors
from sciml_data.transfer.download.publish import Publisher
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Sources


class StoppedError(FetchError):
    """The run ends, for a reason that another thread has."""


@dataclass(frozen=True)
class Run:
    """What all transfers of a run share.

    Attributes:
        range_bytes: what a worker takes of a large file when several bring it.
        is_unpinned: whether nobody has pinned the version, and hashes are those of this computer.
    """

    folder: DatasetFolder
    sources: Sources
    mirrors: Mirrors
    retry: RetryPolicy
    publisher: Publisher
    meter: Meter
    stop: threading.Event
    crew: Crew
    range_bytes: int
    is_unpinned: bool

    def check_stop(self) -> None:
        """Raise StoppedError where the run is to end."""
        if self.stop.is_set():
            raise StoppedError("the run was stopped")

    def wait(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile."""
        (self.retry.pause or self.stop.wait)(seconds)
        self.check_stop()

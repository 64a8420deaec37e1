"""One file from one URL, requested as often as the retry policy allows."""

from __future__ import annotations

from sciml_data.registry.manifest import READ_BLOCK_BYTES
from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.crew import Extent, Team
from sciml_data.transfer.download.mirrors import WrongBytesError
from sciml_data.transfer.download.part import Part, is_held, wrong_because
from sciml_data.transfer.download.ranges import LARGE_RANGES
from sciml_data.transfer.download.requests import Address, ChangedError, Requests
from sciml_data.transfer.download.run import Run
from sciml_data.transfer.protocols.source import RangeRefusedError, SourceError, TransientError

REFUSALS_FACTOR = 10  # a file is refused so many times `Patience.tries` while others are given


def is_large(file: PlannedFile, run: Run) -> bool:
    """Return whether several workers may bring a file."""
    return file.size_bytes >= LARGE_RANGES * run.range_bytes


class Attempt:
    """What is done for one file at one URL of a mirror."""

    def __init__(self, address: Address, file: PlannedFile, *, part: Part, run: Run) -> None:
        """Start from what the part has already, which may be of another run or mirror."""
        self._address = address
        self._file = file
        self._part = part
        self._run = run
        self._requests = Requests(address, file, part, run)
        if part.received_bytes and not is_held(file) and part.tag is None:
            # Nothing would tell if they did not fit.
            self._requests.restart()
        self._is_own = part.received_bytes == 0  # whether all of them came from this URL
        self._is_alone = False  # whether ranges cannot be had here
        self._most_bytes = part.received_bytes
        self._tries = 0
        self._refusals = 0

    def is_refused_for_good(self, error: SourceError) -> bool:
        """Return whether an error means that the mirror gives nobody anything."""
        if not isinstance(error, TransientError) or not error.is_refusal:
            return False
        return self._requests.is_refused_for_good(error)

    def until_right(self) -> None:
        """Return once the part has the hash that is expected.

        Raises:
            SourceError: this URL does not give the file.
            StoppedError: the run is stopped.
            OSError: the disk refuses.
        """
        while True:
            try:
                return self._once()
            except WrongBytesError as error:
                if error.is_in_part:
                    self._requests.set_aside()
                if self._is_own or not error.is_in_part:
                    self._run.mirrors.lied(self._address.mirror, self._file.path, error)
                    raise
                self._is_own = True  # nothing is left of the other's bytes: a fair second try
            except (RangeRefusedError, ChangedError) as error:
                self._restart(error)
            except TransientError as error:
                self._hold_on(error)

    def _once(self) -> None:
        if is_large(self._file, self._run):
            self._bring_together()
        elif self._part.received_bytes < self._file.size_bytes:
            self._requests.bring(Extent(self._part.received_bytes, self._file.size_bytes))
        wrong = wrong_because(self._file, self._part.found())
        if wrong:
            if self._run.is_unpinned and self._file.hash is not None:
                wrong = f"not what was fetched first: {wrong}"
            raise WrongBytesError(f"{wrong}; what came is in quarantine", is_in_part=True)

    def _bring_together(self) -> None:
        requests, run = self._requests, self._run
        requests.team = Team(run.crew, self._part.missing(), run.range_bytes, requests.help)
        try:
            requests.team.bring_all(requests.bring, is_alone=self._is_alone)
        finally:
            requests.team = None

    def _restart(self, error: SourceError) -> None:
        """Start from the first byte again, without ranges; raise if that was tried."""
        if self._part.received_bytes == 0 and (
            self._is_alone or not is_large(self._file, self._run)
        ):
            raise error
        self._is_own = self._is_alone = True
        self._requests.restart()
        self._count_try(error)

    def _hold_on(self, error: TransientError) -> None:
        """Wait as long as it is wise to, or raise the error."""
        if error.is_refusal:  # all who ask the mirror have waited together
            self._refusals += 1
            most = REFUSALS_FACTOR * self._run.retry.tries
            if self._refusals >= most or self._requests.is_refused_for_good(error):
                raise error
            return
        self._count_try(error)
        self._run.wait(self._run.retry.wait_s(self._tries, error))

    def _count_try(self, error: SourceError) -> None:
        """Count a try, from one again where it brought a block more than any try before."""
        if self._part.received_bytes >= self._most_bytes + READ_BLOCK_BYTES:
            self._tries = 0
        self._most_bytes = max(self._most_bytes, self._part.received_bytes)
        self._tries += 1
        if self._tries >= self._run.retry.tries:
            raise error

"""One file from its mirrors, in order, until its hash is right."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Sequence

from sciml_data.errors import FetchError, NoSpaceError, Problem
from sciml_data.fetch.attempt import Attempt, Run, StoppedError
from sciml_data.fetch.meter import in_words
from sciml_data.fetch.mirrors import WrongBytesError
from sciml_data.fetch.part import Part
from sciml_data.fetch.place import make_place
from sciml_data.home import DatasetFolder, publish
from sciml_data.sources import SourceError, TransientError
from sciml_data.sources.mirrors import mirror_of
from sciml_data.stages import PlannedFile

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def fetch_file(file: PlannedFile, run: Run) -> list[Problem]:
    """Publish one file and return nothing, or return why each mirror did not give it.

    Raises:
        NoSpaceError: the disk is full; the part is kept.
        StoppedError: `run.stop` is set.
    """
    if run.stop.is_set():
        raise StoppedError("the run was stopped")
    try:
        with Part(run.folder, file) as part:
            run.meter.moved(part.received_bytes)
            problems = _from_mirrors(file, part, run)
            if not problems:
                _publish(part, file, run)
    except StoppedError:
        raise
    except FetchError as error:
        return [Problem("failed", file.path, error.wrong)]
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _no_space(file, run.folder) from error
        return [Problem("failed", file.path, f"the disk refuses: {error}")]
    return problems


def _publish(part: Part, file: PlannedFile, run: Run) -> None:
    publish(part.path, make_place(run.folder.native, file.path))
    run.receipt.add(file.path, part.found_hash)


def _from_mirrors(file: PlannedFile, part: Part, run: Run) -> list[Problem]:
    """Return nothing once the part is right, or a problem for each mirror."""
    if part.found_hash == file.hash:  # killed between the last byte and publishing
        return []
    problems = []
    for mirror, urls in itertools.groupby(
        file.urls, key=lambda url: mirror_of(url, file.path, file.urls)
    ):
        reason = run.mirrors.left_because(mirror)
        if reason:
            problems.append(Problem("failed", file.path, f"{mirror}: not asked again: {reason}"))
            continue
        problem = _from_mirror(mirror, tuple(urls), file, part=part, run=run)
        if problem is None:
            return []
        problems.append(problem)
    return problems or [Problem("failed", file.path, "there is no mirror to ask")]


def _from_mirror(
    mirror: str, urls: Sequence[str], file: PlannedFile, *, part: Part, run: Run
) -> Problem | None:
    """Ask one mirror under each of its addresses until one is right; it fails as a whole."""
    errors: list[SourceError] = []
    said: list[str] = []
    for url in urls:
        try:
            Attempt(url, file, mirror=mirror, part=part, run=run).until_right()
        except SourceError as error:
            errors.append(error)
            said.append(f"{url}: {error.wrong}")
            if isinstance(error, TransientError) and error.is_unreachable:
                break
        else:
            return None
    if not any(isinstance(error, WrongBytesError) for error in errors):
        run.mirrors.failed(mirror, file.path, errors[-1])
    return Problem("failed", file.path, "; ".join(said))


def _no_space(file: PlannedFile, folder: DatasetFolder) -> NoSpaceError:
    state = os.statvfs(folder.root)
    return NoSpaceError(
        f"the disk of {folder.root} is full: {in_words(state.f_bavail * state.f_frsize)} were left "
        f"when {file.path} ({in_words(file.size_bytes)}) arrived",
        done=f"what arrived of it is kept in {folder.partial}",
        untouched="files that are whole stay",
        hint="make room, or name another home with --home; the same command then goes on",
    )

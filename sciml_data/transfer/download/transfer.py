"""One file from its mirrors, in order, until its hash is right."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Sequence

from sciml_data.errors import FetchError, NoSpaceError, Problem
from sciml_data.home import DatasetFolder
from sciml_data.progress import format_bytes
from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.attempt import Attempt, is_large
from sciml_data.transfer.download.mirrors import WrongBytesError
from sciml_data.transfer.download.part import Part, is_held, wrong_because
from sciml_data.transfer.download.requests import Address
from sciml_data.transfer.download.run import Run, StoppedError
from sciml_data.transfer.protocols.mirrors import mirror_of
from sciml_data.transfer.protocols.source import SourceError, TransientError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def fetch_file(file: PlannedFile, run: Run) -> list[Problem]:
    """Hand one file to the publisher and return nothing, or return why no mirror gave it.

    Raises:
        NoSpaceError: the disk is full; the part is kept.
        StoppedError: the run is stopped.
    """
    run.check_stop()
    try:
        with Part(run.folder, file, has_notes=is_large(file, run)) as part:
            run.meter.advance(part.received_bytes)
            problems = _from_mirrors(file, part, run)
            if not problems:
                part.forget_notes()
                run.publisher.add(part.path, file.path, part.found()[0])
    except StoppedError:
        raise
    except FetchError as error:
        return [Problem("failed", file.path, error.message)]
    except OSError as error:
        return [refused_by_disk(error, file.path, run.folder)]
    return problems


def refused_by_disk(error: OSError, path: str, folder: DatasetFolder) -> Problem:
    """Return the problem of a file that cannot be written.

    Raises:
        NoSpaceError: the disk is full, so that no other file can be either.
    """
    if error.errno not in NO_SPACE:
        return Problem("failed", path, f"the disk refuses: {error}")
    state = os.statvfs(folder.root)
    raise NoSpaceError(
        f"the disk of {folder.root} is full: {format_bytes(state.f_bavail * state.f_frsize)} were "
        f"left when {path} arrived",
        done=f"what arrived of it is kept in {folder.partial}",
        untouched="files that are whole stay",
        hint="make room, or name another home with --home; the same command then goes on",
    ) from error


def _from_mirrors(file: PlannedFile, part: Part, run: Run) -> list[Problem]:
    """Return nothing once the part is right, or a problem for each mirror."""
    is_whole = part.received_bytes >= file.size_bytes and is_held(file)
    if is_whole and not wrong_because(file, part.found()):
        return []  # killed between the last byte and publishing
    problems = []
    groups = itertools.groupby(file.urls, key=lambda url: mirror_of(url, file.path, file.urls))
    mirrors = [(mirror, tuple(urls)) for mirror, urls in groups]
    for number, (mirror, urls) in enumerate(mirrors):
        if reason := run.mirrors.left_because(mirror):
            problems.append(Problem("failed", file.path, f"{mirror}: not asked again: {reason}"))
            continue
        is_last = all(run.mirrors.left_because(other) for other, _ in mirrors[number + 1 :])
        addresses = [Address(url, mirror, is_last) for url in run.mirrors.in_order(mirror, urls)]
        problem = _from_mirror(addresses, file, part, run)
        if isinstance(problem, str):
            run.mirrors.gave(mirror, urls, problem)
            return []
        problems.append(problem)
    return problems or [Problem("failed", file.path, "there is no mirror to ask")]


def _from_mirror(
    addresses: Sequence[Address], file: PlannedFile, part: Part, run: Run
) -> Problem | str:
    """Return the address of a mirror that gave the file; the mirror fails as a whole."""
    errors: list[SourceError] = []
    said: list[str] = []
    is_left = False
    for address in addresses:
        attempt = Attempt(address, file, part=part, run=run)
        try:
            attempt.until_right()
        except SourceError as error:
            errors.append(error)
            is_left = attempt.is_refused_for_good(error)
            said.append(f"{address.url}: {error.message}")
            if isinstance(error, TransientError) and error.is_refusal:
                break
        else:
            return address.url
    if not any(isinstance(error, WrongBytesError) for error in errors):
        run.mirrors.failed(addresses[0].mirror, file.path, errors[-1], is_left=is_left)
    return Problem("failed", file.path, "; ".join(said))

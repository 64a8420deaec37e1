"""What lies in `native/` already, and whether it is what the plan says."""

from __future__ import annotations

import contextlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor

from sciml_data.errors import FetchError, Problem
from sciml_data.home import DatasetFolder, lstat_inside, move_to_quarantine
from sciml_data.progress import Log
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.transfer.download.checksum import hashes_like
from sciml_data.transfer.download.part import wanted_hashes, wrong_because
from sciml_data.transfer.download.receipt import StatCache


def existing_paths(plan: Plan) -> set[str]:
    """Return the planned paths where a file of the right size lies; nothing is hashed."""
    found = set()
    for file in plan.files:
        with contextlib.suppress(FetchError):
            if _may_be_right(lstat_inside(plan.folder.native, file.path), file):
                found.add(file.path)
    return found


def held(
    plan: Plan, receipt: StatCache, *, jobs: int, log: Log
) -> tuple[dict[str, str], list[PlannedFile], list[Problem]]:
    """Return the hashes of what is there and right, what is missing, and what cannot lie there.

    What is there and wrong is moved to quarantine, and missing then.
    """
    hashes: dict[str, str] = {}
    missing: list[PlannedFile] = []
    problems: list[Problem] = []
    unproven: list[PlannedFile] = []
    for file in plan.files:
        try:
            state = lstat_inside(plan.folder.native, file.path)
        except FetchError as error:
            problems.append(Problem("failed", file.path, error.message))
            continue
        if state is None:
            missing.append(file)
        elif known := _known(file, receipt, state):
            hashes[file.path] = known
        else:
            unproven.append(file)
    with ThreadPoolExecutor(jobs) as pool:
        for file, found in zip(
            unproven, pool.map(lambda file: _found(file, plan.folder), unproven), strict=True
        ):
            if found is not None and not wrong_because(file, found):
                receipt.add(file.path, found[0])
                hashes[file.path] = found[0]
                continue
            path = plan.folder.native / file.path
            kept = move_to_quarantine(
                plan.folder, path, file.path, label=(found or ["other"])[0][:19]
            )
            log(f"{file.path} was not what the {_authority(plan)} says; it is now {kept}")
            missing.append(file)
    return hashes, missing, problems


def _known(file: PlannedFile, receipt: StatCache, state: os.stat_result) -> str | None:
    """Return the hash of a file that was found right before and has not changed since."""
    if file.hash is not None:
        return file.hash if receipt.stands(file.path, file.hash, state) else None
    found = receipt.found(file.path, state)
    is_identity = found is not None and found.startswith("sha256:")
    return found if is_identity and state.st_size == file.size_bytes else None


def _found(file: PlannedFile, folder: DatasetFolder) -> list[str] | None:
    """Return the hashes of what lies there, or None where its kind or size is wrong already."""
    if not _may_be_right(lstat_inside(folder.native, file.path), file):
        return None
    return hashes_like(folder.native / file.path, wanted_hashes(file))


def _may_be_right(state: os.stat_result | None, file: PlannedFile) -> bool:
    return state is not None and stat.S_ISREG(state.st_mode) and state.st_size == file.size_bytes


def _authority(plan: Plan) -> str:
    return "listing" if plan.descriptor.manifest is None else "manifest"

"""Check ready files against their manifest, before their values are used.

The manifest has the hash that each file had when it was made. A file is read once; afterwards it
counts as unchanged while its size, mtime and inode are those of that moment (the stat cache
`verified.jsonl`, beside the files or in the user's own home). `convert` fills the stat cache with
the files that it makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from sciml_data.errors import CallError, Problem, VerificationError
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, Progress, counted
from sciml_data.ready.folder import (
    MANIFEST_NAME,
    RECORD_NAME,
    find_all_converted,
    find_converted,
    ready_stat_cache,
    shards_of_split,
)
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.stages import Converted, Verified
from sciml_data.transfer.verification import MISSING, UNEXPECTED, changed_files


def ready_problems(
    converted: Converted,
    *,
    names: Collection[str] | None = None,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return one problem for each ready file that is missing or changed, by name.

    A file that only the record or only the manifest lists is a problem, too: nobody would know
    which values it should have.

    Args:
        converted: the ready files.
        names: of the files to check; None are all.
        full: read every byte, also of files that are unchanged since the last check.
        jobs: number of files to read in parallel.
        progress: gets (bytes done, total bytes).

    Raises:
        VerificationError: the record of the ready files is damaged.
    """
    recorded = {name for files in shards_of_split(converted).values() for name in files}
    listed = converted.manifest.by_path
    wanted = recorded | listed.keys() if names is None else set(names)
    problems = [
        Problem(MISSING, name, f"{RECORD_NAME} lists it, and {MANIFEST_NAME} does not")
        for name in wanted - listed.keys()
    ]
    problems += [
        Problem(UNEXPECTED, name, f"{MANIFEST_NAME} lists it, and {RECORD_NAME} does not")
        for name in wanted - recorded
    ]
    problems += changed_files(
        converted.root,
        [entry for entry in converted.manifest if entry.path in wanted],
        ready_stat_cache(converted.root, converted.own_stat_cache),
        full=full,
        jobs=jobs,
        progress=progress,
    )
    return sorted(problems, key=lambda problem: (problem.place, problem.kind))


def require_unchanged(
    converted: Converted,
    names: Collection[str] | None = None,
    *,
    progress: Progress | None = None,
) -> None:
    """Raise an error if ready files are missing or changed.

    Args:
        converted: the ready files.
        names: of the files to check; None are all.
        progress: gets (bytes done, total bytes) of the files that are read.

    Raises:
        VerificationError: `.problems` has every file that is missing or changed.
    """
    if problems := ready_problems(converted, names=names, progress=progress):
        raise changed_ready_files(converted, problems)


def verify_ready(
    descriptor: Descriptor,
    folder: DatasetFolder,
    *,
    options: Mapping[str, Any] | None = None,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> tuple[Converted, ...]:
    """Return the ready files of a dataset after a check against their manifests.

    Args:
        descriptor: of the version.
        folder: of the version or sample in the home.
        options: options of the conversion; None are all sets of options that have ready files.
        full: read every byte, also of files that are unchanged since the last check.
        jobs: number of files to read in parallel.
        progress: gets (bytes done, total bytes) of each set of options.

    Raises:
        CallError: there are no ready files.
        VerificationError: `.problems` has every file of every set that is missing or changed.
    """
    sets = _sets(descriptor, folder, options)
    problems = {
        converted.root: ready_problems(converted, full=full, jobs=jobs, progress=progress)
        for converted in sets
    }
    changed = [converted for converted in sets if problems[converted.root]]
    if changed:
        raise changed_ready_files(
            changed[0],
            [
                replace(problem, place=f"{folder.ready.name}/{converted.root.name}/{problem.place}")
                for converted in changed
                for problem in problems[converted.root]
            ],
        )
    return sets


def verify_with_ready(  # noqa: PLR0913 - the files of both kinds, and how to read them
    descriptor: Descriptor,
    folder: DatasetFolder,
    native: Callable[[], Verified],
    *,
    options: Mapping[str, Any] | None = None,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Verified:
    """Return native files with the ready files that were checked; errors of both are raised as one.

    Args:
        descriptor: see `verify_ready`, as for `folder` and `options` to `progress`.
        folder: of the dataset.
        native: checks the native files. It is not called if the folder has none: ready files can be
            used without them.
        options: of the conversion.
        full: read every byte.
        jobs: number of files to read in parallel.
        progress: gets (bytes done, total bytes).

    Raises:
        CallError: there are no ready files.
        VerificationError: `.problems` has every native and ready file that is missing or changed.
    """
    errors: list[VerificationError] = []
    verified = Verified(
        descriptor, folder, Manifest(()), is_synthetic=folder.sample_seed is not None
    )
    sets: tuple[Converted, ...] = ()
    try:
        sets = verify_ready(
            descriptor, folder, options=options, full=full, jobs=jobs, progress=progress
        )
    except VerificationError as error:
        errors.append(error)
    try:
        verified = native() if folder.native.is_dir() else verified
    except VerificationError as error:
        errors.insert(0, error)
    if len(errors) > 1:
        raise VerificationError(
            "; ".join(error.message for error in errors),
            problems=[problem for error in errors for problem in error.problems],
            untouched="nothing was changed",
            hint=f"{errors[0].hint}; then {errors[1].hint}",
        )
    if errors:
        raise errors[0]
    return replace(verified, ready=sets)


def repair_ready(
    verified: Verified,
    *,
    options: Mapping[str, Any] | None = None,
    full: bool = False,
    jobs: int = 2,
    log: Log | None = None,
    progress: Progress | None = None,
) -> tuple[Converted, ...]:
    """Make missing and changed ready files again, and return all that were checked.

    Args:
        verified: the native files.
        options: see `verify_ready`, as for `full`, `jobs` and `progress`.
        full: read every byte first.
        jobs: number of files to read in parallel.
        log: gets a line for each file that is made again.
        progress: gets (bytes done, total bytes).

    Raises:
        CallError: there are no ready files.
        SciMLDataError: a file could not be made; see `convert`.
    """
    from sciml_data.ready.conversion import convert

    sets = _sets(verified.descriptor, verified.folder, options)
    return tuple(
        convert(verified, options=converted.options, log=log)
        if ready_problems(converted, full=full, jobs=jobs, progress=progress)
        else converted
        for converted in sets
    )


def _sets(
    descriptor: Descriptor, folder: DatasetFolder, options: Mapping[str, Any] | None
) -> tuple[Converted, ...]:
    """Return the ready files for some options, or for all."""
    if options is None:
        sets = find_all_converted(descriptor, folder)
    else:
        converted = find_converted(descriptor, folder, options)
        sets = [] if converted is None else [converted]
    if not sets:
        command = convert_command(descriptor, folder.sample_seed, options or {})
        raise CallError(
            f"there are no ready files of {descriptor.dataset} {descriptor.version} "
            f"in {folder.ready}",
            untouched="nothing was read or changed",
            hint=f"{command} makes them",
        )
    return tuple(sets)


def changed_ready_files(converted: Converted, problems: list[Problem]) -> VerificationError:
    """Return an error about ready files that differ from their manifest."""
    descriptor = converted.descriptor
    command = convert_command(descriptor, converted.sample_seed, converted.options)
    published = descriptor.document["sciml"].get("ready", ())
    has_native = converted.root.parent.with_name("native").is_dir()
    if not has_native and not converted.options and any(not form["options"] for form in published):
        version = f"{descriptor.dataset} --version {descriptor.version}"
        hint = f"sciml-data get {version} --ready fetches them again"
    else:
        hint = f"{command} makes them again"
    return VerificationError(
        f"{descriptor.dataset} {descriptor.version}: {counted(len(problems), 'ready file')} not as "
        f"in the manifest, in {converted.root}",
        problems=problems,
        untouched="nothing was changed",
        hint=hint,
    )


def convert_command(
    descriptor: Descriptor, sample_seed: int | None, options: Mapping[str, Any]
) -> str:
    """Return the command that converts a version or sample with some options."""
    command = f"sciml-data convert {descriptor.dataset} --version {descriptor.version}"
    if sample_seed is not None:
        command += f" --sample --sample-seed {sample_seed}"
    return command + "".join(f" --set {name}={_text(value)}" for name, value in options.items())


def _text(value: Any) -> str:
    """Return the value of an option as it is typed: text, or JSON."""
    return value if isinstance(value, str) else json.dumps(value)

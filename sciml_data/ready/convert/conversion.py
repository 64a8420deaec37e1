"""Which ready files are to be made, who makes them, and what is said of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sciml_data
from sciml_data.errors import ConversionError, NativeFormatError, SciMLDataError
from sciml_data.formats import Native, Shard, load_format, require_format
from sciml_data.home import write_atomically
from sciml_data.progress import Log, Progress, format_bytes
from sciml_data.ready.convert import folder as ready
from sciml_data.ready.convert.shard import Task, remove_temporaries
from sciml_data.ready.convert.work import Workforce, make_all, problems_of, workforce
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.registry.stages import Converted, Verified

MOST_INPUTS_NAMED = 16  # in the attributes of one ready file


@dataclass
class _Job:
    """What is to be made and what was: the parts that one conversion hands around."""

    root: Path
    record: Mapping[str, Any]
    tasks: Mapping[str, Task]  # by the name of the ready file
    identities: Mapping[str, str]
    entries: dict[str, Entry]  # of what is ready
    progress: Progress | None
    started: float = field(default_factory=time.monotonic)
    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def missing(self) -> list[Task]:
        return [task for name, task in self.tasks.items() if name not in self.entries]


def convert(
    verified: Verified,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int | str | Executor = 1,
    again: bool = False,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Return the ready files of a dataset, making those that are not there.

    A ready file is kept while its own native files, the options, what the descriptor says and the
    software's version are the same; so a part that was converted is not converted again when more
    has been fetched.

    Args:
        verified: native files whose bytes are right.
        options: the reader's options; none gives its defaults.
        workers: processes on this computer; or the address of a Dask cluster's scheduler, or the
            file that the scheduler wrote; or any executor, which is not shut down. The bytes are
            the same.
        again: make every file anew.
        log: told what is kept, the first failures, and at the end the rate.
        progress: told of native bytes (done, to do).

    Raises:
        CallError: the reader does not know an option, there is no reader, or the cluster cannot be
            reached.
        NativeFormatError: native files do not follow their format; all others were converted.
        ConversionError: shards failed in another way; `.problems` has what each said.
    """
    require_format(verified.descriptor, verified.root)
    options, tell = dict(options or {}), log or (lambda _: None)
    shards = load_format(verified.descriptor.native["reader"]).shards(_native(verified), options)
    record = _record(verified, options, shards)
    root = ready.ready_folder(verified.folder, options)
    with verified.folder.lock("convert"):
        job = _job(verified, shards, record, progress=progress)
        job.entries = {} if again else ready.standing(root, job.identities)
        is_whole = (root / ready.MANIFEST_NAME).is_file() and ready.read_record(root) == record
        if is_whole and not job.missing:
            tell(f"nothing to convert: {len(shards)} ready files are there")
        else:
            if job.entries:
                tell(_kept(job))
            _make_missing(job, workers, tell)
            ready.write_manifest(root, job.entries.values())
    converted = ready.find_converted(verified.descriptor, verified.folder, options)
    if converted is None:
        raise ConversionError(f"the ready files in {root} were removed while they were made")
    return converted


def _make_missing(job: _Job, workers: int | str | Executor, tell: Log) -> None:
    """Make what is missing and say how quick it was; every failure is told once all are tried.

    What was ready before can be opened until there is somebody to make the rest.
    """
    missing = job.missing
    if not missing:
        _begin(job)
        return
    job.root.mkdir(parents=True, exist_ok=True)
    try:
        with workforce(workers, missing[0], len(missing)) as force:
            _begin(job)
            failed = _make(job, missing, force, tell)
    except BaseException:
        tell(_kept(job))
        raise
    finally:
        if isinstance(workers, int):  # others may still be at work
            remove_temporaries(job.root)
    tell(_rate(job))
    if failed:
        raise _failure(job, failed)


def _begin(job: _Job) -> None:
    """Declare the folder not whole, and leave in it only what is kept."""
    ready.clear(job.root, keep=job.entries)
    ready.write_record(job.root, job.record)
    job.started = time.monotonic()


def _make(
    job: _Job, missing: Sequence[Task], force: Workforce, tell: Log
) -> list[tuple[Task, Exception]]:
    """Make what is missing, noting each file and telling what it has to say; return what failed."""
    total = sum(task.inputs_bytes for task in missing)
    kept = [(entry, job.identities[name]) for name, entry in job.entries.items()]
    with ready.notes(job.root, kept) as note:

        def made(task: Task, entry: Entry) -> None:
            note(entry, job.identities[task.shard.name])
            job.entries[task.shard.name] = entry
            job.read_bytes += task.inputs_bytes
            job.written_bytes += entry.size_bytes
            for line in ready.notices(task.target):
                tell(f"{task.shard.name}: {line}")
            if job.progress is not None:
                job.progress(job.read_bytes, total)

        return make_all(missing, force, made)


def _kept(job: _Job) -> str:
    return f"{len(job.entries)} of {len(job.tasks)} ready files are there and are kept"


def _rate(job: _Job) -> str:
    seconds = max(time.monotonic() - job.started, 1e-6)
    read, written = job.read_bytes, job.written_bytes
    return (
        f"converted {format_bytes(read)} of native files into {format_bytes(written)} in "
        f"{seconds:.1f} s: {read / 1e6 / seconds:.1f} MB/s read, "
        f"{written / 1e6 / seconds:.1f} MB/s written"
    )


def _failure(job: _Job, failed: Sequence[tuple[Task, Exception]]) -> SciMLDataError:
    """Return one error for all shards that failed; the whole list is kept beside the files."""
    first = failed[0][1]
    if len(job.tasks) == 1 and isinstance(first, SciMLDataError):
        return first
    problems = sorted(
        (problem for task, error in failed for problem in problems_of(task, error)),
        key=lambda problem: (problem.place, problem.kind),
    )
    kind = ConversionError
    if all(isinstance(error, NativeFormatError) for _, error in failed):
        kind = NativeFormatError  # type: ignore[assignment] # siblings
    path = job.root / ready.PROBLEMS_NAME
    write_atomically(path, "".join(f"{problem}\n" for problem in problems))
    error = kind(
        f"{len(failed)} of {len(job.tasks)} ready files could not be made",
        problems=problems,
        done="all others are ready and are kept",
        untouched="native files were not changed",
        hint=f"all {len(problems)} problems are listed in {path}",
    )
    error.__cause__ = first
    return error


def _native(verified: Verified) -> Native:
    descriptor = verified.descriptor
    return Native(
        root=verified.root,
        folder=descriptor.folder,
        block=descriptor.native,
        paths=tuple(sorted(verified.manifest.by_path)),
        variables=descriptor.document["sciml"]["variables"],
        splits=descriptor.splits,
    )


def _record(
    verified: Verified, options: Mapping[str, Any], shards: Sequence[Shard]
) -> dict[str, Any]:
    """Return of what and with what the files are made: the same record, the same bytes."""
    descriptor = verified.descriptor
    splits: dict[str, list[str]] = {}
    for shard in shards:
        splits.setdefault(shard.split, []).append(shard.name)
    return {
        "dataset": descriptor.dataset,
        "version": descriptor.version,
        "title": descriptor.title,
        "references": list(descriptor.document["sciml"]["citation"]),
        "licenses": [license_["name"] for license_ in descriptor.document["licenses"]],
        "native": dict(descriptor.native),
        "variables": descriptor.document["sciml"]["variables"],
        "native_manifest_sha256": verified.manifest.digest,
        "options": dict(options),
        "is_synthetic": verified.is_synthetic,
        "sciml_data": sciml_data.__version__,
        "splits": splits,
    }


def _job(
    verified: Verified,
    shards: Sequence[Shard],
    record: Mapping[str, Any],
    *,
    progress: Progress | None,
) -> _Job:
    native, options = _native(verified), record["options"]
    root = ready.ready_folder(verified.folder, options)
    ancillary = {
        resource["path"]: resource.get("hash")
        for resource in verified.descriptor.document["resources"]
        if resource["path"] != ready.MANIFEST_NAME  # of native files: each shard knows its own
    }
    tasks, identities = {}, {}
    shared = Counter(path for shard in shards for path in shard.inputs)
    for shard in shards:
        inputs = verified.manifest.select(shard.inputs)
        task = Task(
            native=replace(native, paths=tuple(sorted(shard.inputs))),
            shard=shard,
            options=options,
            attributes=_provenance(record, inputs),
            root=root,
            inputs_bytes=sum(entry.size_bytes // shared[entry.path] for entry in inputs),
        )
        tasks[shard.name], identities[shard.name] = task, task.identity(ancillary)
    return _Job(root, record, tasks, identities, {}, progress)


def _provenance(record: Mapping[str, Any], inputs: Manifest) -> dict[str, Any]:
    """Return the attributes that say where a ready file comes from: its own native files."""
    title = ("SYNTHETIC sample of: " if record["is_synthetic"] else "") + record["title"]
    named = [f"{entry.hash}  {entry.path}" for entry in inputs]
    if len(named) > MOST_INPUTS_NAMED:
        named = [f"{len(named)} files"]
    return {
        "title": title,
        "dataset": record["dataset"],
        "dataset_version": record["version"],
        "native_files": "\n".join(named),
        "native_files_sha256": inputs.digest,
        "conversion_options": json.dumps(record["options"], sort_keys=True),
        "sciml_data_version": record["sciml_data"],
        "synthetic": "true" if record["is_synthetic"] else "false",
        "license": ", ".join(record["licenses"]),
        "references": "\n".join(record["references"]),
    }

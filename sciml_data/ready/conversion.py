"""Convert verified native files to analysis-ready NetCDF-4, with the same bytes each time.

A dataset is converted shard by shard, and a shard becomes a ready file. A shard is a pure function
of its own native files and the options. So any `concurrent.futures` executor can make it, here or
on a Dask cluster that sees the same folders. A file is written under a temporary name and renamed
when it is complete. Files that were made before an interruption, or before more was fetched, are
not made again.

`convert` decides which files are missing. It keeps the state in `folder`, and has `shards` make the
files.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sciml_data.errors import (
    MAX_PRINTED_PROBLEMS,
    ConversionError,
    NativeFormatError,
    NotWritableError,
    Problem,
    SciMLDataError,
)
from sciml_data.formats import Native, Shard, load_format, require_format
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, Progress, counted, format_bytes
from sciml_data.ready.folder import (
    MANIFEST_NAME,
    ReadyFolder,
    find_converted,
    own_stat_cache,
    ready_folder,
)
from sciml_data.ready.shards import (
    QUEUED_AT_EXECUTOR,
    MadeShard,
    ShardTask,
    WorkerPool,
    make_shards,
    problems_of,
    remove_temporaries,
    shard_processes,
    single_thread_pool,
)
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.registry.stages import Converted, Verified

logger = logging.getLogger(__name__)

# The first version of sciml-data that writes ready files as they are written now. Ready files and
# their record name it, and not the version that makes them, so that a release alone changes no hash
# of them. It becomes the next version with a change of values, encoding or attributes by our code.
READY_FORM = "0.1.0"
MAX_INPUTS_NAMED = 16  # in the attributes of a ready file; larger numbers are only counted


def convert(
    verified: Verified,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int | str | Executor = 1,
    again: bool = False,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Return the ready files of a dataset, and make those that do not exist.

    An existing file is kept if its own native files, the options, the descriptor and `READY_FORM`
    are unchanged, and if it still has the hash that it had when it was made. It is not read for
    that while its size, mtime and inode are unchanged. A changed or truncated file is named in the
    log and made again. So a part that was converted is not converted again when more has been
    fetched.

    Args:
        verified: native files with the right bytes.
        options: options of the format; None are its defaults.
        workers: number of processes on this computer; or the address of the scheduler of a Dask
            cluster, or the file that the scheduler wrote; or any executor, which is not shut down.
            The bytes are the same for all of them.
        again: make every file again.
        log: callback that gets lines: changed files, kept files, notices of files, and the rate at
            the end.
        progress: callback (bytes done, bytes in all): of ready files that are checked, if the stat
            cache does not have them, then of native files.

    Raises:
        CallError: the dataset has no format, the format does not know an option, or the cluster
            cannot be reached.
        NativeFormatError: native files do not follow their format; all others were converted.
        ConversionError: shards failed for another reason; `.problems` has each reason.
    """
    options, log = dict(options or {}), log or logger.info
    folder, tasks = plan_conversion(verified, options)
    if again or not find_in_shared_home(verified.folder, folder, log):
        try:
            # Two conversions of the same folder would remove each other's files.
            with verified.folder.lock("convert"):
                if not again:
                    log_problems(folder.find_existing(progress), log)
                if folder.is_complete:
                    log(f"nothing to convert: {counted(len(tasks), 'ready file')} found")
                else:
                    if folder.entries:
                        log(_kept(folder))
                    make_missing(folder, tasks, workers, log=log, progress=progress)
        except NotWritableError:
            if again or folder.find_existing() or not folder.is_complete:
                raise
            log(f"nothing to convert: {counted(len(tasks), 'ready file')} found")
    return require_converted(verified, folder, options)


def require_converted(
    verified: Verified, folder: ReadyFolder, options: Mapping[str, Any]
) -> Converted:
    """Return the ready files that were just made or found.

    Raises:
        ConversionError: they are incomplete by now.
    """
    converted = find_converted(verified.descriptor, verified.folder, options)
    if converted is None:
        raise ConversionError(
            f"the ready files in {folder.root} were removed while they were made",
            untouched="native files were not changed",
            hint="run the same command again, and let no other process change this folder",
        )
    return converted


def find_in_shared_home(dataset: DatasetFolder, own: ReadyFolder, log: Log) -> Path | None:
    """Return the folder of a shared home with all files that the user's own should have."""
    for place in dataset.ready_places[1:] if not own.root.is_dir() else ():
        shared = ReadyFolder(
            place / own.root.name,
            own.record,
            own.identities,
            own_stat_cache(dataset, place / own.root.name),
        )
        problems = shared.find_existing()
        if not problems and shared.is_complete:
            log(
                f"nothing to convert: {counted(len(shared.entries), 'ready file')} in {shared.root}"
            )
            return shared.root
        log_problems(problems, log)
    return None


def log_problems(problems: Sequence[Problem], log: Log) -> None:
    """Log which ready files are made again because they are missing or changed."""
    for problem in problems[:MAX_PRINTED_PROBLEMS]:
        log(f"{problem.place} is {problem.kind} ({problem.message}): it is made again")
    if len(problems) > MAX_PRINTED_PROBLEMS:
        log(f"{len(problems) - MAX_PRINTED_PROBLEMS} more ready files are made again")


def make_missing(
    folder: ReadyFolder,
    tasks: Mapping[str, ShardTask],
    workers: int | str | Executor,
    *,
    log: Log,
    progress: Progress | None,
) -> None:
    """Make the missing files and log the rate; failures are raised after all files were tried.

    The pool is opened before the folder is changed. So files from before can still be opened if
    there is no pool, for example because a cluster cannot be reached.
    """
    missing = [tasks[name] for name in folder.missing]
    if not missing:  # only the record or the manifest is out of date
        with folder.update():
            return
    folder.root.mkdir(parents=True, exist_ok=True)  # the pool checks that its workers see it
    throughput = _Throughput(sum(task.inputs_bytes for task in missing), progress)
    is_over = True
    try:
        with _open_pool(workers, missing[0], len(missing)) as pool, folder.update() as add:
            throughput.begin()

            def finished(task: ShardTask, made: MadeShard) -> None:
                add(made.entry, made.index)
                for line in made.notices:
                    log(f"{task.shard.name}: {line}")
                logger.debug("%s: %s", task.shard.name, format_bytes(made.entry.size_bytes))
                throughput.count(task, made.entry)

            failed = make_shards(missing, pool, finished)
    except BaseException:
        log(_kept(folder))
        is_over = isinstance(workers, int)  # workers of other executors may still be writing
        raise
    finally:
        if is_over:
            remove_temporaries(folder.root, folder.identities)
    log(str(throughput))
    if failed:
        raise _failure(folder, failed, len(tasks))


@dataclass
class _Throughput:
    """Bytes and time of a conversion.

    Attributes:
        total_bytes: native bytes to read.
        progress: callback (native bytes done, native bytes in all).
        started: monotonic time in seconds.
        read_bytes: native bytes of finished files.
        written_bytes: bytes of finished ready files.
    """

    total_bytes: int
    progress: Progress | None
    started: float = field(default_factory=time.monotonic)
    read_bytes: int = 0
    written_bytes: int = 0

    def begin(self) -> None:
        """Start the clock, and report that nothing is done yet."""
        self.started = time.monotonic()
        if self.progress is not None:
            self.progress(0, self.total_bytes)

    def count(self, task: ShardTask, entry: Entry) -> None:
        """Add a finished file."""
        self.read_bytes += task.inputs_bytes
        self.written_bytes += entry.size_bytes
        if self.progress is not None:
            self.progress(self.read_bytes, self.total_bytes)

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-6)
        read, written = self.read_bytes, self.written_bytes
        return (
            f"converted {format_bytes(read)} of native files into {format_bytes(written)} "
            f"in {seconds:.1f} s: "
            f"{read / 1e6 / seconds:.1f} MB/s read, {written / 1e6 / seconds:.1f} MB/s written"
        )


def _kept(folder: ReadyFolder) -> str:
    return f"{len(folder.entries)} of {len(folder.identities)} ready files are there and are kept"


def _failure(
    folder: ReadyFolder, failed: Sequence[tuple[ShardTask, Exception]], count: int
) -> SciMLDataError:
    """Return an error for all shards that failed; all problems are listed in a file, too."""
    first = failed[0][1]
    if count == 1 and isinstance(first, SciMLDataError):
        return first
    problems = sorted(
        (problem for task, error in failed for problem in problems_of(task, error)),
        key=lambda problem: (problem.place, problem.kind),
    )
    kind = ConversionError
    if all(isinstance(error, NativeFormatError) for _, error in failed):
        kind = NativeFormatError  # type: ignore[assignment] # siblings
    path = folder.write_problems(problems)
    error = kind(
        f"{len(failed)} of {counted(count, 'ready file')} could not be made",
        problems=problems,
        done="all others are ready and are kept",
        untouched="native files were not changed",
        hint=f"{path} lists {counted(len(problems), 'problem')}",
    )
    error.__cause__ = first
    return error


# --- which files are made of what ----------------------------------------------------------------


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


def plan_conversion(
    verified: Verified, options: Mapping[str, Any]
) -> tuple[ReadyFolder, dict[str, ShardTask]]:
    """Return the folder of the ready files, and the task of each file by name.

    The order of the tasks follows from the native files alone: it is the same on every computer.

    Raises:
        CallError: the dataset has no format, or the format does not know an option.
        NativeFormatError: native files are missing, unexpected or in no split.
    """
    require_format(verified.descriptor, verified.root)
    native = _native(verified)
    shards = load_format(native.block["reader"], native.folder).shards(native, options)
    record = _record(verified, shards, options)
    root = ready_folder(verified.folder, options)
    ancillary = {
        resource["path"]: resource.get("hash")
        for resource in verified.descriptor.document["resources"]
        # Of native files: each shard has its own. Native tables have addresses.
        if resource["path"] != MANIFEST_NAME and "://" not in resource["path"]
    }
    tasks = {}
    sharing = Counter(path for shard in shards for path in shard.inputs)
    for shard in shards:
        inputs = verified.manifest.select(shard.inputs)
        tasks[shard.name] = ShardTask(
            native=replace(native, paths=tuple(sorted(shard.inputs))),
            shard=shard,
            options=options,
            attributes=_provenance(record, inputs),
            root=root,
            inputs_bytes=sum(entry.size_bytes // sharing[entry.path] for entry in inputs),
        )
    identities = {name: task.identity(ancillary) for name, task in tasks.items()}
    return ReadyFolder(root, record, identities), tasks


def _record(
    verified: Verified, shards: Sequence[Shard], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the conversion record: from what and with what the ready files are made."""
    descriptor = verified.descriptor
    splits: dict[str, list[str]] = {}
    for shard in shards:
        splits.setdefault(shard.split, []).append(shard.name)
    return {
        "dataset": descriptor.dataset,
        "version": descriptor.version,
        "title": descriptor.title,
        "discovery": _discovery(descriptor, is_synthetic=verified.is_synthetic),
        "references": list(descriptor.document["sciml"]["citation"]),
        "licenses": [license_["name"] for license_ in descriptor.document["licenses"]],
        "native": dict(descriptor.native),
        "variables": descriptor.document["sciml"]["variables"],
        "native_manifest_sha256": verified.manifest.digest,
        "options": dict(options),
        "is_synthetic": verified.is_synthetic,
        "sciml_data": READY_FORM,
        "splits": splits,
    }


def _provenance(record: Mapping[str, Any], inputs: Manifest) -> dict[str, Any]:
    """Return the attributes of a ready file that name its origin.

    They have the digest of its own native files only. With the digest of the whole dataset, every
    file would have to be made again when a file is added.
    """
    title = ("SYNTHETIC sample of: " if record["is_synthetic"] else "") + record["title"]
    names = [f"{entry.hash}  {entry.path}" for entry in inputs]
    if len(names) > MAX_INPUTS_NAMED:
        names = [f"{len(names)} files"]
    return {
        "title": title,
        "dataset": record["dataset"],
        "dataset_version": record["version"],
        "native_files": "\n".join(names),
        "native_files_sha256": inputs.digest,
        "conversion_options": json.dumps(record["options"], sort_keys=True),
        "sciml_data_version": record["sciml_data"],
        "synthetic": "true" if record["is_synthetic"] else "false",
        "license": ", ".join(record["licenses"]),
        "references": "\n".join(record["references"]),
        "history": f"converted by sciml-data {record['sciml_data']} from native_files",
        **record["discovery"],
    }


# --- attributes for discovery --------------------------------------------------------------------

# Units of a descriptor's time resolution -> designator of an ISO 8601 duration.
DURATIONS = {
    "second": "PT{}S", "minute": "PT{}M", "hour": "PT{}H", "day": "P{}D", "month": "P{}M",
    "year": "P{}Y",
}  # fmt: skip


def _discovery(descriptor: Descriptor, *, is_synthetic: bool) -> dict[str, Any]:
    """Return the attributes of ACDD 1.3 (Attribute Convention for Data Discovery) of ready files.

    They are those of the whole dataset. A sample has neither the makers of the real data nor their
    place, time and instrument.
    """
    document, block = descriptor.document, descriptor.document["sciml"]
    attributes: dict[str, Any] = {
        "id": f"{descriptor.dataset}/{descriptor.version}",
        "keywords": ", ".join(document["keywords"]),
    }
    if is_synthetic:
        made = descriptor.sample.get("description", "made by a generator from a seed")
        return attributes | {
            "summary": f"Synthetic sample: {made}",
            "creator_name": "sciml-data",
            "creator_type": "group",
        }
    attributes["summary"] = descriptor.description
    for role in ("creator", "publisher"):
        people = [who for who in document["contributors"] if role in who.get("roles", ())]
        attributes |= _people(role, people)
    coverage = block.get("coverage", {})
    attributes |= _space(coverage.get("spatial", {})) | _time(coverage.get("temporal", {}))
    instruments = coverage.get("instruments", ())
    for key, source in (("instrument", "name"), ("platform", "platform")):
        names = dict.fromkeys(item[source] for item in instruments if source in item)
        attributes |= {key: "; ".join(names)} if names else {}
    return attributes


def _people(role: str, people: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return names, types and addresses of the people and institutions in a role."""
    if not people:
        return {}
    kinds = ["person" if "familyName" in who else "institution" for who in people]
    addresses = [who["path"] for who in people if "path" in who]
    named = {f"{role}_url": "; ".join(addresses)} if addresses else {}
    return {
        f"{role}_name": "; ".join(who["title"] for who in people),
        f"{role}_type": "; ".join(kinds),
        **named,
    }


def _space(spatial: Mapping[str, Any]) -> dict[str, Any]:
    names = {"south": "lat_min", "north": "lat_max", "west": "lon_min", "east": "lon_max"}
    attributes: dict[str, Any] = {
        f"geospatial_{name}": float(spatial[side])
        for side, name in names.items()
        if side in spatial
    }
    if "crs" in spatial:
        attributes["geospatial_bounds_crs"] = spatial["crs"]
    if resolution := spatial.get("resolution"):
        text = f"{resolution['value']} {resolution['unit']}"
        attributes |= dict.fromkeys(
            ("geospatial_lat_resolution", "geospatial_lon_resolution"), text
        )
    return attributes


def _time(temporal: Mapping[str, Any]) -> dict[str, str]:
    attributes = {
        f"time_coverage_{end}": temporal[end] for end in ("start", "end") if end in temporal
    }
    if resolution := temporal.get("resolution"):
        duration = DURATIONS[resolution["unit"]].format(resolution["value"])
        attributes["time_coverage_resolution"] = duration
    return attributes


def _open_pool(
    workers: int | str | Executor, task: ShardTask, count: int
) -> AbstractContextManager[WorkerPool]:
    """Return a pool of workers as a context manager.

    Args:
        workers: number of processes, address or scheduler file of a Dask cluster, or an executor.
        task: one of the tasks; a cluster is checked for its folders.
        count: number of tasks.

    Raises:
        CallError: the cluster cannot be reached, or Dask is not installed.
        ConversionError: workers of the cluster have other software or see other folders.
    """
    if isinstance(workers, Executor):
        return nullcontext(WorkerPool(workers, QUEUED_AT_EXECUTOR))
    if isinstance(workers, str):
        from sciml_data.ready.dask_cluster import open_cluster

        return open_cluster(workers, task)
    if min(workers, count) <= 1:
        return single_thread_pool()
    return shard_processes(min(workers, count))

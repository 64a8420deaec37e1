"""Turn verified native files into analysis-ready NetCDF-4, the same bytes each time.

A dataset is converted shard by shard. A shard is a pure function of native files and options, so
any `concurrent.futures` executor may make it, here or on a cluster that sees the same folders. Each
is written under a temporary name and renamed when whole: what was made before a cut is not made
again.

    <ready>/<digest of the options>/events.nc        ready files, as the reader names them
    <ready>/<digest of the options>/manifest.csv     written last: it says that the folder is whole
    <ready>/<digest of the options>/conversion.json  of what, with what, and which file is in which
    split
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sciml_data
from sciml_data.errors import ConversionError, Problem, SciMLDataError
from sciml_data.home import DatasetFolder, publish, write_atomically
from sciml_data.manifest import Entry, Manifest, hash_file, read_manifest
from sciml_data.readers import Native, Shard, load_reader
from sciml_data.stages import Converted, Verified

if TYPE_CHECKING:
    from sciml_data.descriptor import Descriptor

MANIFEST_NAME = "manifest.csv"
RECORD_NAME = "conversion.json"
DIGEST_LETTERS = 12  # of sha256: a folder name; the whole of the options stands in the record
Notice = Callable[[str], None]


def convert(
    verified: Verified,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    again: bool = False,
    notice: Notice | None = None,
) -> Converted:
    """Return the ready files of a dataset, making those that are not there.

    Args:
        verified: native files whose bytes are right.
        options: the reader's options; none gives its defaults.
        workers: processes to use where no executor is given.
        executor: where shards are made instead; it is not shut down.
        again: make every file anew.
        notice: told each shard that was made or kept, and the throughput in native bytes.

    Raises:
        CallError: the reader does not know an option.
        NativeFormatError: a native file does not follow its format.
        ConversionError: several shards failed; `.problems` has what each said.
    """
    options, tell = dict(options or {}), notice or _silent
    root = ready_folder(verified.folder, options)
    native = _native(verified)
    shards = load_reader(native.block["reader"]).shards(native, options)
    record = _record(verified, options, shards)
    with verified.folder.lock("convert"):
        if again or _read_record(root) != record:
            _clear(root)
        if (root / MANIFEST_NAME).is_file():
            tell(f"nothing to convert: {len(shards)} ready files are there")
        else:
            write_atomically(
                root / RECORD_NAME, json.dumps(record, indent=2, sort_keys=True) + "\n"
            )
            missing = [shard for shard in shards if not (root / shard.name).is_file()]
            for shard in shards:
                if shard not in missing:
                    tell(f"{shard.name}: kept, it was ready")
            with ExitStack() as stack:
                chosen = executor or stack.enter_context(_executor(workers, len(missing)))
                _make_all(native, missing, record, root=root, executor=chosen, tell=tell)
            manifest = _manifest_of_shards(root, shards)
            write_atomically(root / MANIFEST_NAME, manifest.dump())
    return _converted(verified.descriptor, root, record)


def find_converted(
    descriptor: Descriptor, folder: DatasetFolder, options: Mapping[str, Any] | None = None
) -> Converted | None:
    """Return the ready files that were made with these options, None where there are none."""
    root = ready_folder(folder, options or {})
    record = _read_record(root)
    if record is None or not (root / MANIFEST_NAME).is_file():
        return None
    return _converted(descriptor, root, record)


def ready_folder(folder: DatasetFolder, options: Mapping[str, Any]) -> Path:
    """Return the folder of the ready files made with these options."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return folder.ready / hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]


def shards_of_split(converted: Converted, split: str | None = None) -> dict[str, list[str]]:
    """Return the ready files by split, only one split where it is named."""
    record = _read_record(converted.root) or {"splits": {}}
    splits: dict[str, list[str]] = record["splits"]
    return {name: files for name, files in splits.items() if split in (None, name)}


def make_shard(
    native: Native, shard: Shard, record: Mapping[str, Any], target: Path
) -> tuple[str, float]:
    """Make one ready file, and return its name and the seconds it took.

    A pure function of the native files and the record but for its effect: `target` is there, whole.
    """
    started = time.perf_counter()
    reader = load_reader(native.block["reader"])
    dataset = reader.read(native, shard, record["options"])
    dataset.attrs.update(_provenance(record))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _create_without_times(temporary)
        dataset.to_netcdf(temporary, mode="a", engine="h5netcdf", format="NETCDF4")
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return shard.name, time.perf_counter() - started


def _create_without_times(path: Path) -> None:
    """Create an empty HDF5 file whose root group does not remember when it was made.

    h5netcdf makes it otherwise and has no option for it; then no two files would be the same.
    """
    import h5py

    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    in_order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED  # as netCDF-4 wants it
    creation.set_link_creation_order(in_order)
    creation.set_attr_creation_order(in_order)
    h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fcpl=creation).close()


def _silent(_: str) -> None:
    pass


def _native(verified: Verified) -> Native:
    descriptor = verified.descriptor
    paths = tuple(sorted(verified.manifest.by_path))
    return Native(verified.root, descriptor.folder, descriptor.native, paths)


def _record(
    verified: Verified, options: Mapping[str, Any], shards: tuple[Shard, ...]
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
        "native_manifest_sha256": verified.manifest.digest,
        "options": dict(options),
        "is_synthetic": verified.is_synthetic,
        "sciml_data": sciml_data.__version__,
        "splits": splits,
    }


def _provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that say where a ready file comes from."""
    title = ("SYNTHETIC sample of: " if record["is_synthetic"] else "") + record["title"]
    return {
        "title": title,
        "dataset": record["dataset"],
        "dataset_version": record["version"],
        "native_manifest_sha256": record["native_manifest_sha256"],
        "conversion_options": json.dumps(record["options"], sort_keys=True),
        "sciml_data_version": record["sciml_data"],
        "synthetic": "true" if record["is_synthetic"] else "false",
        "license": ", ".join(record["licenses"]),
        "references": "\n".join(record["references"]),
    }


def _executor(workers: int, tasks: int) -> Executor:
    if min(workers, tasks) <= 1:
        return _InTurn()
    return ProcessPoolExecutor(min(workers, tasks), mp_context=get_context("spawn"))


class _InTurn(Executor):
    """An executor that does each thing when it is asked for, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except SciMLDataError as error:
            future.set_exception(error)
        return future


def _make_all(
    native: Native,
    shards: list[Shard],
    record: Mapping[str, Any],
    *,
    root: Path,
    executor: Executor,
    tell: Notice,
) -> None:
    """Make the shards and say how quick it was; the rest is finished before an error is raised."""
    started = time.perf_counter()
    futures = [
        executor.submit(make_shard, native, shard, record, root / shard.name) for shard in shards
    ]
    errors: list[SciMLDataError] = []
    for future in futures:
        try:
            name, seconds = future.result()
        except SciMLDataError as error:
            errors.append(error)
        else:
            tell(f"{name}: made in {seconds:.1f} s")
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConversionError(
            f"{len(errors)} of {len(shards)} ready files could not be made",
            problems=[
                problem
                for error in errors
                for problem in error.problems or (Problem("failed", "shard", error.wrong),)
            ],
            untouched="what was made is kept",
        )
    seconds = max(time.perf_counter() - started, 1e-6)
    inputs = {path for shard in shards for path in shard.inputs}
    size_mb = sum((native.root / path).stat().st_size for path in inputs) / 1e6
    if shards:
        tell(f"converted {size_mb:.1f} MB in {seconds:.1f} s: {size_mb / seconds:.1f} MB/s")


def _manifest_of_shards(root: Path, shards: tuple[Shard, ...]) -> Manifest:
    entries = []
    for shard in shards:
        path = root / shard.name
        entries.append(Entry(shard.name, path.stat().st_size, hash_file(path)))
    return Manifest(tuple(sorted(entries)))


def _clear(root: Path) -> None:
    """Remove what another conversion left; the manifest first, so that the folder is not whole."""
    (root / MANIFEST_NAME).unlink(missing_ok=True)
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def _read_record(root: Path) -> dict[str, Any] | None:
    path = root / RECORD_NAME
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _converted(descriptor: Descriptor, root: Path, record: Mapping[str, Any]) -> Converted:
    return Converted(
        descriptor=descriptor,
        root=root,
        manifest=read_manifest(root / MANIFEST_NAME),
        native_digest=record["native_manifest_sha256"],
        is_synthetic=record["is_synthetic"],
        options=record["options"],
    )

"""Ready forms that the registry lists: fetch one instead of native files, or stream from it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sciml_data.errors import ConversionError, FetchError, NoSpaceError
from sciml_data.home import DatasetFolder, Home
from sciml_data.progress import Log, Progress
from sciml_data.ready.folder import (
    CHUNKS_NAME,
    MANIFEST_NAME,
    RECORD_NAME,
    STAT_CACHE_NAME,
    find_converted,
    folder_name,
    read_record,
    ready_folder,
    write_manifest,
)
from sciml_data.ready.streaming.cache import ChunkCache
from sciml_data.ready.streaming.reader import REQUESTS, ChunkReader
from sciml_data.ready.streaming.streamed import Streamed
from sciml_data.ready.verification import ready_problems
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.ready_form import ReadyForm, published_ready_form
from sciml_data.registry.stages import Converted, Plan, PlannedFile, StoredCopy
from sciml_data.transfer.download.engine import fetch
from sciml_data.transfer.download.local_files import StatCache
from sciml_data.transfer.protocols.mirrors import user_mirrors
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.ranges import RangeReader

logger = logging.getLogger(__name__)
CACHE_FOLDER = "chunks"  # in the home; all datasets share it
CACHE_BYTES = 20 * 10**9
STREAM_FOLDER = "stream"  # of a dataset's version: indexes of streamed forms
# Of a dataset's version: forms on their way. Not the folder of the indexes, from which other
# processes may stream when a form is complete and is moved.
ARRIVING_FOLDER = "arriving"
SCHEMES = ("https:", "http:", "file:")  # whose addresses can be continued by a path


def open_stream(  # noqa: PLR0913 - the version, where it is, and how it is read
    descriptor: Descriptor,
    home: Home,
    *,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    cache_bytes: int | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
) -> Streamed:
    """Return a published ready form whose chunks are read from a mirror when they are needed.

    The conversion record and the chunk index are fetched once, and checked against the manifest of
    the registry.

    Args:
        descriptor: of the version.
        home: of the index and of the cache of chunks.
        options: of the conversion; None are the defaults.
        mirrors: addresses to try before those of the registry and of the user's configuration.
        cache_bytes: bound of the cache; None is 20 GB.
        log: gets a line for each mirror that fails.
        retry: timeouts and retries.

    Raises:
        CallError: the registry lists no such ready form, a mirror is not valid, or the cache is
            smaller than a chunk.
        FetchError: no mirror has the index.
        VerificationError: the index is damaged.
    """
    log = log or logger.info
    index, bases = fetch_index(
        descriptor, home, options=options, mirrors=mirrors, log=log, retry=retry
    )
    hint = (
        "check the network and the mirror, then run the same command again; or fetch the files "
        f"first: sciml-data get {descriptor.dataset} --version {descriptor.version} --ready"
    )
    max_bytes = CACHE_BYTES if cache_bytes is None else cache_bytes
    reader = ChunkReader(
        index.root,
        RangeReader(bases, REQUESTS, retry or RetryPolicy(), hint, log),
        ChunkCache(home.root / CACHE_FOLDER, max_bytes, log),
    )
    return Streamed(**vars(index), reader=reader)


def fetch_index(
    descriptor: Descriptor,
    home: Home,
    *,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    log: Log | None = None,
    retry: RetryPolicy | None = None,
) -> tuple[Converted, list[str]]:
    """Return a published ready form without its files, and the addresses that may have them.

    Args:
        descriptor: see `open_stream`, as for the other arguments.
        home: of the index.
        options: of the conversion.
        mirrors: addresses.
        log: gets a line for each mirror that fails.
        retry: timeouts and retries.

    Raises:
        CallError: the registry lists no such ready form, or a mirror is not valid.
        FetchError: no mirror has the index.
    """
    form = published_ready_form(descriptor, options)
    folder = _folder_in(STREAM_FOLDER, descriptor, home, form)
    bases = _bases(descriptor, form, user_mirrors(mirrors))
    _fetch(_plan(descriptor, form, folder, bases, [RECORD_NAME, CHUNKS_NAME]), log=log, retry=retry)
    record = read_record(folder.native) or {}
    converted = Converted(
        descriptor=descriptor,
        root=folder.native,
        manifest=ready_manifest(form),
        native_digest=record["native_manifest_sha256"],
        is_synthetic=record["is_synthetic"],
        options=dict(record["options"]),
    )
    return converted, bases


def fetch_ready(  # noqa: PLR0913 - the version, where it is, and how it is fetched
    descriptor: Descriptor,
    home: Home,
    *,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    jobs: int = 8,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Return a published ready form after its missing files were fetched and checked.

    It appears in the folder of ready files when it is complete, as if it were converted here.

    Args:
        descriptor: of the version.
        home: to fetch into.
        options: of the conversion; None are the defaults.
        mirrors: addresses to try before those of the registry and of the user's configuration.
        jobs: number of parallel requests.
        log: gets a line for each mirror that fails.
        progress: gets (bytes done, total bytes).

    Raises:
        CallError: the registry lists no such ready form, or a mirror is not valid.
        FetchError: a file could not be fetched; `.problems` has the reason of each mirror.
    """
    form = published_ready_form(descriptor, options)
    owner = home.dataset(descriptor.dataset, descriptor.version)
    if complete := _complete(descriptor, owner, form):
        return complete
    # Not the lock of the dataset: a fetch takes hours, in which other forms can be converted.
    arriving = DatasetFolder(owner.own.root / ARRIVING_FOLDER, waiting=owner.waiting)
    with arriving.lock(f"fetch ready files of {descriptor.dataset}"):
        if complete := _complete(descriptor, owner, form):
            return complete  # another process has fetched them meanwhile
        plan = plan_ready(descriptor, home, options=options, mirrors=mirrors)
        _fetch(plan, jobs=jobs, log=log, progress=progress)
        target = ready_folder(owner, form.options)
        with owner.own.lock(f"fetch ready files of {descriptor.dataset}"):
            _publish(plan.folder, target, ready_manifest(form))
    converted = find_converted(descriptor, owner, form.options)
    if converted is None:
        raise ConversionError(
            f"the ready files in {target} were removed while they were fetched",
            untouched="nothing else was changed",
            hint="run the same command again",
        )
    return converted


def plan_ready(
    descriptor: Descriptor,
    home: Home,
    *,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
) -> Plan:
    """Return the files of a published ready form, and where they come from; nothing is fetched.

    Args:
        descriptor: of the version.
        home: to fetch into. Its ready files of this form are copies that the fetch may use.
        options: of the conversion; None are the defaults.
        mirrors: addresses to try before those of the registry and of the user's configuration.

    Raises:
        CallError: the registry lists no such ready form, or a mirror is not valid.
    """
    form = published_ready_form(descriptor, options)
    target = ready_folder(home.dataset(descriptor.dataset, descriptor.version), form.options)
    folder = _folder_in(ARRIVING_FOLDER, descriptor, home, form)
    bases = _bases(descriptor, form, user_mirrors(mirrors))
    plan = _plan(descriptor, form, folder, bases, [entry.path for entry in form.manifest])
    places = {file: target / file.path for file in plan.files}
    copies = {
        file.path: StoredCopy(place, "the ready files here")
        for file, place in places.items()
        if place.is_file() and place.stat().st_size == file.size_bytes
    }
    return replace(plan, copies=copies)


def _fetch(plan: Plan, **how: Any) -> None:
    """Fetch files of a form; hints of errors do not name options that only native files have."""
    try:
        fetch(plan, **how)
    except NoSpaceError as error:
        error.hint = "make room, or use another folder with --home; then run the same command again"
        raise
    except FetchError as error:
        error.hint = (
            "run the same command again, or name a folder or server that has the ready files: "
            "--mirror file:DIR"
        )
        raise


def _complete(descriptor: Descriptor, owner: DatasetFolder, form: ReadyForm) -> Converted | None:
    """Return the ready files of a form if all of them are here."""
    existing = find_converted(descriptor, owner, form.options)
    if existing and existing.manifest == ready_manifest(form) and not ready_problems(existing):
        return existing
    return None


def _publish(folder: DatasetFolder, target: Path, manifest: Manifest) -> None:
    """Put a complete set of ready files in the place of converted ones."""
    write_manifest(folder.native, manifest)
    cache = StatCache(folder.native / STAT_CACHE_NAME, folder.native)
    for entry in manifest:  # they were hashed a moment ago
        cache.add(entry.path, entry.hash)
    cache.save()
    if target.exists():
        (target / MANIFEST_NAME).unlink(missing_ok=True)  # incomplete, until it is replaced
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.native.rename(target)
    shutil.rmtree(folder.root)


def ready_manifest(form: ReadyForm) -> Manifest:
    """Return the manifest of the ready files alone, as a conversion writes it."""
    about = {RECORD_NAME, CHUNKS_NAME}
    return Manifest(tuple(entry for entry in form.manifest if entry.path not in about))


def _folder_in(name: str, descriptor: Descriptor, home: Home, form: ReadyForm) -> DatasetFolder:
    """Return the folder of a form in one of the folders above."""
    owner = home.dataset(descriptor.dataset, descriptor.version).own
    return DatasetFolder(owner.root / name / folder_name(form.options), waiting=owner.waiting)


def _plan(
    descriptor: Descriptor,
    form: ReadyForm,
    folder: DatasetFolder,
    bases: Sequence[str],
    names: Sequence[str],
) -> Plan:
    entries = form.manifest.select(names)
    files = tuple(
        PlannedFile(
            entry.path,
            entry.size_bytes,
            entry.hash,
            tuple(base + quote(entry.path) for base in bases),
        )
        for entry in entries
    )
    # The native files may be unpinned; the published ready files are not.
    pinned = replace(descriptor, manifest=form.manifest, trust="pinned", mirrors=())
    return Plan(pinned, files, folder, is_whole=len(files) == len(form.manifest))


def _bases(descriptor: Descriptor, form: ReadyForm, mirrors: Sequence[str]) -> list[str]:
    """Return the addresses that may have the folder of a form, in the order to try."""
    return list(dict.fromkeys([*_on_mirrors(descriptor, form, mirrors), *form.urls]))


def _on_mirrors(descriptor: Descriptor, form: ReadyForm, mirrors: Sequence[str]) -> Iterator[str]:
    """Yield the addresses on mirrors of the user: HOST/PATH of the public one, or the folder."""
    own = f"{quote(descriptor.dataset)}/{quote(descriptor.version)}/ready/"
    for mirror in mirrors:
        if mirror.startswith(SCHEMES):
            for url in map(urlsplit, form.urls):
                yield f"{mirror}/{url.netloc}{url.path}"
            yield f"{mirror}/{own}{folder_name(form.options)}/"
            yield f"{mirror}/"

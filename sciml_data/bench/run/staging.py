"""Bring a benchmark's dataset to this computer: fetch, verify, convert and open it.

Each stage skips the files that are already complete, so a second run starts at once. Ready files
are checked before every run: a file is hashed if its size, mtime or inode differs from the moment
when it was last hashed. A changed file is made again from the native files.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml_data.bench.monitoring.page_cache import NOT_REQUESTED, CacheClear, clear_cached
from sciml_data.bench.task.task import Task
from sciml_data.errors import (
    MAX_PRINTED_PROBLEMS,
    CallError,
    FetchError,
    ListingError,
    Problem,
    SciMLDataError,
    VerificationError,
)
from sciml_data.home import DatasetFolder, Home
from sciml_data.progress import Progress, counted, format_bytes
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.registry.stages import Converted, Fetched

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger(__name__)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    """The choice of a synthetic sample.

    Attributes:
        seed: of the generator.
        overrides: `KEY=VALUE` texts that change the size of the sample.
    """

    seed: int
    overrides: Sequence[str] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Sample | None:
        """Return the sample in a record's `dataset`; None for real data."""
        seed = data["sample_seed"]
        return None if seed is None else cls(seed, tuple(data["sample_set"]))


@dataclass(frozen=True)
class Source:
    """An open dataset, and its description for a record.

    Attributes:
        dataset: the ready dataset, read lazily; the `Converted` files if the runner reads files.
        dataset_id: id in the registry.
        version: in the registry.
        manifest_digest: of the native files, `sha256:hex`.
        ready_digest: sha256 of the manifest of the ready files, `sha256:hex`. When the run began,
            every file had the hash in the manifest: it was hashed, or its size, mtime and inode
            were those of the moment when it was hashed last. None if there are no files.
        is_synthetic: whether the data were generated.
        sample_seed: seed of the generator; None for real data.
        sample_set: `KEY=VALUE` texts of a sample that does not have the default size.
        cache_clear: outcome of clearing the page cache before the ready files were opened.
        files: the ready files; None if they are not on disk.
    """

    dataset: xr.Dataset | Converted
    dataset_id: str
    version: str
    manifest_digest: str
    ready_digest: str | None = None
    is_synthetic: bool = False
    sample_seed: int | None = None
    sample_set: tuple[str, ...] = ()
    cache_clear: CacheClear = NOT_REQUESTED
    files: Converted | None = None


def stage(  # noqa: PLR0913 - keyword-only options of the command line
    task: Task,
    registry: Registry,
    *,
    home: Home,
    mirrors: Sequence[str] = (),
    sample: Sample | None = None,
    clear_cache: bool = False,
    stream: bool = False,
    cache_bytes: int | None = None,
    log: Log = logger.info,
    progress: Progress | None = None,
) -> Source:
    """Fetch, verify, convert and open a task's dataset; skip what is already done.

    Args:
        task: names the dataset, its version and, as variant, the group of ready files to open.
        registry: that describes the dataset.
        home: for the dataset's files.
        mirrors: URLs to use before the descriptor's mirrors.
        sample: to make instead of fetching real data.
        clear_cache: drop the ready files from the page cache, so that they are read from disk.
        stream: read the published ready form from a mirror, chunk by chunk, instead of files here.
        cache_bytes: bound of the cache of streamed chunks; None is 20 GB.
        log: gets a line for each step.
        progress: gets (done, total): bytes of the fetch or parts of the sample, then the bytes that
            are converted.

    Raises:
        SciMLDataError: a stage failed.
    """
    from sciml_data.bench.interface import load_runner, reads_files
    from sciml_data.formats import load_format, require_format
    from sciml_data.ready import open_ready
    from sciml_data.synthetic.make import sample_overrides

    descriptor = load_descriptor(registry, task.dataset, task.version)
    seed = None if sample is None else sample.seed
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    # The code comes first: an answer that it is not trusted should not follow hours of fetching.
    runner = load_runner(registry, task.name)
    require_format(descriptor, folder.native)
    load_format(descriptor.native["reader"], descriptor.folder)
    if stream:
        streamed = _stream(descriptor, home, cache_bytes, mirrors, sample, log)
        return Source(
            dataset=streamed if reads_files(runner) else open_ready(streamed, split=task.variant),
            dataset_id=descriptor.dataset,
            version=descriptor.version,
            manifest_digest=f"sha256:{streamed.native_digest}",
            ready_digest=f"sha256:{streamed.manifest.digest}",
        )
    converted = _find_unchanged(descriptor, folder, log)
    if converted is None or not _is_current(converted, descriptor, home, sample):
        fetched = _fetch(
            descriptor, home, mirrors=mirrors, sample=sample, log=log, progress=progress
        )
        converted = _convert(fetched, log, progress)
    cache_clear = _clear_cache(converted, log) if clear_cache else NOT_REQUESTED
    return Source(
        dataset=converted if reads_files(runner) else open_ready(converted, split=task.variant),
        dataset_id=descriptor.dataset,
        version=descriptor.version,
        manifest_digest=f"sha256:{converted.native_digest}",
        ready_digest=f"sha256:{converted.manifest.digest}",
        is_synthetic=converted.is_synthetic,
        sample_seed=seed,
        sample_set=sample_overrides(folder) if seed is not None else (),
        cache_clear=cache_clear,
        files=converted,
    )


def _stream(
    descriptor: Descriptor,
    home: Home,
    cache_bytes: int | None,
    mirrors: Sequence[str],
    sample: Sample | None,
    log: Log,
) -> Converted:
    """Return the published ready form, of which chunks are read when they are needed."""
    from sciml_data.ready.streaming import open_stream

    if sample is not None:
        raise CallError(
            "a synthetic sample is made on this computer, and cannot be streamed",
            untouched="nothing was run",
            hint="leave out --sample or --stream",
        )
    streamed = open_stream(descriptor, home, mirrors=mirrors, cache_bytes=cache_bytes, log=log)
    cache = streamed.reader.cache
    log(
        f"streaming {descriptor.dataset} {descriptor.version} "
        f"through {format_bytes(cache.max_bytes)} of cache in {cache.folder}"
    )
    return streamed


@contextlib.contextmanager
def unchanged_data(source: Source) -> Iterator[None]:
    """Raise an error that names the ready files which change while the block reads them.

    A changed file shows as an error of HDF5 or of a reader that does not name it, or not at all:
    then the block has used values that nobody checked. A file that was removed after it was read
    did no harm.

    Args:
        source: the data that the block reads.

    Raises:
        VerificationError: files were changed, or the block failed and files are missing.
    """
    try:
        yield
    except SciMLDataError:  # it says itself what is wrong
        raise
    except Exception as error:
        if problems := _problems(source):
            raise _changed_while_read(source, problems) from error
        raise
    if problems := [problem for problem in _problems(source) if problem.kind != "missing"]:
        raise _changed_while_read(source, problems)


def _problems(source: Source) -> list[Problem]:
    from sciml_data.ready import ready_problems

    return [] if source.files is None else ready_problems(source.files)


def _changed_while_read(source: Source, problems: Sequence[Problem]) -> VerificationError:
    return VerificationError(
        f"{source.dataset_id} {source.version}: {counted(len(problems), 'ready file')} changed "
        "while being read",
        problems=problems,
        untouched="the files were left as they are",
        hint="run the same command again: it makes the files again from the native files",
    )


def _clear_cache(converted: Converted, log: Log) -> CacheClear:
    cache_clear = clear_cached(converted.root / entry.path for entry in converted.manifest)
    if not cache_clear.done:
        log(f"the page cache was not cleared: {cache_clear.reason}")
    return cache_clear


def _find_unchanged(descriptor: Descriptor, folder: DatasetFolder, log: Log) -> Converted | None:
    """Return the ready files, None if they do not exist or must be made again."""
    from sciml_data.ready import find_converted, require_unchanged

    try:
        converted = find_converted(descriptor, folder)
        if converted is not None:
            require_unchanged(converted, progress=_first_line(log))
    except VerificationError as error:
        log("\n".join([error.message, *map(str, error.problems[:MAX_PRINTED_PROBLEMS])]))
        log("they are made again from the native files")
        return None
    return converted


def _first_line(log: Log) -> Progress:
    """Return a callback that logs once that files are read; a terabyte takes many minutes."""
    is_logged = False

    def show(_done: int, total_bytes: int) -> None:
        nonlocal is_logged
        if not is_logged:
            is_logged = True
            log(f"checking ready files that are new here: {format_bytes(total_bytes)}")

    return show


def _is_current(
    converted: Converted, descriptor: Descriptor, home: Home, sample: Sample | None
) -> bool:
    """Return whether ready files were made from the native files of the descriptor or sample."""
    from sciml_data.synthetic.make import existing_sample

    if sample is not None:
        existing = existing_sample(descriptor, home, seed=sample.seed, overrides=sample.overrides)
        return existing is not None and converted.native_digest == existing.manifest.digest
    if descriptor.manifest is None:
        return not converted.is_synthetic
    return converted.native_digest == descriptor.manifest.digest


def _fetch(
    descriptor: Descriptor,
    home: Home,
    *,
    mirrors: Sequence[str],
    sample: Sample | None,
    log: Log,
    progress: Progress | None = None,
) -> Fetched:
    """Return the native files; complete ones are neither fetched nor generated again."""
    from sciml_data.synthetic.make import make_sample, progress_lines
    from sciml_data.transfer.download import fetch
    from sciml_data.transfer.plan import make_plan

    name = f"{descriptor.dataset} {descriptor.version}"
    if sample is None:
        try:
            plan = make_plan(descriptor, home, mirrors=mirrors)
            size = format_bytes(plan.total_bytes)
            log(f"fetching {name}: {counted(len(plan.files), 'file')}, {size}")
            return fetch(plan, log=log, progress=progress)
        except FetchError as error:
            if type(error) in {FetchError, ListingError}:  # others are not about the network
                words = "the synthetic sample needs no network: --sample, in Python sample=True"
                error.hint = "\n".join(filter(None, [error.hint, words]))
            raise
    log(f"making the synthetic sample {sample.seed} of {name}")
    return make_sample(
        descriptor,
        home,
        seed=sample.seed,
        overrides=sample.overrides,
        progress=progress or progress_lines("sample", log),
    )


def _convert(fetched: Fetched, log: Log, progress: Progress | None) -> Converted:
    """Verify and convert the native files."""
    from sciml_data.ready import convert
    from sciml_data.transfer.verification import verify

    name = f"{fetched.descriptor.dataset} {fetched.descriptor.version}"
    log(f"verifying {name}")
    verified = verify(fetched, log=log)
    log(f"converting {name}")
    return convert(verified, log=log, progress=progress)

"""Bring a benchmark's dataset to this computer: fetched, verified, converted, open.

Every stage keeps what is there already, so a second run starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml_data.bench.monitoring.page_cache import NOT_ASKED, CacheClear, clear_cached
from sciml_data.bench.task.task import Task
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.registry.stages import Converted, Fetched

if TYPE_CHECKING:
    import xarray as xr

Log = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    """The synthetic sample that is asked for: its seed, and `KEY=VALUE` texts for its size."""

    seed: int
    overrides: Sequence[str] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Sample | None:
        """Return the sample that a record's `dataset` names; None for real data."""
        seed = data["sample_seed"]
        return None if seed is None else cls(seed, tuple(data["sample_set"]))


@dataclass(frozen=True)
class Source:
    """An open dataset, and what a record says of it.

    Attributes:
        dataset: the whole ready dataset, lazy; where the runner reads files, its `Converted`.
        dataset_id, version: as the registry names them.
        manifest_digest: of the native files, `sha256:hex`.
        ready_digest: of the converted files; None where they are not on disk.
        is_synthetic: whether the data were generated.
        sample_seed: what they were generated from; None for real data.
        sample_set: the `KEY=VALUE` texts of a sample that is not of the default size.
        cache_clear: whether the ready files were put out of memory before they were opened.
    """

    dataset: xr.Dataset | Converted
    dataset_id: str
    version: str
    manifest_digest: str
    ready_digest: str | None = None
    is_synthetic: bool = False
    sample_seed: int | None = None
    sample_set: tuple[str, ...] = ()
    cache_clear: CacheClear = NOT_ASKED


def stage(  # noqa: PLR0913 - the first two say what, the rest are keywords
    task: Task,
    registry: Registry,
    *,
    home: Home,
    mirrors: Sequence[str] = (),
    sample: Sample | None = None,
    clear_cache: bool = False,
    log: Log = lambda _text: None,
) -> Source:
    """Return the task's dataset, open, doing only what was not done yet.

    Args:
        task: names dataset and version, and the variant, which is the split of them that is opened.
        registry: where they are described.
        home: where they are kept.
        mirrors: asked before those of the descriptor.
        sample: of the synthetic data; None for the real ones.
        clear_cache: put the ready files out of the page cache, so that they are read from disk.
        log: told what is being done.

    Raises:
        SciMLDataError: whatever a stage finds wrong.
    """
    from sciml_data.bench.interface import load_runner, reads_files
    from sciml_data.ready import find_converted, open_ready
    from sciml_data.synthetic.make import sample_overrides

    descriptor = load_descriptor(registry, task.dataset, task.version)
    seed = None if sample is None else sample.seed
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    converted = find_converted(descriptor, folder)
    if converted is None or not _is_of(converted, descriptor, home, sample):
        fetched = _fetched(descriptor, home, mirrors=mirrors, sample=sample, log=log)
        converted = _converted(fetched, log)
    runner = load_runner(registry, task.name)
    cleared = _cleared(converted, log) if clear_cache else NOT_ASKED
    return Source(
        dataset=converted if reads_files(runner) else open_ready(converted, split=task.variant),
        dataset_id=descriptor.dataset,
        version=descriptor.version,
        manifest_digest=f"sha256:{converted.native_digest}",
        ready_digest=f"sha256:{converted.manifest.digest}",
        is_synthetic=converted.is_synthetic,
        sample_seed=seed,
        sample_set=sample_overrides(folder) if seed is not None else (),
        cache_clear=cleared,
    )


def _cleared(converted: Converted, log: Log) -> CacheClear:
    cleared = clear_cached(converted.root / entry.path for entry in converted.manifest)
    if not cleared.done:
        log(f"the page cache was not cleared: {cleared.reason}")
    return cleared


def _is_of(converted: Converted, descriptor: Descriptor, home: Home, sample: Sample | None) -> bool:
    """Return whether ready files were made of the native files that are wanted."""
    from sciml_data.synthetic.make import existing_sample

    if sample is not None:
        kept = existing_sample(descriptor, home, seed=sample.seed, overrides=sample.overrides)
        return kept is not None and converted.native_digest == kept.manifest.digest
    if descriptor.manifest is None:
        return not converted.is_synthetic
    return converted.native_digest == descriptor.manifest.digest


def _fetched(
    descriptor: Descriptor,
    home: Home,
    *,
    mirrors: Sequence[str],
    sample: Sample | None,
    log: Log,
) -> Fetched:
    """Return the native files; what is there already is neither fetched nor made again."""
    from sciml_data.synthetic.make import make_sample, progress_lines
    from sciml_data.transfer.download import fetch
    from sciml_data.transfer.plan import make_plan

    name = f"{descriptor.dataset} {descriptor.version}"
    if sample is None:
        plan = make_plan(descriptor, home, mirrors=mirrors)
        log(f"fetching {name}: {len(plan.files)} files, {plan.total_bytes:,} bytes")
        return fetch(plan, log=log)
    log(f"making the synthetic sample {sample.seed} of {name}")
    return make_sample(
        descriptor,
        home,
        seed=sample.seed,
        overrides=sample.overrides,
        progress=progress_lines("sample", log),
    )


def _converted(fetched: Fetched, log: Log) -> Converted:
    """Return the ready files; each stage skips what it finds done."""
    from sciml_data.ready import convert
    from sciml_data.transfer.verification import verify

    name = f"{fetched.descriptor.dataset} {fetched.descriptor.version}"
    log(f"verifying {name}")
    verified = verify(fetched)
    log(f"converting {name}")
    return convert(verified, log=log)

"""The engine from Python: the same words as the command line.

    import sciml_data
    sciml_data.get_dataset("tevolop_socal", version="1.0")
    sciml_data.convert_dataset("tevolop_socal", version="1.0")
    events = sciml_data.open_dataset("tevolop_socal", version="1.0")

The functions take the same keywords:
    version: None is the newest published one.
    sample: the synthetic sample instead of the published data; sample_seed is its seed.
    registry, home: folders; None as the command line finds them.
    log: is told what is being done, a sentence each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError
from sciml_data.formats import require_format
from sciml_data.home import find_home
from sciml_data.metadata.addresses import landing_page_address
from sciml_data.progress import Progress
from sciml_data.ready.convert import convert
from sciml_data.ready.open import open_dataset
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Converted, Fetched, Verified
from sciml_data.synthetic.make import make_sample
from sciml_data.transfer.adoption import adopt
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.verification import load_fetched, verify

if TYPE_CHECKING:
    from sciml_data.integrations.pooch import DatasetPooch

__all__ = [
    "adopt_dataset",
    "convert_dataset",
    "datasets",
    "describe",
    "get_dataset",
    "open_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]

Log = Callable[[str], None]


def datasets(*, registry: Path | None = None) -> list[str]:
    """Return the ids of all datasets of the registry."""
    return find_registry(registry).datasets()


def versions(dataset: str, *, registry: Path | None = None) -> list[str]:
    """Return the versions of a dataset, oldest first, `live` last.

    Raises:
        CallError: the registry has no such dataset.
    """
    return find_registry(registry).versions(dataset)


def describe(
    dataset: str, *, version: str | None = None, registry: Path | None = None
) -> Descriptor:
    """Return what the registry says of a dataset; `.document` is the whole descriptor.

    Raises:
        CallError: no such dataset or version.
        DescriptorError: the descriptor is not sound.
    """
    return load_descriptor(find_registry(registry), dataset, version)


def get_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    sample_set: Sequence[str] = (),
    mirrors: Sequence[str] = (),
    include: Sequence[str] = (),
    split: str | None = None,
    limit: int | None = None,
    registry: Path | None = None,
    home: Path | None = None,
    log: Log | None = None,
) -> Fetched:
    """Return the native files of a dataset, fetching those that are not here.

    Args:
        dataset: id in the registry.
        version: see above, as for `sample`, `sample_seed`, `registry`, `home`, `notice`.
        sample: make the synthetic sample.
        sample_seed: its seed.
        sample_set: ``KEY=VALUE`` texts for the size of the sample.
        mirrors: addresses asked before those of the registry, e.g. ``file:DIR``.
        include: globs; only files that one of them fits.
        split: only the files of this split.
        limit: only so many files, the first by path of those that are wanted otherwise.
        registry: registry folder.
        home: where data are kept.
        log: told of mirrors that lie or fail, and of an unpinned version's listing.

    Raises:
        CallError: no such dataset, version, split or mirror, or a glob that fits nothing; a live
            version, which is asked for with ``sciml-data get --start --end``.
        FetchError: a file could not be had, or no mirror lists what is expected of an unpinned
            version, or another listing than at first; `.problems` has every mirror's reason.
    """
    descriptor, root = describe(dataset, version=version, registry=registry), find_home(home)
    if sample:
        return make_sample(descriptor, root, seed=sample_seed, overrides=sample_set)
    plan = make_plan(
        descriptor,
        root,
        mirrors=mirrors,
        include=include,
        split=split,
        limit=limit,
        log=log,
    )
    return fetch(plan, log=log)


def adopt_dataset(  # noqa: PLR0913 - the first two name dataset and folder, the rest are keywords
    dataset: str,
    folder: Path,
    *,
    version: str | None = None,
    copy: bool = False,
    ignore: Sequence[str] = (),
    jobs: int = 2,
    registry: Path | None = None,
    home: Path | None = None,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Return the files of a folder as the native files of a dataset, after reading every byte.

    Args:
        dataset: id in the registry.
        folder: with the files, laid out as the dataset or as one of its mirrors.
        version: see above, as for `registry`, `home`, `notice`.
        copy: copy the files; else they get a second name (a hard link) in the home.
        ignore: globs of files that are left where they are.
        jobs: files to read at once.
        registry: registry folder.
        home: where data are kept.
        log: told what is found.
        progress: told of bytes (read, to read).

    Raises:
        CallError: no such dataset or version, no such folder, or the dataset is here already.
        VerificationError: `.problems` has every file that is missing, changed or not the dataset's;
            nothing was adopted.
        NoSpaceError: the disk does not hold a copy.
    """
    descriptor = describe(dataset, version=version, registry=registry)
    return adopt(
        descriptor,
        find_home(home),
        Path(folder),
        copy=copy,
        ignore=ignore,
        jobs=jobs,
        log=log,
        progress=progress,
    )


def verify_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    full: bool = False,
    registry: Path | None = None,
    home: Path | None = None,
) -> Verified:
    """Return the native files as verified, or say everything that differs.

    Args:
        dataset: id in the registry.
        version: see above, as for `sample`, `sample_seed`, `registry`, `home`.
        sample: the synthetic sample.
        sample_seed: its seed.
        full: read every byte, also of what was found right before.
        registry: registry folder.
        home: where data are kept.

    Raises:
        CallError: no such dataset or version, or it was never fetched.
        VerificationError: `.problems` has every file that is missing, changed or unexpected.
    """
    descriptor = describe(dataset, version=version, registry=registry)
    seed = sample_seed if sample else None
    folder = find_home(home).dataset(dataset, descriptor.version, sample_seed=seed)
    return verify(load_fetched(descriptor, folder), full=full)


def convert_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    workers: int | str | Executor = 1,
    again: bool = False,
    registry: Path | None = None,
    home: Path | None = None,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Return the ready files of a dataset, making those that are not there; verifies first.

    Args:
        dataset: id in the registry.
        version: see above, as for `sample`, `sample_seed`, `registry`, `home`, `notice`.
        sample: the synthetic sample.
        sample_seed: its seed.
        options: of the reader; none gives its defaults.
        workers: processes; or the address or scheduler file of a Dask cluster that sees the same
            folders; or any executor.
        again: make every file anew.
        registry: registry folder.
        home: where data are kept.
        log: told what is kept, failures, and the rate.
        progress: told of native bytes (done, to do).

    Raises:
        CallError: no such dataset, version or option, or it was never fetched, or there is no
            reader for it.
        VerificationError: native files differ; nothing was converted.
        NativeFormatError: a native file does not follow its format.
        ConversionError: ready files could not be made.
    """
    found = describe(dataset, version=version, registry=registry)
    require_format(found, find_home(home).dataset(dataset, found.version).native)
    verified = verify_dataset(
        dataset,
        version=version,
        sample=sample,
        sample_seed=sample_seed,
        registry=registry,
        home=home,
    )
    return convert(
        verified,
        options=options,
        workers=workers,
        again=again,
        log=log,
        progress=progress,
    )


def pooch(
    dataset: str,
    version: str | None = None,
    *,
    mirrors: Sequence[str] = (),
    registry: Path | None = None,
    home: Path | None = None,
    log: Log | None = None,
) -> DatasetPooch:
    """Return a dataset's native files as a `pooch.Pooch`, whose `fetch` is ours.

    Args:
        dataset: id in the registry.
        version: see above, as for `registry`, `home`, `notice`.
        mirrors: addresses asked before those of the registry, e.g. ``file:DIR``.
        registry: registry folder.
        home: where data are kept.
        log: told of mirrors that lie or fail, and of an unpinned version's listing, which is
            asked for here.

    Raises:
        CallError: no such dataset or version, a live one, or Pooch is not installed.
        ListingError: no mirror lists what is expected of an unpinned version.
    """
    try:
        from sciml_data.integrations.pooch import DatasetPooch
    except ModuleNotFoundError as error:
        raise CallError(
            "Pooch is not installed",
            untouched="nothing was fetched",
            hint="pip install 'sciml-data[pooch]'",
        ) from error
    descriptor = describe(dataset, version=version, registry=registry)
    plan = make_plan(descriptor, find_home(home), mirrors=mirrors, log=log)
    page = landing_page_address(descriptor.dataset, descriptor.version)
    return DatasetPooch(plan, base_url=page, log=log)

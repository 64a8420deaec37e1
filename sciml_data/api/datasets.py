"""The Python functions of the datasets; the command line calls the same functions.

    import sciml_data
    sciml_data.get_dataset("tevolop_socal", version="1.0")
    sciml_data.convert_dataset("tevolop_socal", version="1.0")
    events = sciml_data.open_dataset("tevolop_socal", version="1.0")

The functions share these keywords:
    version: version of the dataset; None is the newest published version.
    sample: use the synthetic sample instead of the published data; sample_seed is its seed.
    registry: registry folder, as text or Path; or several, which are searched in order. None is
        SCIML_DATA_REGISTRY. The built-in registry is always searched last.
    home: folder of all data, as text or Path; or several, of which all but the first are shared
        homes that are only read; or the result of `sciml_data.home.find_home`. None is
        SCIML_DATA_HOME, then the user's data folder.
    log: callback that gets a line of text for each step. None is the logger of the module that does
        the step, below `sciml_data`: `logging.basicConfig(level=logging.INFO)` prints the lines.
    progress: callback (done, total); or True for a bar, on a terminal or in a notebook. None logs a
        line a minute, and False nothing.

The stages are imported inside the functions: `sciml-data describe` needs none of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from sciml_data.errors import CallError
from sciml_data.home import DatasetFolder, Home, HomePath, find_home
from sciml_data.progress import (
    Progress,
    ProgressOption,
    byte_lines,
    counted,
    format_bytes,
    reporting,
)
from sciml_data.registry import Descriptor, RegistryPath, find_registry, load_descriptor

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sciml_data.integrations.pooch import DatasetPooch
    from sciml_data.registry import Converted, Fetched, Plan, Verified

logger = logging.getLogger(__name__)

__all__ = [
    "adopt_dataset",
    "convert_dataset",
    "datasets",
    "describe",
    "get_dataset",
    "plan_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]

Log = Callable[[str], None]


def datasets(*, registry: RegistryPath = None) -> list[str]:
    """Return the ids of all datasets of the registry."""
    return find_registry(registry).datasets()


def versions(dataset: str, *, registry: RegistryPath = None) -> list[str]:
    """Return the versions of a dataset, oldest first, `live` last.

    Examples:
        >>> sciml_data.versions("tevolop_socal")
        ['1.0', 'live']

    Raises:
        CallError: the registry has no such dataset.
    """
    return find_registry(registry).versions(dataset)


def describe(
    dataset: str, *, version: str | None = None, registry: RegistryPath = None
) -> Descriptor:
    """Return the descriptor of a dataset version; `.document` is its JSON.

    Examples:
        >>> sciml_data.describe("uno_ccle").splits["auc"]
        ('igtd/**', 'ccle/**')

    Raises:
        CallError: no such dataset or version.
        DescriptorError: the descriptor is not valid.
    """
    return load_descriptor(find_registry(registry), dataset, version)


def plan_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    mirrors: Sequence[str] = (),
    via: str | None = None,
    include: Sequence[str] = (),
    split: str | None = None,
    limit: int | None = None,
    registry: RegistryPath = None,
    home: HomePath = None,
    log: Log | None = None,
) -> Plan:
    """Return the files, sizes and URLs of a fetch; no file is fetched and nothing is stored.

    Args:
        dataset: id in the registry.
        version: see the module, as for `registry`, `home` and `log`.
        mirrors: as in `get_dataset`, also `via`, `include`, `split` and `limit`.
        via: protocol of the mirrors.
        include: globs.
        split: name of a split.
        limit: number of files.
        registry: registry folder.
        home: folder of all data.
        log: gets the mirrors' listings of an unpinned version.

    Raises:
        CallError: no such dataset, version, split or mirror, a glob that matches no file, or a live
            version, which has no list of files.
        ListingError: no mirror lists the expected files of an unpinned version.
    """
    from sciml_data.transfer import make_plan

    return make_plan(
        describe(dataset, version=version, registry=registry),
        find_home(home, log=log),
        mirrors=_addresses(mirrors, via),
        include=include,
        split=split,
        limit=limit,
        log=log,
        keep_listing=False,
    )


def get_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    sample_set: Sequence[str] = (),
    mirrors: Sequence[str] = (),
    via: str | None = None,
    include: Sequence[str] = (),
    split: str | None = None,
    limit: int | None = None,
    start: str | None = None,
    end: str | None = None,
    jobs: int = 8,
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: ProgressOption = None,
) -> Fetched:
    """Return the native files of a dataset, after missing files are fetched.

    Examples:
        >>> fetched = sciml_data.get_dataset("hydronet_ds1", sample=True)
        >>> len(fetched.manifest), fetched.is_synthetic
        (2, True)

    Args:
        dataset: id in the registry.
        version: see the module, as for `sample`, `sample_seed`, `registry`, `home` and `log`.
        sample: make the synthetic sample.
        sample_seed: seed of the sample.
        sample_set: ``KEY=VALUE`` texts for the size of the sample.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        via: protocol of the mirrors: ``datalad`` if each is a DataLad dataset.
        include: globs; only files that match one of them are fetched.
        split: name of a split; only its files are fetched.
        limit: number of files; the first of the selected files by path are fetched.
        start: start of the period of a live version, inclusive; ISO 8601, UTC.
        end: end of the period of a live version, exclusive; ISO 8601, UTC.
        jobs: number of parallel requests.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets mirrors that fail, and the listing of an unpinned version.
        progress: gets bytes (done, total), parts of a sample (done, total), or events of a live
            version (fetched, expected).

    Raises:
        CallError: no such dataset, version, split or mirror, a glob that matches no file, or
            keywords that do not apply to a sample, a live or a fixed version.
        FetchError: a file could not be fetched, or no mirror lists the expected files of an
            unpinned version; `.problems` has the reason of every mirror.
    """
    descriptor, root = (
        describe(dataset, version=version, registry=registry),
        find_home(home, wait=wait, log=log),
    )
    selection = {"include": include, "split": split, "limit": limit}
    period = {"start": start, "end": end}
    _check_keywords(descriptor, selection, period, sample_set, sample=sample)
    mirrors = _addresses(mirrors, via)
    if sample:
        return _make_sample(descriptor, root, sample_seed, sample_set, log, progress)
    from sciml_data.transfer import fetch, fetch_live, make_plan, user_mirrors

    activity = f"get {dataset}"
    with reporting(progress, activity, byte_lines(activity, log or logger.info)) as report:
        if descriptor.live is not None:
            folder = root.dataset(descriptor.dataset, descriptor.version)
            bases, lines = user_mirrors(mirrors), log or logger.info
            return fetch_live(
                descriptor, folder, start=start, end=end, mirrors=bases, log=lines, progress=report
            )
        plan = make_plan(
            descriptor, root, mirrors=mirrors, include=include, split=split, limit=limit, log=log
        )
        _log_plan(plan, log or logger.info)
        fetched = fetch(plan, jobs=jobs, log=log, progress=report)
    if not descriptor.is_pinned:
        _log_unpinned(plan, log or logger.info)
    return fetched


def _make_sample(
    descriptor: Descriptor,
    home: Home,
    seed: int,
    overrides: Sequence[str],
    log: Log | None,
    progress: ProgressOption,
) -> Fetched:
    from sciml_data.synthetic import make_sample, progress_lines

    activity = f"sample of {descriptor.dataset}"
    lines = progress_lines(activity, log or logger.info)
    with reporting(progress, activity, lines, unit="part") as report:
        return make_sample(descriptor, home, seed=seed, overrides=overrides, progress=report)


def adopt_dataset(  # noqa: PLR0913 - the first two name dataset and folder, the rest are keywords
    dataset: str,
    folder: str | Path,
    *,
    version: str | None = None,
    copy: bool = False,
    ignore: Sequence[str] = (),
    jobs: int = 2,
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: ProgressOption = None,
) -> Fetched:
    """Import the files of a local folder as a dataset's native files; every byte is checked.

    Args:
        dataset: id in the registry.
        folder: folder of the files, with the paths of the dataset or of a mirror of it.
        version: see the module, as for `registry`, `home` and `log`.
        copy: copy the files; otherwise they are hard-linked into the home.
        ignore: globs of files to skip.
        jobs: number of files to read in parallel.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step.
        progress: gets bytes (read, to read).

    Raises:
        CallError: no such dataset, version or folder, or the dataset is in the home already.
        VerificationError: `.problems` has every file that is missing, changed or unknown; nothing
            was imported.
        NoSpaceError: the disk has no space for a copy.
    """
    from sciml_data.transfer import adopt

    activity = f"adopt {dataset}"
    with reporting(progress, activity, byte_lines(activity, log or logger.info)) as report:
        return adopt(
            describe(dataset, version=version, registry=registry),
            find_home(home, wait=wait, log=log),
            Path(folder),
            copy=copy,
            ignore=ignore,
            jobs=jobs,
            log=log,
            progress=report,
        )


def verify_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    full: bool = False,
    repair: bool = False,
    ready: bool = False,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    jobs: int = 2,
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: ProgressOption = None,
) -> Verified:
    """Return the native files of a dataset after a check against the manifest.

    Examples:
        >>> verified = sciml_data.verify_dataset("hydronet_ds1", sample=True)

    Args:
        dataset: id in the registry.
        version: see the module, as for `sample`, `sample_seed`, `registry`, `home` and `log`.
        sample: check the synthetic sample.
        sample_seed: seed of the sample.
        full: read every byte, also of files that did not change since the last check.
        repair: fetch missing and changed files again; a sample is made again, and ready files are
            converted again.
        ready: check the ready files, too; native files may be absent then.
        options: options of the conversion of the ready files to check; None checks all sets.
        mirrors: addresses to try first in a repair, e.g. ``file:DIR``.
        jobs: number of files to read in parallel.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step of a repair.
        progress: gets bytes (read, to read).

    Returns:
        The native files; `.ready` has the sets of ready files that were checked.

    Raises:
        CallError: no such dataset or version, it was never fetched, there are no ready files to
            check, or a live version cannot be repaired.
        VerificationError: `.problems` has every file that is missing, changed or unknown.
    """
    descriptor = describe(dataset, version=version, registry=registry)
    root = find_home(home, wait=wait, log=log)
    folder = root.dataset(dataset, descriptor.version, sample_seed=sample_seed if sample else None)
    activity = f"{'repair' if repair else 'verify'} {dataset}"
    with reporting(progress, activity, byte_lines(activity, log or logger.info)) as report:
        reading: _Reading = {"full": full, "jobs": jobs, "progress": report}

        def native() -> Verified:
            if repair:
                return _repair_native(descriptor, root, folder, mirrors, log, reading)
            from sciml_data.transfer import load_fetched, verify

            return verify(load_fetched(descriptor, folder), **reading, log=log)

        if not ready:
            return native()
        from sciml_data.ready import repair_ready, verify_with_ready

        if repair and not folder.native.is_dir() and "ready" in descriptor.document["sciml"]:
            from sciml_data.ready.streaming import fetch_ready

            # Without native files, published ready files are fetched again and not converted.
            fetch_ready(descriptor, root, options=options, mirrors=mirrors, log=log)
        elif repair:
            verified = native()
            sets = repair_ready(verified, options=options, log=log, **reading)
            return replace(verified, ready=sets)
        return verify_with_ready(descriptor, folder, native, options=options, **reading)


class _Reading(TypedDict):
    """How files are read for a check: the keywords that checks of all files share."""

    full: bool
    jobs: int
    progress: Progress | None


def _repair_native(
    descriptor: Descriptor,
    home: Home,
    folder: DatasetFolder,
    mirrors: Sequence[str],
    log: Log | None,
    reading: _Reading,
) -> Verified:
    """Fetch or make missing and changed native files again."""
    from sciml_data.transfer import load_fetched, make_plan, verify
    from sciml_data.transfer import repair as repair_files

    fetched = load_fetched(descriptor, folder)
    if folder.sample_seed is not None:
        from sciml_data.synthetic import make_sample

        return verify(make_sample(descriptor, home, seed=folder.sample_seed), **reading)
    name = f"{descriptor.dataset} {descriptor.version}"
    if descriptor.live is not None:
        raise CallError(
            f"{name} cannot be repaired: the service may answer differently today",
            untouched="nothing was changed",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} --start … "
            "--end … fetches the changed periods again",
        )
    plan = make_plan(descriptor, home, mirrors=mirrors)
    return repair_files(fetched, plan, log=log, **reading)


def convert_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    workers: int | str | Executor = 1,
    again: bool = False,
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: ProgressOption = None,
) -> Converted:
    """Return the ready files of a dataset; native files are verified, missing ones converted.

    Examples:
        >>> converted = sciml_data.convert_dataset("hydronet_ds1", sample=True)
        >>> [file.path for file in converted.manifest]
        ['min_data-00000.nc', 'nonmin_data-00000.nc']

    Args:
        dataset: id in the registry.
        version: see the module, as for `sample`, `sample_seed`, `registry`, `home` and `log`.
        sample: convert the synthetic sample.
        sample_seed: seed of the sample.
        options: options of the native format; None uses its defaults.
        workers: number of processes; or the address or scheduler file of a Dask cluster that sees
            the same folders; or any executor.
        again: convert every file again.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets reused files, failures, and the rate.
        progress: gets bytes (done, total): of ready files that are hashed, then of native files.

    Raises:
        CallError: no such dataset, version or option, it was never fetched, or its native format
            is not supported.
        VerificationError: native files differ from the manifest; nothing was converted.
        NativeFormatError: a native file does not follow its format.
        ConversionError: ready files could not be made.
    """
    from sciml_data.formats import load_format, require_format
    from sciml_data.ready import convert

    descriptor = describe(dataset, version=version, registry=registry)
    require_format(descriptor, find_home(home).dataset(dataset, descriptor.version).native)
    load_format(descriptor.native["reader"], descriptor.folder)  # before minutes of verification
    activity = f"convert {dataset}"
    with reporting(progress, activity, byte_lines(activity, log or logger.info)) as report:
        verified = verify_dataset(
            dataset,
            version=version,
            sample=sample,
            sample_seed=sample_seed,
            registry=registry,
            home=home,
            wait=wait,
            log=log,
            progress=report or False,
        )
        return convert(
            verified,
            options=options,
            workers=workers,
            again=again,
            log=log,
            progress=report,
        )


def pooch(
    dataset: str,
    version: str | None = None,
    *,
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    log: Log | None = None,
) -> DatasetPooch:
    """Return a dataset's native files as a `pooch.Pooch` that fetches and verifies as we do.

    Args:
        dataset: id in the registry.
        version: see the module, as for `registry`, `home` and `log`.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        registry: registry folder.
        home: folder of all data.
        log: gets mirrors that fail, and the listing of an unpinned version, which is requested
            here.

    Raises:
        CallError: no such dataset or version, a live version, or Pooch is not installed.
        ListingError: no mirror lists the expected files of an unpinned version.
    """
    from sciml_data.metadata import facts_of
    from sciml_data.transfer import make_plan

    try:
        from sciml_data.integrations.pooch import DatasetPooch
    except ModuleNotFoundError as error:
        raise CallError(
            "Pooch is not installed",
            untouched="nothing was fetched",
            hint="pip install 'sciml-data[pooch]'",
        ) from error
    descriptor = describe(dataset, version=version, registry=registry)
    plan = make_plan(descriptor, find_home(home, log=log), mirrors=mirrors, log=log)
    return DatasetPooch(plan, base_url=facts_of(descriptor).page or "", log=log)


def _addresses(mirrors: Sequence[str], protocol: str | None) -> Sequence[str]:
    """Return the mirrors as addresses of a protocol, if one is given."""
    if protocol is None:
        return mirrors
    if not mirrors:
        raise CallError(
            f"via {protocol} needs a mirror: a clone's folder, or a URL that can be cloned",
            untouched="nothing was fetched",
            hint=f"--via {protocol} --mirror https://HOST/ID.git, or a clone's folder",
        )
    return [f"{protocol}:{mirror.removeprefix(f'{protocol}:')}" for mirror in mirrors]


def _check_keywords(
    descriptor: Descriptor,
    selection: Mapping[str, object],
    period: Mapping[str, object],
    sample_set: Sequence[str],
    *,
    sample: bool,
) -> None:
    """Raise an error for keywords that would have no effect."""
    name = f"{descriptor.dataset} {descriptor.version}"
    files, moments = ([key for key, value in d.items() if value] for d in (selection, period))
    if files and (sample or descriptor.live is not None):
        what = "a sample" if sample else f"the live version {name}"
        raise CallError(
            f"{_options(files)} cannot be used with {what}: it is always complete",
            untouched="nothing was fetched",
        )
    if moments and (sample or descriptor.live is None):
        what = "a sample" if sample else name
        raise CallError(
            f"{_options(moments)} cannot be used with {what}: its files are fixed",
            untouched="nothing was fetched",
            hint="a live version has a period: --version live",
        )
    if sample_set and not sample:
        raise CallError("--sample-set needs --sample", untouched="nothing was fetched")


def _options(keywords: Sequence[str]) -> str:
    """Return keywords as they are typed on a command line."""
    return ", ".join(f"--{keyword.replace('_', '-')}" for keyword in keywords)


def _log_plan(plan: Plan, log: Log) -> None:
    from sciml_data.transfer import amounts_left, existing_paths

    existing = existing_paths(plan)
    log(
        f"{plan.descriptor.dataset} {plan.descriptor.version}: {len(plan.files)} of "
        f"{counted(plan.version_files, 'file')}, {format_bytes(plan.total_bytes)} of "
        f"{format_bytes(plan.version_bytes)}; {len(existing)} present, "
        f"{amounts_left(plan, existing)}, to {plan.folder.native}"
    )


def _log_unpinned(plan: Plan, log: Log) -> None:
    """Log that the registry has no checksums of these files, and how to pin them."""
    from sciml_data.registry import read_manifest

    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    log(
        f"{name} is unpinned: the registry has no checksums for its files. Their sha256 are stored "
        f"in {plan.folder.manifest}; from now on a file with another hash is an error"
    )
    known = read_manifest(plan.folder.manifest) if plan.folder.manifest.is_file() else ()
    if len(known) == plan.version_files:
        log(
            "all files are present; to pin them in a registry: sciml-data pin "
            f"{plan.descriptor.dataset} --version {plan.descriptor.version} --registry CHECKOUT"
        )

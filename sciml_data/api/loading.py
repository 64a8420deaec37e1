"""Open a dataset in one call: fetch, verify, convert, open; or fetch its published ready form.

The keywords are those of `datasets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from sciml_data.api.datasets import Log, convert_dataset, describe, get_dataset
from sciml_data.home import HomePath, find_home
from sciml_data.progress import Progress
from sciml_data.registry import RegistryPath

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry import Converted

__all__ = ["get_ready", "load"]


def load(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    split: str | None = None,
    view: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    start: str | None = None,
    end: str | None = None,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: Progress | None = None,
    **view_options: Any,
) -> xr.Dataset:
    """Fetch, verify, convert and open a dataset; steps that are done are skipped.

    Examples:
        >>> water = sciml_data.load("hydronet_ds1", split="min_data", sample=True)
        >>> water["position"].dims
        ('sample', 'atom', 'axis')

    Args:
        dataset: id in the registry.
        version: see the module, as for `sample`, `sample_seed`, `registry`, `home` and `log`.
        split: name of a split to open; if the native files have it, only its files are fetched.
        view: a view of the format, e.g. "fortnights".
        sample: use the synthetic sample.
        sample_seed: seed of the sample.
        start: start of the period of a live version, inclusive; ISO 8601, UTC.
        end: end of the period of a live version, exclusive; ISO 8601, UTC.
        options: options of the conversion; None are the defaults.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step.
        progress: gets (done, total) of the fetch, then of the conversion.
        **view_options: arguments of the view.

    Returns:
        The variables that the descriptor declares, or those of the view, as Dask arrays.

    Raises:
        CallError: no such dataset, version, split, view or option.
        FetchError: a file could not be fetched.
        VerificationError: files differ from the manifest.
        ConversionError: ready files could not be made.
    """
    from sciml_data.ready import open_ready

    places: _Places = {"registry": registry, "home": home, "wait": wait, "log": log}
    is_native = not sample and split in describe(dataset, version=version, registry=registry).splits
    which: _Which = {"version": version, "sample": sample, "sample_seed": sample_seed}
    get_dataset(
        dataset,
        **which,
        split=split if is_native else None,
        start=start,
        end=end,
        mirrors=mirrors,
        progress=progress,
        **places,
    )
    converted = convert_dataset(dataset, **which, options=options, progress=progress, **places)
    return open_ready(converted, split=split, view=view, **view_options)


def get_ready(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    jobs: int = 8,
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Return the published ready form of a dataset, after missing files are fetched and checked.

    `open_dataset` and `run` then use it as if it had been converted here.

    Args:
        dataset: id in the registry.
        version: see the module, as for `registry`, `home` and `log`.
        options: options of the conversion; None are the defaults.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        jobs: number of parallel requests.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets mirrors that fail.
        progress: gets bytes (done, total).

    Raises:
        CallError: no such dataset or version, or the registry lists no ready form of it.
        FetchError: a file could not be fetched; `.problems` has the reason of every mirror.
    """
    from sciml_data.ready.streaming import fetch_ready

    return fetch_ready(
        describe(dataset, version=version, registry=registry),
        find_home(home, wait=wait, log=log),
        options=options,
        mirrors=mirrors,
        jobs=jobs,
        log=log,
        progress=progress,
    )


class _Which(TypedDict):
    """Keywords that name a version or its sample."""

    version: str | None
    sample: bool
    sample_seed: int


class _Places(TypedDict):
    """Keywords about places that all functions share."""

    registry: RegistryPath
    home: HomePath
    wait: bool
    log: Log | None

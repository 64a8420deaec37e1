"""The Python functions of a conversion by several processes, such as the tasks of a job array.

    import sciml_data
    sciml_data.convert_share("cloud_slstr_ds1", "3/8")       # in each of eight processes
    sciml_data.finish_conversion("cloud_slstr_ds1")          # afterwards, in one process

Keywords that are not described here are those of `sciml_data.api.datasets`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sciml_data.api.datasets import Log, describe, verify_dataset
from sciml_data.home import HomePath
from sciml_data.progress import Progress, ProgressOption, byte_lines, reporting
from sciml_data.registry import RegistryPath

if TYPE_CHECKING:
    from sciml_data.registry import Converted, Verified

logger = logging.getLogger(__name__)


class _Which(TypedDict, total=False):
    """Keywords that choose a dataset and its folders."""

    version: str | None
    sample: bool
    sample_seed: int
    registry: RegistryPath
    home: HomePath
    wait: bool


def convert_share(
    dataset: str,
    share: str,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    log: Log | None = None,
    progress: ProgressOption = None,
    **which: Unpack[_Which],
) -> Path:
    """Convert one of N shares of a dataset, and return the folder of the ready files.

    The processes may run at the same time on any computers that share the home. Each converts every
    N-th file. What an earlier process has made is kept, so a share can be started again. The ready
    files can be opened after `finish_conversion`.

    Args:
        dataset: id in the registry.
        share: `K/N`, for example `3/8` for the third of eight.
        options: options of the native format; None uses its defaults.
        workers: number of processes.
        log: gets reused files, failures, and the rate.
        progress: gets bytes (done, total) of this share.
        which: version, sample, sample_seed, registry, home, wait.

    Raises:
        CallError: no such dataset, version or option, it was never fetched, or `share` is not K/N.
        LockedError: other processes convert shares of another size; or this share is converted by
            another process, and `wait` is false.
        VerificationError: native files differ from the manifest; nothing was converted.
        NativeFormatError: a native file does not follow its format.
        ConversionError: ready files could not be made.
    """
    from sciml_data.ready.job_array import convert_share as convert
    from sciml_data.ready.job_array import parse_share

    parse_share(share)  # before native files are verified
    with _verified(f"convert share {share} of {dataset}", dataset, log, progress, which) as given:
        verified, report = given
        return convert(verified, share, options=options, workers=workers, log=log, progress=report)


def finish_conversion(
    dataset: str,
    *,
    options: Mapping[str, Any] | None = None,
    log: Log | None = None,
    progress: ProgressOption = None,
    **which: Unpack[_Which],
) -> Converted:
    """Complete a conversion by `convert_share` and return the ready files; no file is made.

    Args:
        dataset: id in the registry.
        options: options of the native format; None uses its defaults.
        log: gets changed files.
        progress: gets bytes (done, total) of ready files that are checked.
        which: version, sample, sample_seed, registry, home, wait.

    Raises:
        ConversionError: ready files are missing; `.problems` has each share with missing files.
        LockedError: a share is still converted, and `wait` is false.
    """
    from sciml_data.ready.job_array import finish_conversion as finish

    with _verified(f"finish {dataset}", dataset, log, progress, which) as (verified, report):
        return finish(verified, options=options, log=log, progress=report)


@contextmanager
def _verified(
    activity: str, dataset: str, log: Log | None, progress: ProgressOption, which: _Which
) -> Iterator[tuple[Verified, Progress | None]]:
    """Yield the verified native files and the callback that reports progress."""
    from sciml_data.formats import load_format, require_format
    from sciml_data.home import find_home

    descriptor = describe(dataset, version=which.get("version"), registry=which.get("registry"))
    native = find_home(which.get("home")).dataset(dataset, descriptor.version).native
    require_format(descriptor, native)
    load_format(descriptor.native["reader"], descriptor.folder)  # before minutes of verification
    with reporting(progress, activity, byte_lines(activity, log or logger.info)) as report:
        yield verify_dataset(dataset, log=log, progress=report or False, **which), report

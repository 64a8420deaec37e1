"""Write a dataset's data in a form that other programs read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError
from sciml_data.home import HomePath
from sciml_data.progress import Log, Progress

if TYPE_CHECKING:
    from sciml_data.integrations.parquet import Exported
    from sciml_data.registry import RegistryPath

logger = logging.getLogger(__name__)


def export_parquet(  # noqa: PLR0913 - the first two name dataset and folder, the rest are keywords
    dataset: str,
    folder: str | Path,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    shard_bytes: int | None = None,
    registry: RegistryPath = None,
    home: HomePath = None,
    log: Log = logger.info,
    progress: Progress | None = None,
) -> Exported:
    """Write a converted dataset as Parquet files, or finish an export that was interrupted.

        sciml_data.export_parquet("uno_ccle", "uno_ccle-parquet")
        datasets.load_dataset("uno_ccle-parquet", "response_auc")

    Args:
        dataset: id in the registry.
        folder: new or empty folder, or that of an earlier export of the same data.
        version: None is the newest.
        sample: export the synthetic sample.
        sample_seed: seed of the sample.
        options: options of the conversion; None are the defaults.
        shard_bytes: largest size of the rows of a file in memory; None is 512 MiB.
        registry: registry folder.
        home: folder of all data.
        log: gets a line for a README.md that was edited.
        progress: gets bytes of rows in memory (done, total).

    Returns:
        Folder, files and numbers of rows.

    Raises:
        CallError: the dataset was not converted, the folder has other content, or pyarrow is not
            installed.
        VerificationError: a ready file, or a file of the earlier export, was changed.
    """
    from sciml_data.ready import find_ready

    converted = find_ready(
        dataset,
        version=version,
        sample_seed=sample_seed if sample else None,
        options=options,
        registry=registry,
        home=home,
    )
    try:
        from sciml_data.integrations.parquet import SHARD_BYTES, write_parquet
    except ModuleNotFoundError as error:
        raise CallError(
            "pyarrow is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[formats]'",
        ) from error
    return write_parquet(
        converted,
        Path(folder),
        shard_bytes=SHARD_BYTES if shard_bytes is None else shard_bytes,
        log=log,
        progress=progress,
    )

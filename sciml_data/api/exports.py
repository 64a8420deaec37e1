"""Write a dataset's data, or references to them, in a form that other programs read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sciml_data.errors import CallError
from sciml_data.home import HomePath, find_home
from sciml_data.progress import Log, Progress
from sciml_data.registry import RegistryPath, find_registry, load_descriptor

if TYPE_CHECKING:
    from sciml_data.integrations.parquet import Exported

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


def kerchunk_references(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
) -> dict[str, Any]:
    """Return references of kerchunk with which xarray opens ready files by fsspec and zarr.

    They have the address of the published ready form. Where the registry lists none, and for a
    sample, they have the paths of the ready files on this computer.

    Args:
        dataset: id in the registry.
        version: None is the newest.
        sample: of the synthetic sample.
        sample_seed: seed of the sample.
        options: options of the conversion; None are the defaults.
        mirrors: addresses to read the chunk index from before those of the registry.
        registry: registry folder.
        home: folder of all data.

    Raises:
        CallError: no ready form is published and the dataset was not converted, or zarr cannot
            express how the files are compressed.
        FetchError: no mirror has the chunk index.
    """
    from sciml_data.integrations.kerchunk import to_kerchunk
    from sciml_data.ready import find_ready, require_unchanged, shards_of_split
    from sciml_data.ready.chunk_index import index_line
    from sciml_data.ready.folder import chunk_indexes
    from sciml_data.ready.streaming import fetch_index
    from sciml_data.registry.ready_form import published_ready_form

    descriptor = load_descriptor(find_registry(registry), dataset, version)
    if descriptor.document["sciml"].get("ready") and not sample:
        urls = published_ready_form(descriptor, options).urls
        index, _ = fetch_index(descriptor, find_home(home), options=options, mirrors=mirrors)
        published = (line.content for line in chunk_indexes(index.root))
        return to_kerchunk(published, shards_of_split(index), lambda name: urls[0] + quote(name))
    converted = find_ready(
        dataset,
        version=version,
        sample_seed=sample_seed if sample else None,
        options=options,
        registry=registry,
        home=home,
    )
    require_unchanged(converted)
    lines = (index_line(converted.root / entry.path, entry) for entry in converted.manifest)
    return to_kerchunk(
        lines, shards_of_split(converted), lambda name: (converted.root / name).as_uri()
    )

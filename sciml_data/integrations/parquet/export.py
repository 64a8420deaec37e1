"""Write a Parquet export: shard by shard, each published atomically, resumed after a kill.

The folder has a file of its own, `sciml-data-parquet.json`. It names the data, and every file with
size and sha256 once it is complete. So a second call writes only what is missing, and a folder with
other content is never touched.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sciml_data.errors import CallError, Problem, VerificationError
from sciml_data.home import publish, read_json, write_atomically
from sciml_data.integrations.parquet.card import write_card
from sciml_data.integrations.parquet.croissant import write_croissant
from sciml_data.integrations.parquet.plan import Config, Shard, about, plan_configs
from sciml_data.metadata import facts_of
from sciml_data.progress import Log, Meter, Progress, counted
from sciml_data.registry.stages import Converted

logger = logging.getLogger(__name__)

STATE = "sciml-data-parquet.json"
CARD = "README.md"
CROISSANT = "croissant.json"
LAYOUT = 1  # of the files; another number is another export
SHARD_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        folder: of the export.
        files: paths of the Parquet files under the folder.
        rows: number of rows, by configuration and split.
        reused: number of files that an earlier call had written.
    """

    folder: Path
    files: tuple[str, ...]
    rows: dict[str, dict[str, int]]
    reused: int


def write_parquet(
    converted: Converted,
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    log: Log = logger.info,
    progress: Progress | None = None,
) -> Exported:
    """Write a converted dataset as Parquet files with two descriptions, or finish an export.

    README.md is for people and Hugging Face, croissant.json for mlcroissant.

    Args:
        converted: dataset.
        folder: new or empty folder, or that of the same export, which is resumed.
        shard_bytes: largest size of the rows of a file in memory; compressed they are smaller.
        log: gets a line for a description that was edited.
        progress: gets bytes of rows in memory (done, total).

    Raises:
        CallError: the folder has other content, or there is nothing to write.
        VerificationError: a ready file, or a file of the earlier export, was changed.
    """
    if shard_bytes < 1:
        raise CallError("a file needs at least one byte", untouched="nothing was written")
    request = {"layout": LAYOUT, "shard_bytes": shard_bytes, **about(converted)}
    files = _earlier_files(folder, request)
    configs = plan_configs(converted, shard_bytes=shard_bytes)
    shards = [shard for config in configs for part in config.splits.values() for shard in part]
    if not shards:
        raise CallError("the dataset has no variables with rows", untouched="nothing was written")
    reused = _complete_files(folder, shards, files)
    state = {"request": request, "files": {shard.path: files.get(shard.path) for shard in shards}}
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder, state)
    meter = Meter(sum(shard.size_bytes for shard in shards), progress)
    for shard in shards:
        if shard.path not in reused:
            state["files"][shard.path] = _write_shard(folder, shard)
            _save(folder, state)
        meter.advance(shard.size_bytes)
    facts, is_synthetic = facts_of(converted.descriptor), converted.is_synthetic
    written = {shard.path: state["files"][shard.path] for shard in shards}
    document = write_croissant(facts, configs, written, is_synthetic=is_synthetic)
    texts = {
        CARD: write_card(facts, configs, is_synthetic=is_synthetic),
        CROISSANT: json.dumps(document, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        _write_text(folder / name, text, state, files.get(name), log)
    _save(folder, state)
    return Exported(folder, tuple(shard.path for shard in shards), _rows(configs), len(reused))


def _rows(configs: Sequence[Config]) -> dict[str, dict[str, int]]:
    return {
        config.name: {split: config.rows(split) for split in config.splits} for config in configs
    }


def _earlier_files(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier call has written; raise an error if the folder is not ours."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    state = None
    if os.path.lexists(folder / STATE):
        state = read_json(folder / STATE)
    if not isinstance(state, dict) or not isinstance(state.get("files"), dict):
        raise CallError(
            f"{folder} is not empty, and no Parquet export of ours",
            untouched="nothing was written",
            hint="--to with a new or an empty folder",
        )
    earlier = state.get("request")
    # Through JSON, since options may have tuples.
    if earlier != json.loads(json.dumps(request)):
        before = earlier if isinstance(earlier, dict) else {}
        names = [key for key in request if key not in before or before[key] != request[key]]
        raise CallError(
            f"{folder} has another export: {', '.join(names)} differs",
            untouched="nothing was written",
            hint="--to with another folder, or remove this one",
        )
    return dict(state["files"])


def _complete_files(folder: Path, shards: Sequence[Shard], files: dict[str, Any]) -> set[str]:
    """Return the paths of complete files; raise an error for files that were changed since."""
    complete, problems = set(), []
    for shard in shards:
        path, known = folder / shard.path, files.get(shard.path)
        if known is None or not os.path.lexists(path):
            continue  # a file without an entry was ours, too: the state is written before any file
        if not path.is_file() or _described(path) != known:
            problems.append(Problem("changed", shard.path, "is not as it was written"))
        complete.add(shard.path)
    if problems:
        raise VerificationError(
            f"the export in {folder} was changed: {counted(len(problems), 'file')}",
            problems=problems,
            untouched="nothing was written",
            hint="remove these files, and export again",
        )
    return complete


def _write_shard(folder: Path, shard: Shard) -> dict[str, Any]:
    """Write a file, and return its size and hash."""
    final = folder / shard.path
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    with pq.ParquetWriter(partial, shard.schema, compression="zstd") as writer:
        for group in shard.table.batches(shard.schema, shard.start, shard.stop):
            writer.write_table(group)
    publish(partial, final)
    return _described(final)


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _save(folder: Path, state: dict[str, Any]) -> None:
    write_atomically(folder / STATE, json.dumps(state, indent=1) + "\n")


def _write_text(path: Path, text: str, state: dict[str, Any], earlier: Any, log: Log) -> None:
    """Write README.md or croissant.json, unless somebody has edited it."""
    if os.path.lexists(path) and not (path.is_file() and _described(path) == earlier):
        log(f"{path} was edited and stays as it is")
        state["files"][path.name] = earlier
    else:
        write_atomically(path, text)
        state["files"][path.name] = _described(path)

"""CANDLE-UNO joined upstream: an HDFStore of pandas with the features of every row beside it.

The file repeats the expression of a cell line and the descriptors of a drug in each row. They are
found again here: one row of features for each id, the responses as indices, one ready file.
It is read with h5py alone: nothing that was pickled into its attributes is unpickled (`store.py`).

Option `strict` (true, false): an id that comes with two different rows of features stops the
conversion; else the first row counts, and responses that come with another are left out and named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

SPLIT = "auc"


@dataclass(frozen=True)
class Options:
    """Options of the conversion of the joined file."""

    strict: bool = option(
        False, "an id with two different rows of features stops the conversion; else they are named"
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: the file is not there.
    """
    parse_options(Options, options)
    path = native.block["file"]
    if path not in native.paths:
        raise NativeFormatError(
            "there is nothing to convert",
            problems=[Problem("missing", path, "is not among the native files")],
            untouched="nothing was converted",
        )
    return (Shard("responses.nc", SPLIT, (path,)),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return responses, cell lines and drugs as one dataset.

    Raises:
        CallError: the file is compressed in a way that needs a plug-in which is not installed.
        NativeFormatError: it is not laid out as pandas does; or, with `strict`, ids contradict.
    """
    from sciml_data.formats.candle_joined.ready import ready_dataset

    chosen = parse_options(Options, options)
    dataset, problems = ready_dataset(native)
    if problems and chosen.strict:
        raise NativeFormatError(
            f"{len(problems)} responses come with other features than their ids had before",
            problems=problems,
            untouched=f"{shard.name} was not made",
            hint="without strict they are left out and counted",
        )
    return dataset

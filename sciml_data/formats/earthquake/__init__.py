"""Earthquake catalogues: SCEDC and SCSN yearly files and ComCat lists to one table and a grid.

The native files are merged by the rules of `merge.py`, which the descriptor fills in; the result is
one ready file, `events.nc` (`ready.py`). Fortnights of the benchmark's grid are a view, made when
read. The whole catalogue is kept, 32-37 N and 122-114 W; the benchmark's box is what the cell-days
cover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError
from sciml_data.formats.earthquake.grid import fortnights
from sciml_data.formats.interface import Native, Shard

if TYPE_CHECKING:
    import xarray as xr

VIEWS: Mapping[str, Callable[..., xr.Dataset]] = MappingProxyType({"fortnights": fortnights})


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file that all native files make together.

    Raises:
        CallError: any option is given; this reader has none.
    """
    if options:
        raise CallError(
            f"earthquake catalogues are converted without options; {', '.join(options)} was given",
            hint="fortnights and their floor are asked for when the data are opened",
        )
    return (Shard("events.nc", native.split_of(native.paths[0]) or "all", native.paths),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:  # noqa: ARG001 (protocol)
    """Return the ready dataset made of the shard's native files.

    Raises:
        NativeFormatError: `.problems` has every line that does not follow its format.
    """
    from sciml_data.formats.earthquake.merge import read_catalogue
    from sciml_data.formats.earthquake.ready import read_fault_groups, ready_dataset

    catalogue = read_catalogue(native.root, native.block["parts"], shard.inputs)
    return ready_dataset(catalogue, read_fault_groups(native.folder / native.block["fault_groups"]))

"""Samples of a benchmark as `xarray.Dataset`: ids, features and targets, read when they are used.

Each array is a Dask array of chunks of samples. A chunk is read by the benchmark's own
`named_features` and `targets`, so the values are those that its models are trained on and scored
with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, DescriptorError
from sciml_data.home import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sciml_data.bench.interface import Benchmark

Numbers = npt.NDArray[np.intp]
Read = Callable[[Numbers], "xr.DataArray"]

CHUNK_BYTES = 64 << 20  # of an array that is read at once
PART = "part"  # column with the part of an id
MAX_ROWS = 10_000_000  # of a table of ids: about 500 MB
INPUT = "input"  # name of the only input of a benchmark that does not name it
SAMPLES = "samples"  # first axis of inputs, until it has the name of the targets' first axis
TARGET = "target"  # name of targets without a name


def named_inputs(names: Mapping[str, tuple[str, ...]], inputs: Any) -> xr.Dataset:
    """Return the inputs of a batch as variables with named axes.

    Args:
        names: name of each input -> names of its axes after the samples.
        inputs: an array or a dict of arrays, the first axis of which is the samples.
    """
    import xarray as xr

    arrays = inputs if isinstance(inputs, dict) else {next(iter(names), INPUT): inputs}
    variables = {}
    for name, values in arrays.items():
        shape = np.shape(values)[1:]
        axes = names.get(name) or tuple(f"{name}_{number}" for number in range(len(shape)))
        variables[name] = ((SAMPLES, *axes), np.asarray(values))
    return xr.Dataset(variables)


def lazy_samples(benchmark: Benchmark, numbers: Numbers) -> xr.Dataset:
    """Return features and targets of samples; each array is read when its values are used.

    Args:
        benchmark: reads the samples.
        numbers: of the samples.

    Returns:
        A dataset whose first dimension is the samples, with their ids and keys as coordinates. The
        attribute `target` has the name of the targets, which are the last variable.
    """
    import xarray as xr

    # The readers of a benchmark may share a cache or a file, so Dask's threads take turns.
    lock = threading.Lock()
    first = {str(name): array for name, array in benchmark.named_features(numbers[:1]).items()}
    target = benchmark.targets(numbers[:1])
    name = TARGET if target.name is None else str(target.name)
    samples = str(target.dims[0])

    def read_features(block: Numbers, variable: str) -> xr.DataArray:
        with lock:
            return benchmark.named_features(block)[variable]

    def read_targets(block: Numbers) -> xr.DataArray:
        with lock:
            return benchmark.targets(block)

    arrays = {
        key: _lazy(partial(read_features, variable=key), first[key], numbers) for key in first
    }
    arrays[name] = _lazy(read_targets, target, numbers)
    variables = {key: array.rename({array.dims[0]: samples}) for key, array in arrays.items()}
    ids = benchmark.table.index.to_numpy()[numbers]
    if target[samples].to_numpy()[0] != ids[0]:
        raise DescriptorError(
            f"{type(benchmark).__name__} of runner.py names the sample {ids[0]!r} in its key "
            f"table, and {target[samples].to_numpy()[0]!r} in the first axis of its targets",
            hint="use self.table.index[numbers] in targets",
        )
    dataset = xr.Dataset(variables, {samples: ids}, attrs={"target": name})
    keys = {
        str(key): (samples, column.to_numpy()[numbers])
        for key, column in benchmark.table.items()
        if key not in dataset.variables and column.dtype != np.uint64  # a hash says nothing
    }
    return dataset.assign_coords(keys)


def id_table(samples: xr.Dataset, part: str) -> pd.DataFrame:
    """Return a row for each value to predict: its part, its ids, and the keys of its sample.

    Args:
        samples: of a part, see `lazy_samples`; nothing is read but coordinates.
        part: name of the part.
    """
    import pandas as pd

    target = samples[samples.attrs["target"]]
    axes = [str(axis) for axis in target.dims]
    index = pd.MultiIndex.from_product([samples[axis].to_index() for axis in axes], names=axes)
    table = index.to_frame(index=False)
    table.insert(0, PART, part)
    keys = [
        str(name)
        for name, values in samples.coords.items()
        if values.dims == (axes[0],) and name not in axes
    ]
    repeats = len(table) // max(len(samples[axes[0]]), 1)
    for name in keys:
        table[name] = np.repeat(samples[name].to_numpy(), repeats)
    return table


def write_ids(parts: Mapping[str, xr.Dataset], path: Path) -> None:
    """Write the ids of each part, in the form in which predictions are read.

    CSV has a row for each value to predict; add a column `predicted`. NetCDF has a group for each
    part with the coordinates of all axes; add a variable `predicted`.

    Args:
        parts: part -> samples.
        path: of the file, which ends with .csv or .nc.

    Raises:
        CallError: another ending, or too many values for CSV.
    """
    import pandas as pd
    import xarray as xr

    from sciml_data.ready import write_netcdf

    if path.suffix.lower() not in {".csv", ".nc"}:
        raise CallError(
            f"{path.name}: ids are written as .csv or .nc", untouched="nothing was written"
        )
    targets = {part: samples[samples.attrs["target"]] for part, samples in parts.items()}
    count = sum(target.size for target in targets.values())
    if path.suffix.lower() == ".csv" and count > MAX_ROWS:
        raise CallError(
            f"{count:,} values to predict are too many for CSV",
            untouched="nothing was written",
            hint=f"--to {path.with_suffix('.nc').name}",
        )
    if path.suffix.lower() == ".csv":
        table = pd.concat([id_table(samples, part) for part, samples in parts.items()])
        write_atomically(path, table.to_csv(index=False))
        return
    groups = {part: xr.Dataset(coords=dict(target.coords)) for part, target in targets.items()}
    write_netcdf(xr.Dataset(attrs={"parts": ",".join(parts)}), path, groups)


def _lazy(read: Read, first: xr.DataArray, numbers: Numbers) -> xr.DataArray:
    """Return a variable of all samples whose chunks are read by a function.

    Args:
        read: returns the values of samples by their numbers.
        first: the values of the first sample, which give shape, type, axes and attributes.
        numbers: of the samples.
    """
    import dask.array as da
    import xarray as xr

    size = max(1, CHUNK_BYTES // max(first.nbytes, 1))
    of_samples = da.from_array(numbers, chunks=size)
    values = da.map_blocks(
        lambda block: np.asarray(read(block)),
        of_samples,
        dtype=first.dtype,
        chunks=(*of_samples.chunks, *((length,) for length in first.shape[1:])),
        new_axis=list(range(1, first.ndim)),
        meta=np.empty((0,) * first.ndim, first.dtype),
    )
    coords = {key: axis for key, axis in first.coords.items() if first.dims[0] not in axis.dims}
    return xr.DataArray(values, coords, first.dims, name=first.name, attrs=first.attrs)

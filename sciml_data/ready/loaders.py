"""Samples of ready data for a training loop: NumPy batches here, PyTorch and TensorFlow on top.

`Samples` is the one mechanism: a length, and `read`, which returns the arrays of given sample
numbers. Three sources have it:

    select_samples(dataset, x=..., y=...)   rows of an opened dataset: tables, events, images
    IndexSamples(index, x=..., y=...)       samples of all splits, numbered by `index_samples`
    PatchSamples(patches)                   patches of scenes, read without HDF5

`numpy_batches`, `torch_dataset` and `as_tf_dataset` put the same numbers into the same order, so
they return equal values for the same seed and epoch.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, nearest
from sciml_data.progress import counted
from sciml_data.ready.patches import BatchContent, Patches, batch_indices, read_ahead, read_batch
from sciml_data.ready.samples import SampleIndex

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.ready.torch_data import BatchDataset, SampleDataset

Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]

MEMORY_BYTES = 256 * 1024**2  # of columns and tables that are read once and stay in memory
THREADS = 2
PREFETCH = 4  # batches that are read ahead
LOOK_UP = re.compile(
    r"(?P<table>[^\[\]]+)\[(?P<index>[^\[\]]+)\]"
)  # such as expression[cell_index]


class Samples(Protocol):
    """Numbered samples. Objects with these two methods work with every loader.

    An object that is used by worker processes can be pickled, and opens its files in each process.
    """

    def __len__(self) -> int:
        """Return the number of samples."""

    def read(self, numbers: Numbers) -> Arrays:
        """Return the arrays of samples, each (sample, ...), in the order of the numbers."""


@dataclass(frozen=True)
class PatchSamples:
    """Patches of scenes as samples: inputs, labels and weights of each pixel.

    Attributes:
        patches: returned by `sciml_data.ready.patches.list_patches`.
        content: channels, label and mask; see `BatchContent`.
    """

    patches: Patches
    content: BatchContent = field(default_factory=BatchContent)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.patches)

    def read(self, numbers: Numbers) -> Arrays:
        """Return inputs (patch, row, column, channel), labels and weights (patch, row, column)."""
        if not len(numbers):  # the shapes of a batch are those of its patches
            return tuple(array[:0] for array in self.read(np.zeros(1, np.int64)))
        batch = read_batch(self.patches, numbers, self.content)
        return batch.inputs, batch.labels, batch.weights


@dataclass(frozen=True)
class IndexSamples:
    """Samples of all ready files: an array and columns of a `SampleIndex`.

    Attributes:
        index: returned by `index_samples`.
        x: array of the inputs, (sample, ...) float32.
        y: column of the targets, with numbers; None if there are no targets.
    """

    index: SampleIndex
    x: str
    y: str | None = None

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            CallError: the index has no such array or column, or the column is text.
        """
        columns = [str(name) for name in self.index.table if self.index[str(name)].dtype != object]
        for name, known in ((self.x, list(self.index.shapes)), (self.y, columns)):
            if name is not None and name not in known:
                raise CallError(
                    f"the index has no {name!r}{nearest(name, known)}",
                    untouched="nothing was read",
                    hint=f"one of {', '.join(known)}",
                )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.index)

    def read(self, numbers: Numbers) -> Arrays:
        """Return (x,) or (x, y) of samples; files are opened for this and closed again."""
        chosen = np.asarray(numbers, np.intp)
        x = self.index.read(self.x, chosen)
        return (x,) if self.y is None else (x, self.index[self.y][chosen])


def select_samples(
    dataset: xr.Dataset,
    *,
    x: str | Sequence[str],
    y: str | Sequence[str] | None = None,
    rows: Any = None,
    dtype: str | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> RowSamples:
    """Return the rows of an opened dataset as samples (x, y).

        data = open_dataset("uno_ccle", split="auc")
        rows = select_samples(data, x=["expression[cell_index]"], y="auc", dtype="float32")

    A name is a variable, such as "noisy", with a sample in each row of its first dimension; or
    "TABLE[INDEX]", the rows of a table that an index variable selects. A single name keeps the
    shape and type of its variable. Names in a list become the columns of a matrix (sample, column).
    Times become seconds since 1970 (float64).

    Args:
        dataset: returned by `open_dataset`, or a selection from it.
        x: name of the inputs, or a list of names.
        y: the same for the targets; None if there are no targets.
        rows: rows to use, as (row,) bool or as (sample,) indices; None uses all rows.
        dtype: type of floating-point values, such as "float32"; None keeps the type of the file.
        memory_bytes: largest size of columns and tables that are read once and stay in memory.
            Larger variables are read for each batch. Tables always stay in memory.

    Returns:
        Samples; `read` returns (x,) or (x, y).

    Raises:
        CallError: a variable does not exist, is text, or has another first dimension; or an index
            refers to a row that its table does not have.
    """
    groups = [group for group in (x, y) if group is not None]
    columns = tuple(_Columns(dataset, group, dtype) for group in groups)
    (dimension, length) = _common_rows([name for group in columns for name in group.row_names()])
    chosen = _chosen_rows(rows, dimension, length)
    return RowSamples(dataset, columns, dimension, chosen, _Memory(memory_bytes))


class RowSamples:
    """Rows of a dataset as samples, made by `select_samples`."""

    def __init__(
        self,
        dataset: xr.Dataset,
        columns: tuple[_Columns, ...],
        dimension: str,
        rows: Numbers,
        memory: _Memory,
    ) -> None:
        """Store what is read, and check the indices of tables."""
        self._dataset, self._columns, self._dimension = dataset, columns, dimension
        self._rows, self._memory, self._process = rows, memory, os.getpid()
        for group in columns:
            group.check_indices(memory)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    def read(self, numbers: Numbers) -> Arrays:
        """Return (x,) or (x, y) of samples, in the order of the numbers.

        Raises:
            VerificationError: a file was changed after it was opened.
        """
        if os.getpid() != self._process:
            self._reopen()
        rows = self._rows[np.asarray(numbers, np.intp)]
        return tuple(group.read(rows, self._memory) for group in self._columns)

    def _reopen(self) -> None:
        """Open the files again in a forked process.

        The HDF5 library must not use handles that another process has opened. xarray opens a file
        again when it is not in its cache.
        """
        from xarray.backends.file_manager import FILE_CACHE

        FILE_CACHE.clear()
        self._memory.lock = threading.Lock()  # a thread of the parent process may have held it
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process, which has not opened any file yet."""
        return {**self.__dict__, "_process": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _process=os.getpid())


class _Memory:
    """Values of variables that are read once, up to a budget."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = self.free_bytes = budget_bytes
        self.stored: dict[str, npt.NDArray[Any]] = {}
        self.lock = threading.Lock()  # of the budget: several threads read batches ahead

    def __getstate__(self) -> dict[str, Any]:
        """Return an empty memory: each process reads for itself, and has its own lock."""
        return {"budget_bytes": self.budget_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["budget_bytes"])  # type: ignore[misc]

    def whole(self, values: xr.DataArray) -> npt.NDArray[Any]:
        """Return all values of a variable, which stay in memory."""
        name = str(values.name)
        with self.lock:
            if name not in self.stored:
                self.stored[name] = _read(values)
                self.free_bytes -= self.stored[name].nbytes
            return self.stored[name]

    def rows(self, values: xr.DataArray, rows: Numbers) -> npt.NDArray[Any]:
        """Return rows of a variable in the given order."""
        if str(values.name) in self.stored or values.nbytes <= self.free_bytes:
            return self.whole(values)[rows]
        unique, places = np.unique(rows, return_inverse=True)
        return _read(values.isel({values.dims[0]: unique}))[places]


class _Columns:
    """The variables of x, or those of y."""

    def __init__(self, dataset: xr.Dataset, names: str | Sequence[str], dtype: str | None) -> None:
        self.is_matrix, self.dtype = not isinstance(names, str), dtype
        texts = [names] if isinstance(names, str) else list(names)
        if not texts:
            raise CallError("x and y need at least one variable", untouched="nothing was read")
        self.columns = [_column(dataset, text) for text in texts]
        wide = [values.name for values, _ in self.columns if self.is_matrix and values.ndim > 2]
        if wide:
            raise CallError(
                f"{wide[0]} is not a column: it has more than two dimensions",
                untouched="nothing was read",
                hint=f'pass it alone, as x="{wide[0]}"',
            )

    def row_names(self) -> list[tuple[str, str, int]]:
        """Return name, first dimension and length of the variables with a value for each sample."""
        row = [values if index is None else index for values, index in self.columns]
        return [(str(values.name), str(values.dims[0]), len(values)) for values in row]

    def check_indices(self, memory: _Memory) -> None:
        """Raise an error if an index refers to a row that its table does not have."""
        for table, index in self.columns:
            if index is None:
                continue
            numbers = memory.whole(index)
            outside = int(((numbers < 0) | (numbers >= len(table))).sum())
            if outside:
                raise CallError(
                    f"{index.name} has {counted(outside, 'value')} beyond the "
                    f"{counted(len(table), 'row')} of {table.name}",
                    untouched="nothing was read",
                    hint="leave these rows out of the dataset, or use another index",
                )

    def read(self, rows: Numbers, memory: _Memory) -> npt.NDArray[Any]:
        """Return the values of rows: (row, ...), or (row, column) for a list of names."""
        parts = [
            memory.rows(values, rows)
            if index is None
            else memory.whole(values)[memory.rows(index, rows)]
            for values, index in self.columns
        ]
        if self.is_matrix:
            parts = [part[:, None] if part.ndim == 1 else part for part in parts]
        values = np.concatenate(parts, axis=1) if self.is_matrix else parts[0]
        is_real = values.dtype.kind == "f"
        return values.astype(self.dtype, copy=False) if self.dtype and is_real else values


def _column(dataset: xr.Dataset, text: str) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return a variable, and the index variable of a table."""
    match = LOOK_UP.fullmatch(text)
    if match is None:
        return _variable(dataset, text), None
    index = _variable(dataset, match["index"])
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise CallError(f"{index.name} is not an index: it needs one dimension and whole numbers")
    return _variable(dataset, match["table"]), index


def _variable(dataset: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset.variables:
        raise CallError(
            f"the dataset has no variable {name!r}{nearest(name, map(str, dataset.variables))}",
            untouched="nothing was read",
        )
    values = dataset[name]
    if values.dtype.kind not in "biufcM" or values.ndim == 0:
        kind = "has no dimension" if values.ndim == 0 else "is text"
        raise CallError(
            f"{name} cannot be an input or a target: it {kind}",
            untouched="nothing was read",
            hint="variables with numbers, such as an index, can be used",
        )
    return values


def _common_rows(variables: Sequence[tuple[str, str, int]]) -> tuple[str, int]:
    """Return the name and length of the first dimension, which all variables share."""
    first, dimension, length = variables[0]
    for name, other, _ in variables:
        if other != dimension:
            raise CallError(
                f"{first} has a value for each {dimension}, and {name} for each {other}",
                untouched="nothing was read",
                hint=f'"{name}[INDEX]" reads the rows of {name} that the variable INDEX refers to',
            )
    return dimension, length


def _chosen_rows(rows: Any, dimension: str, length: int) -> Numbers:
    try:
        return np.arange(length)[slice(None) if rows is None else np.asarray(rows)]
    except IndexError as error:
        raise CallError(
            f"`rows` does not fit {counted(length, 'row')} of {dimension}: {error}",
            untouched="nothing was read",
        ) from error


def _read(variable: xr.DataArray) -> npt.NDArray[Any]:
    """Return the values of a variable in native byte order; times as seconds since 1970.

    This thread does the work: dask's pool of threads does not exist in a forked process, which
    would wait for it without end.
    """
    values: npt.NDArray[Any] = variable.compute(scheduler="synchronous").values
    if values.dtype.kind != "M":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    seconds = (values - np.datetime64(0, "s")) / np.timedelta64(1, "s")
    return np.asarray(seconds, np.float64)


def numpy_batches(  # noqa: PLR0913 - the first names the samples, the rest are keywords
    samples: Samples,
    *,
    batch_size: int,
    seed: int | None,
    epoch: int = 0,
    ranks: tuple[int, int] = (0, 1),
    start_batch: int = 0,
    drop_remainder: bool = False,
    threads: int = THREADS,
    prefetch: int = PREFETCH,
) -> Iterator[Arrays]:
    """Return an iterator over the batches of an epoch; arguments are checked at once.

    Args:
        samples: returned by `select_samples`, or `PatchSamples`.
        batch_size: samples in a batch of this rank; the last batch may have fewer.
        seed: seed of the order, together with `epoch`; None is the order of the samples.
        epoch: number of the epoch; each has another order.
        ranks: rank of this process, and number of processes; see `batch_indices`.
        start_batch: batches of this rank to skip without reading, to resume a run.
        drop_remainder: leave out samples that do not fill a batch of all ranks.
        threads: number of reading threads.
        prefetch: batches to read ahead, which stay in memory until they are returned.

    Returns:
        Tuples of arrays (sample, ...), such as (x, y).

    Raises:
        CallError: batch size, ranks or threads are not valid.
    """
    numbers = batch_indices(
        len(samples),
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        ranks=ranks,
        drop_remainder=drop_remainder,
    )
    return read_ahead(numbers[start_batch:], samples.read, threads=threads, prefetch=prefetch)


@overload
def torch_dataset(samples: Samples) -> SampleDataset: ...


@overload
def torch_dataset(
    samples: Samples,
    *,
    batch_size: int,
    seed: int | None = None,
    epoch: int = 0,
    ranks: tuple[int, int] | None = None,
    drop_remainder: bool = False,
) -> BatchDataset: ...


def torch_dataset(
    samples: Samples, *, batch_size: int | None = None, **options: Any
) -> SampleDataset | BatchDataset:
    """Return samples as a PyTorch dataset: map-style, or iterable if a batch size is given.

        data = torch_dataset(samples)
        DataLoader(data, batch_sampler=data.batches(batch_size=32, seed=0), num_workers=2)

        data = torch_dataset(samples, batch_size=32, seed=0)   # data.set_epoch(1) for the next
        DataLoader(data, batch_size=None, num_workers=2)

    Over all ranks and workers, each sample is returned once in an epoch, also if numbers do not
    divide. Ranks may differ by one batch then; `drop_remainder` avoids that.

    Args:
        samples: returned by `select_samples`, or `PatchSamples`.
        batch_size: samples in a batch of a rank. None returns the map-style dataset.
        **options: of the iterable dataset. `seed` is the seed of the order; None is the order of
            the samples. `epoch` is the first epoch. `ranks` is (rank, number of ranks); None finds
            them out. `drop_remainder` leaves out samples that do not fill a batch of all ranks.

    Raises:
        CallError: an option is not valid, or PyTorch is not installed.
    """
    try:
        from sciml_data.ready.torch_data import BatchDataset, SampleDataset
    except ModuleNotFoundError as error:
        raise CallError(
            "PyTorch is not installed",
            untouched="nothing was read",
            hint="pip install 'sciml-data[torch]'",
        ) from error
    if batch_size is not None:
        return BatchDataset(samples, batch_size=batch_size, **options)
    if options:
        raise CallError(
            f"{', '.join(options)} needs a batch size: a map-style dataset has no order",
            untouched="nothing was read",
            hint="torch_dataset(samples, batch_size=32, seed=0)",
        )
    return SampleDataset(samples)

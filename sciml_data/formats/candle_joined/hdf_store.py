"""Tables of a pandas HDFStore, read with h5py, a block of rows at a time.

pandas stores a table as one HDF5 dataset of records: columns of one type together in a field
`values_block_N`, or a field for each column. The names of a block's columns are pickled into an
attribute. A pickle is a program, and to run one from a downloaded file is not safe. So it is only
searched for the texts in it; nothing is built or called. If that does not give a name for each
column, columns have numbers. Shapes and types come from the data.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem

INDEX = "index"  # field of the row labels
TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
GETS = {"GET", "BINGET", "LONG_BINGET"}
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


@dataclass(frozen=True)
class Table:
    """A table of a store.

    Attributes:
        key: in the store.
        data: its records.
        columns: name, field, and position in the field; None if the field is one column.
    """

    key: str
    data: h5py.Dataset
    columns: tuple[tuple[str, str, int | None], ...]

    def __len__(self) -> int:
        return int(self.data.shape[0])

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield all records, `rows` at a time."""
        for first in range(0, len(self), rows):
            yield self.data[first : first + rows]

    def column(self, records: NDArray[Any], name: str) -> NDArray[Any]:
        """Return one column of records."""
        _, field, position = next(column for column in self.columns if column[0] == name)
        values = records[field]
        return np.asarray(values if position is None else values[:, position])

    def numbers(self, records: NDArray[Any]) -> NDArray[np.float32]:
        """Return all columns of records: (row, column) float32."""
        fields = list(dict.fromkeys(field for _, field, _ in self.columns))
        if len(fields) == 1:
            values = records[fields[0]]
            return np.ascontiguousarray(values.reshape(len(records), -1), np.float32)
        return np.ascontiguousarray(
            recfunctions.structured_to_unstructured(records[fields], dtype=np.float32)
        )


def open_table(file: h5py.File, key: str) -> Table | None:
    """Return a table of a store, None if the store does not have this key.

    Raises:
        NativeFormatError: the key is not a table.
    """
    if key not in file:
        return None
    group = file[key]
    data = group.get("table") if isinstance(group, h5py.Group) else None
    if not isinstance(data, h5py.Dataset) or data.dtype.names is None:
        message = "is not a table (HDFStore, format 'table'); the fixed format is not read"
        raise NativeFormatError(
            f"{Path(file.filename).name} is not laid out as expected",
            problems=[Problem("layout", key, message)],
            untouched="nothing was converted",
        )
    columns: list[tuple[str, str, int | None]] = []
    for field in data.dtype.names:
        if field == INDEX:
            continue
        shape = data.dtype[field].shape
        if not shape:
            columns.append((field, field, None))
            continue
        names = _names(data.attrs.get(f"{field}_kind"), shape[0], start=len(columns))
        columns += [(name, field, position) for position, name in enumerate(names)]
    return Table(key, data, tuple(columns))


def texts_of(pickled: bytes) -> list[str]:
    """Return the texts that a pickle would push, in order, without running it.

    Nothing is built or called. A text in the pickle's memo that is used again is returned again.
    """
    texts: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None
    argument: Any
    for code, argument, _ in pickletools.genops(pickled):
        if code.name in TEXTS:
            last = str(argument)
            texts.append(last)
        elif code.name in GETS:
            last = memo.get(int(argument))
            texts += [last] if last is not None else []
        elif code.name in PUTS and last is not None:
            memo[int(argument)] = last
        elif code.name == "MEMOIZE":
            memo[len(memo)] = last or ""
        else:
            last = None
    return texts


def _names(pickled: Any, count: int, *, start: int) -> list[str]:
    """Return a name for each column of a field, or numbers if the texts are not distinct names."""
    try:
        names = texts_of(bytes(pickled)) if isinstance(pickled, bytes) else []
    except ValueError:  # not a pickle
        names = []
    if len(names) == count == len(set(names)) and all(names):
        return names
    return [str(number) for number in range(start, start + count)]

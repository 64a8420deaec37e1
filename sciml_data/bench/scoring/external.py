"""Predictions that another program made: read them, and align them with a benchmark's targets.

They come as a table (CSV or Parquet) with a row for each value, as NetCDF, or as objects of Python.
Each value is found by its ids, which are the coordinates of the targets. So the order of rows and
axes does not matter, and a value can be missing, duplicated or foreign, which is an error:

    response,predicted            part,sample,structure,predicted
    419,0.213                     test,test/0,monoclinic,0.93
    420,0.187                     test,test/0,tetragonal,0.07

Every problem of all parts is found before anything is scored or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, Problem, RecordError, nearest

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    import xarray as xr

PART = "part"  # column with the part of a row
VALUE = "predicted"  # column or variable with the values
TABLES = (".csv", ".parquet")
NETCDF = (".nc", ".nc4")
SHOWN_IDS = 3  # of many ids in a message
OTHER_SEPARATORS = ";\t|"  # that spreadsheets write instead of commas
UNTOUCHED = "nothing was scored or written"
EXPORT = "sciml-data split export BENCHMARK --to ids.csv"  # the command that writes the ids


@dataclass(frozen=True)
class Expected:
    """What the predictions of a part have to be.

    Attributes:
        targets: of the scored samples, with a coordinate for each axis.
        ids: of all samples of the part. Predictions of samples that are not scored are ignored.
    """

    targets: xr.DataArray
    ids: pd.Index[Any]

    @property
    def axes(self) -> list[str]:
        """Return the names of the axes, samples first."""
        return [str(axis) for axis in self.targets.dims]


def read_predictions(
    given: Any,
    expected: Mapping[str, Expected],
    *,
    units: str | None = None,
    requires_test: bool = True,
    export: str = EXPORT,
) -> dict[str, xr.DataArray]:
    """Return the predictions of each part in the order of the targets.

    Args:
        given: path of a file, a `pandas.DataFrame` with ids as columns, or a mapping part -> array,
            `xarray.DataArray` or `pandas.Series`. An array has the shape of the part's targets.
        expected: part -> targets and ids.
        units: of the predictions, if they do not say it themselves.
        requires_test: whether predictions of the test part have to be there.
        export: command that writes the ids of the benchmark, for hints.

    Raises:
        CallError: the file or object has another form.
        RecordError: ids are missing, duplicated or foreign, values are not finite, or unit or axes
            differ from those of the targets; `.problems` has all of them.
    """
    hint = f"`{export}` writes the ids of each part"
    try:
        parts = _by_part(given, expected)
    except CallError as error:
        error.hint = error.hint or hint
        raise
    problems = [_unknown_part(part, expected) for part in parts if part not in expected]
    required = _only_part(expected)
    if required not in parts and (requires_test or not parts):
        problems.append(Problem("part", required, "has no predictions"))
    aligned = {}
    for part, values in parts.items():
        if part in expected:
            aligned[part], more = _aligned(part, values, expected[part], units)
            problems += more
    if problems:
        raise RecordError(
            "these predictions cannot be scored", problems=problems, untouched=UNTOUCHED, hint=hint
        )
    return {part: aligned[part] for part in expected if part in aligned}


def _unknown_part(part: str, expected: Mapping[str, Expected]) -> Problem:
    near = [known for known in expected if known.lower() == part.strip().lower()]
    meant = f" (did you mean {near[0]!r}?)" if near else nearest(part, expected)
    return Problem("part", part, f"no part of the split{meant}; its parts are {_list(expected)}")


def _list(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))


# From any form to an array for each part


def _by_part(given: Any, expected: Mapping[str, Expected]) -> dict[str, Any]:
    import pandas as pd

    if isinstance(given, str | Path):
        return _from_file(Path(given).expanduser(), expected)
    if isinstance(given, pd.DataFrame):
        return _from_table(given, expected)
    if isinstance(given, Mapping) and not hasattr(given, "dims"):
        return {str(part): values for part, values in given.items()}
    raise CallError(
        f"predictions are of type {type(given).__name__}; a path, a table or a mapping from part "
        "to values is expected",
        untouched=UNTOUCHED,
        hint='score(benchmark, {"test": model.predict(x)})',
    )


def require_predictions_file(path: Path) -> None:
    """Raise an error unless a path is a file of a known format, before the data are fetched.

    Raises:
        CallError: no such file, or its name has no known ending.
    """
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "no such file"
        raise CallError(f"{path}: {reason}", untouched=UNTOUCHED)
    if path.suffix.lower() not in {*TABLES, *NETCDF}:
        raise CallError(
            f"{path.name} has no known format; known endings: {', '.join(TABLES + NETCDF)}",
            untouched=UNTOUCHED,
        )


def _from_file(path: Path, expected: Mapping[str, Expected]) -> dict[str, Any]:
    require_predictions_file(path)
    suffix = path.suffix.lower()
    if suffix in NETCDF:
        return _from_netcdf(path, expected)
    return _from_table(_read_table(path, expected), expected)


def _plain(error: Exception) -> str:
    """Return the reason of a failed read without the private words of a library."""
    import pandas as pd

    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, pd.errors.EmptyDataError):
        return "it is empty"
    return str(error).partition("\n")[0]


def _read_table(path: Path, expected: Mapping[str, Expected]) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".csv":
        _refuse_other_separators(path)
    targets = next(iter(expected.values())).targets
    # As text, so that the id 007 does not become the number 7.
    texts = {str(axis): str for axis in targets.dims if targets[axis].dtype.kind in "OU"}
    try:
        if path.suffix.lower() == ".csv":
            return pd.read_csv(path, dtype=dict(texts))
        return pd.read_parquet(path)
    except ImportError as error:
        raise CallError(
            "reading Parquet needs pyarrow, which is not installed",
            untouched=UNTOUCHED,
            hint="pip install pyarrow",
        ) from error
    except (ValueError, OSError) as error:  # parsers of pandas and pyarrow raise subclasses of both
        reason = _plain(error)
        raise CallError(
            f"{path.name} cannot be read: {reason:.200}", untouched=UNTOUCHED
        ) from error


def _refuse_other_separators(path: Path) -> None:
    """Refuse a table in which another character than the comma separates the columns."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            header = next((line for line in stream if line.strip()), "")
    except OSError as error:
        raise CallError(f"{path.name} cannot be read: {error}", untouched=UNTOUCHED) from error
    found = max(OTHER_SEPARATORS, key=header.count)
    if header.count(found) > header.count(","):
        raise CallError(
            f"{path.name}: the columns seem to be separated by {found!r}; commas are expected, and "
            "points in numbers",
            untouched=UNTOUCHED,
            hint="write the table again with commas, such as `table.to_csv(path, index=False)` of "
            "pandas, or as Parquet",
        )


def _from_netcdf(path: Path, expected: Mapping[str, Expected]) -> dict[str, Any]:
    from sciml_data.formats import open_hdf5, open_netcdf

    with open_hdf5(path, error=CallError) as file:
        folders = [name for name in file if hasattr(file[name], "keys")]
        # A group of another name is a part only if it has predictions: TEST instead of test.
        groups = [name for name in folders if name in expected or VALUE in file[name]]
    if groups:
        found = {part: open_netcdf(path, group=part, error=CallError).load() for part in groups}
        return {
            part: _variable(dataset, f"group {part!r} of {path.name}")
            for part, dataset in found.items()
        }
    return _divided(_variable(open_netcdf(path, error=CallError).load(), path.name), expected)


def _variable(dataset: xr.Dataset, place: str) -> xr.DataArray:
    """Return the variable with the predictions."""
    if VALUE not in dataset:
        raise _no_values(place, "variable", list(dataset.data_vars))
    return dataset[VALUE]


def _no_values(place: str, kind: str, names: Sequence[Any]) -> CallError:
    """Return the error of a table or a file without `predicted`.

    No other name is accepted: the only other column may have the observations.
    """
    near = nearest(VALUE, [str(name) for name in names])
    return CallError(
        f"{place} has no {kind} {VALUE!r}{near}; its {kind}s are {_list(names) or 'none'}",
        untouched=UNTOUCHED,
        hint=f"name the {kind} with the predictions {VALUE!r}",
    )


def _divided(values: xr.DataArray, expected: Mapping[str, Expected]) -> dict[str, Any]:
    """Return the values of each part: by their coordinate `part`, else by the ids of samples."""
    axis = next(iter(expected.values())).axes[0]
    if axis not in values.dims or axis not in values.coords:
        return {_only_part(expected): values}
    ids = values[axis].to_index()
    if PART in values.coords and values[PART].dims == (axis,):
        names = values[PART].to_numpy().astype(str)
    else:
        names = _parts_of(ids, expected).to_numpy()
    return {str(part): values.isel({axis: names == part}) for part in dict.fromkeys(names)}


def _from_table(table: pd.DataFrame, expected: Mapping[str, Expected]) -> dict[str, Any]:
    first = next(iter(expected.values()))
    table = table.reset_index() if set(first.axes) & set(table.index.names) else table
    table = _long(table, first)
    columns = [axis for axis in first.axes if axis in table]
    samples = first.axes[0]
    if samples not in table:
        raise CallError(
            f"the table has no column {samples!r} with the ids of samples; its columns are "
            f"{_list(table.columns)}",
            untouched=UNTOUCHED,
        )
    if VALUE not in table:
        raise _no_values("the table", "column", list(table.columns))
    rows = table[[*columns, VALUE]].assign(
        **{axis: _ids(table[axis], first, axis) for axis in columns}
    )
    names = table[PART].astype(str) if PART in table else _parts_of(rows[samples], expected)
    return {
        part: _Rows(rows[(names == part).to_numpy()], columns, _attributes(table))
        for part in dict.fromkeys(names)
    }


def _attributes(table: pd.DataFrame | pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in table.attrs.items()}


@dataclass(frozen=True)
class _Rows:
    """The rows of a part in a table: columns of ids, and the column `predicted`."""

    table: pd.DataFrame
    columns: Sequence[str]
    attrs: Mapping[str, Any]


def _long(table: pd.DataFrame, expected: Expected) -> pd.DataFrame:
    """Return a table with a row for each value; labels of the last axis may be columns."""
    axis = expected.axes[-1]
    if axis in table or len(expected.axes) == 1:
        return table
    labels = {str(label): label for label in expected.targets[axis].to_numpy()}
    wide = [column for column in table if str(column) in labels]
    if len(wide) != len(labels):
        return table
    others = [column for column in table if column not in wide]
    long = table.melt(others, wide, var_name=axis, value_name=VALUE)
    return long.assign(**{axis: [labels[str(label)] for label in long[axis]]})


def _ids(column: pd.Series[Any], expected: Expected, axis: str) -> Any:
    """Return ids in the type of the targets' ids, as far as they can be converted."""
    import pandas as pd

    kind = expected.targets[axis].dtype.kind
    if kind in "OU":
        return column.astype(str)
    if kind == "M":
        return pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None)
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if kind == "f" else numbers.astype("float64")


def _parts_of(ids: Any, expected: Mapping[str, Expected]) -> pd.Series[Any]:
    """Return the part of each sample by its id; ids of no part count as those of the test part."""
    import pandas as pd

    ids = pd.Series(ids).reset_index(drop=True)
    names = pd.Series(_only_part(expected), index=ids.index)
    known = pd.Series(data=False, index=ids.index)
    for part, each in expected.items():
        is_in = ids.isin(each.ids)
        if (known & is_in).any():
            raise CallError(
                f"samples such as {ids[known & is_in].iloc[0]} are in several parts, so each row "
                f"has to name its part: no column {PART!r}",
                untouched=UNTOUCHED,
            )
        names[is_in] = part
        known |= is_in
    return names


def _only_part(expected: Mapping[str, Expected]) -> str:
    return "test" if "test" in expected else list(expected)[-1]


# Alignment and checks


def _aligned(
    part: str, values: Any, expected: Expected, units: str | None
) -> tuple[Any, list[Problem]]:
    """Return values in the order of the targets, and what is wrong with them."""
    import xarray as xr

    targets = expected.targets
    if isinstance(values, _Rows):
        array, problems = _from_rows(part, values, expected)
    elif isinstance(values, xr.DataArray):
        array, problems = values, []
    elif hasattr(values, "to_xarray"):  # a pandas.Series with ids as its index
        array, problems = _from_series(part, values, expected)
    else:
        return _from_array(part, values, expected)
    stated = units or array.attrs.get("units") if array is not None else units
    problems += list(_unit_problems(part, stated, targets))
    if problems or array is None:
        return None, problems
    if found := list(_axis_problems(part, array, expected)):
        return None, found
    array = array.expand_dims(
        {axis: targets[axis] for axis in expected.axes if axis not in array.dims}
    )
    array = array.transpose(*targets.dims)
    filled = array.assign_coords(
        {axis: targets[axis] for axis in expected.axes if axis not in array.coords}
    )
    chosen = filled.sel({axis: targets[axis].to_numpy() for axis in expected.axes})
    return _checked_values(part, chosen, targets)


def _from_rows(part: str, rows: _Rows, expected: Expected) -> tuple[Any, list[Problem]]:
    table, columns = rows.table, list(rows.columns)
    problems = [
        Problem("ids", f"{part}/{axis}", f"{_counted(count, 'row')} without a valid id")
        for axis in columns
        if (count := int(table[axis].isna().sum()))
    ]
    if (twice := table.duplicated(columns, keep="first")).any():
        names = (
            table.loc[twice, columns[0]]
            if len(columns) == 1
            else table.loc[twice, columns].apply(tuple, axis=1)
        )
        problems.append(Problem("ids", f"{part}/{columns[0]}", f"{_some(names)} more than once"))
    for axis in columns:
        problems += _set_problems(part, axis, table[axis].dropna().unique(), expected)
    if problems:
        return None, problems
    values = table.set_index(columns)[VALUE]
    return values.to_xarray().assign_attrs(rows.attrs), []


def _from_series(part: str, values: Any, expected: Expected) -> tuple[Any, list[Problem]]:
    import pandas as pd

    if not isinstance(values, pd.Series):
        raise CallError(
            f"the predictions of {part} are a {type(values).__name__}; an array, a DataArray or a "
            "Series is expected",
            untouched=UNTOUCHED,
        )
    names = values.index.names
    columns = [
        expected.axes[number] if name is None else str(name) for number, name in enumerate(names)
    ]
    table = values.rename(VALUE).rename_axis(columns).reset_index()
    return _from_rows(part, _Rows(table, columns, _attributes(values)), expected)


def _from_array(part: str, values: Any, expected: Expected) -> tuple[Any, list[Problem]]:
    """Return values without ids, which are in the order of the part's samples."""
    import numpy as np

    array, targets = np.asarray(values), expected.targets
    whole = (len(expected.ids), *targets.shape[1:])
    if array.size == np.prod(targets.shape) and len(array) == len(targets):
        chosen = targets.copy(data=array.reshape(targets.shape))
    elif array.size == np.prod(whole) and len(array) == whole[0]:
        places = expected.ids.get_indexer(targets[targets.dims[0]].to_index())
        chosen = targets.copy(data=array.reshape(whole)[places])
    else:
        message = f"{array.shape} found, {whole} expected: {_list(expected.axes)}"
        return None, [Problem("shape", part, message)]
    return _checked_values(part, chosen, targets)


def _unit_problems(part: str, stated: Any, targets: xr.DataArray) -> Iterator[Problem]:
    wanted = targets.attrs.get("units")
    if stated is not None and wanted is not None and str(stated) != str(wanted):
        yield Problem("units", part, f"{stated!r} found, {wanted!r} expected; nothing is converted")


def _axis_problems(part: str, array: xr.DataArray, expected: Expected) -> Iterator[Problem]:
    targets = expected.targets
    missing = [a for a in expected.axes if a not in array.dims and targets.sizes[a] > 1]
    if missing or set(map(str, array.dims)) - set(expected.axes):
        found = ", ".join(map(str, array.dims))
        yield Problem("shape", part, f"axes {found} found, {_list(expected.axes)} expected")
        return
    for axis in expected.axes:
        if axis in array.coords and axis in array.dims:
            yield from _id_problems(part, axis, array[axis].to_index(), expected)
        elif axis in array.dims and axis == expected.axes[0]:
            yield Problem("ids", f"{part}/{axis}", "the axis has no coordinate with ids")
        elif axis in array.dims and array.sizes[axis] != targets.sizes[axis]:
            message = f"{array.sizes[axis]} values found, {targets.sizes[axis]} expected"
            yield Problem("shape", f"{part}/{axis}", message)


def _id_problems(part: str, axis: str, index: Any, expected: Expected) -> Iterator[Problem]:
    if index.has_duplicates:
        twice = index[index.duplicated()]
        yield Problem("ids", f"{part}/{axis}", f"{_some(twice)} more than once")
    yield from _set_problems(part, axis, index, expected)


def _set_problems(part: str, axis: str, found: Any, expected: Expected) -> Iterator[Problem]:
    """Yield ids of an axis that are not of the part, and ids that are missing."""
    import pandas as pd

    index, wanted = pd.Index(found), expected.targets[axis].to_index()
    known = expected.ids if axis == expected.axes[0] else wanted
    foreign, absent = index[~index.isin(known)], wanted[~wanted.isin(index)]
    if len(foreign):
        yield Problem("ids", f"{part}/{axis}", f"{_some(foreign)} not of this part")
    if len(absent):
        yield Problem("ids", f"{part}/{axis}", f"{_some(absent)} missing")


def _checked_values(
    part: str, array: xr.DataArray, targets: xr.DataArray
) -> tuple[xr.DataArray, list[Problem]]:
    """Return the values as numbers, and what is wrong with them.

    One cell with text makes the whole column of a table text, also in the other parts. So texts are
    read as numbers, and only those that are not numbers are problems.
    """
    import numpy as np

    if array.dtype.kind in "OU":
        values = array.to_numpy().astype(object)
        numbers = [_number(value) for value in values.flat]
        is_text = np.reshape([number is None for number in numbers], values.shape)
        if is_text.any():
            place, first = _first(is_text, targets), values[is_text][0]
            message = (
                f"{_counted(int(is_text.sum()), 'value')} not a number, first {first!r} at {place}"
            )
            return array, [Problem("type", part, message)]
        array = array.copy(data=np.reshape(np.array(numbers, np.float64), values.shape))
    if array.dtype.kind not in "fiub":
        return array, [Problem("type", part, f"numbers are expected, not {array.dtype}")]
    values = array.to_numpy().astype(np.float64)
    is_needed = np.isfinite(targets.to_numpy()) | np.isinf(values)
    bad = is_needed & ~np.isfinite(values)
    if not bad.any():
        return array, []
    count, needed = int(bad.sum()), _counted(int(is_needed.sum()), "value")
    message = f"{count:,} of {needed} missing, NaN or infinite, the first at {_first(bad, targets)}"
    return array, [Problem("values", part, message)]


def _number(value: Any) -> float | None:
    """Return a value as a number, NaN for a missing one, and None if it is not a number."""
    import pandas as pd

    if value is None or value is pd.NA:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _first(is_bad: npt.NDArray[Any], targets: xr.DataArray) -> str:
    """Return the ids of the first value that is bad."""
    import numpy as np

    first = [int(place[0]) for place in np.nonzero(is_bad)]
    return ", ".join(
        f"{axis} {targets[axis].to_numpy()[place]}"
        for axis, place in zip(targets.dims, first, strict=True)
    )


def _some(ids: Any) -> str:
    """Return the number of ids and the first of them, as the subject of a sentence."""
    names = [str(name) for name in ids[:SHOWN_IDS]]
    more = ", ..." if len(ids) > len(names) else ""
    return f"{len(ids):,} {'id' if len(ids) == 1 else 'ids'} ({', '.join(names)}{more})"


def _counted(number: int, noun: str) -> str:
    """Return a number with its noun and verb: `1 value is`, `2 values are`."""
    return f"{number:,} {noun} is" if number == 1 else f"{number:,} {noun}s are"

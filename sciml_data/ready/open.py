"""Open ready files as an xarray.Dataset, held against what the descriptor declares.

Nothing is read but the headers: values come when they are asked for. With dask installed they come
as its arrays, chunked as in the file; without, as xarray's own lazy arrays.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, ConversionError, Problem, nearest
from sciml_data.formats import NOTICES, load_format, require_format, views_of
from sciml_data.home import DatasetFolder, find_home
from sciml_data.ready.folder import find_converted, shards_of_split
from sciml_data.registry.descriptor import Descriptor, Variable, load_descriptor
from sciml_data.registry.layout import find_registry

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

SHARD_DIMENSION = "shard_dimension"  # attribute of ready files that follow one another along it
LINES = ("native_files", "dropped_samples", NOTICES)  # attributes that are lines of text
COUNTS = ("rows_", "samples_")  # attributes that are numbers of what was found


def open_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    split: str | None = None,
    view: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    registry: str | Path | None = None,
    home: str | Path | None = None,
    **view_options: Any,
) -> xr.Dataset:
    """Return a converted dataset, lazily.

    Args:
        dataset: id in the registry, e.g. "tevolop_socal".
        version: None is the newest.
        split: which one, where the ready files hold several.
        view: one of the reader's views, e.g. "fortnights".
        sample: open the synthetic sample.
        sample_seed: seed the sample was made with.
        options: the reader's options that it was converted with; None are the defaults.
        registry: registry folder, as text or Path; None as the command line finds it.
        home: folder of all data, as text or Path; None as the command line finds it.
        **view_options: arguments of the view.

    Raises:
        CallError: no such dataset, version, split, view or option, it was not converted yet, or it
            has no ready form.
        ConversionError: the ready files are not what the descriptor declares.
    """
    descriptor = load_descriptor(find_registry(registry), dataset, version)
    seed = sample_seed if sample else None
    folder = find_home(home).dataset(dataset, descriptor.version, sample_seed=seed)
    require_format(descriptor, folder.native)
    converted = find_converted(descriptor, folder, options)
    if converted is None:
        flags = f" --sample --sample-seed {sample_seed}" if sample else ""
        raise _not_ready(descriptor, folder, flags, options or {})
    return open_ready(converted, split=split, view=view, **view_options)


def _not_ready(
    descriptor: Descriptor, folder: DatasetFolder, flags: str, options: Mapping[str, Any]
) -> CallError:
    """Return what to type so that there are ready files: `get`, too, where nothing was fetched."""
    which = f"{descriptor.dataset} --version {descriptor.version}{flags}"
    convert = f"sciml-data convert {which}"
    convert += "".join(f" --set {name}={value}" for name, value in options.items())
    is_here = folder.native.is_dir()
    return CallError(
        f"cannot open {descriptor.dataset} {descriptor.version}: no ready files in {folder.ready}"
        + ("" if is_here else "; nothing was fetched"),
        untouched="nothing was read",
        hint=convert if is_here else f"sciml-data get {which} && {convert}",
    )


def open_ready(
    converted: Converted, *, split: str | None = None, view: str | None = None, **options: Any
) -> xr.Dataset:
    """Return ready files as one dataset, lazily, or a view of it.

    Args:
        converted: what `convert` returned.
        split: which one, where the files hold several.
        view: one of the reader's views.
        **options: arguments of the view.

    Raises:
        CallError: no such split, view or option.
        ConversionError: `.problems` has every variable that is not as declared.
    """
    make_view = _view(converted, view, options)
    split, paths = _chosen(converted, split)
    dataset = _open_files(paths)
    declared = converted.descriptor.variables
    problems = declaration_problems(
        dataset,
        {name: one for name, one in declared.items() if not one.splits or split in one.splits},
    )
    if problems:
        dataset.close()
        name = f"{converted.descriptor.dataset} {converted.descriptor.version}"
        raise ConversionError(
            f"the ready files of {name} differ from its descriptor in {len(problems)} places",
            problems=problems,
            untouched="nothing was changed",
            hint=f"sciml-data convert {converted.descriptor.dataset} --again",
        )
    return make_view(dataset, **options) if make_view else dataset


def declaration_problems(dataset: xr.Dataset, variables: Mapping[str, Variable]) -> list[Problem]:
    """Return every difference between a dataset and its declared variables.

    Names, dimensions, types and units are compared. Of text (declared "S") the length may be any,
    and a date that was decoded has no units.
    """
    found = {str(name): variable for name, variable in dataset.variables.items()}
    problems = [
        Problem("missing", name, "is declared, and not in the files")
        for name, one in variables.items()
        if name not in found and not one.is_optional
    ]
    for name, variable in found.items():
        declared = variables.get(name)
        if declared is None:
            problems.append(Problem("unexpected", name, "is in the files, and not declared"))
            continue
        dtype = "S" if variable.dtype.kind == "S" else str(variable.dtype)
        for kind, expected, actual in (
            ("dims", declared.dims, tuple(map(str, variable.dims))),
            ("dtype", declared.dtype, dtype),
            ("units", declared.units, variable.attrs.get("units")),
        ):
            if expected != actual:
                problems.append(Problem(kind, name, f"{expected} declared, {actual} found"))
    return problems


def _view(
    converted: Converted, view: str | None, options: Mapping[str, Any]
) -> Callable[..., xr.Dataset] | None:
    """Return the view of this name, None for none; unknown options are named."""
    if view is None:
        if options:
            raise CallError(f"without a view there are no options; {', '.join(options)} was given")
        return None
    views = views_of(load_format(converted.descriptor.native["reader"]))
    if view not in views:
        raise CallError(
            f"{converted.descriptor.dataset} has no view {view!r}{nearest(view, views)}",
            untouched="nothing was read",
            hint=f"views: {', '.join(views) or 'none'}",
        )
    known = [name for name in inspect.signature(views[view]).parameters if name != "dataset"]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise CallError(
            f"view {view!r} has no option {', '.join(unknown)}{nearest(unknown[0], known)}",
            untouched="nothing was read",
            hint=f"options of {view}: {', '.join(known)}",
        )
    return views[view]


def _chosen(converted: Converted, split: str | None) -> tuple[str, list[Path]]:
    """Return the split, the only one where none is named, and its ready files."""
    splits = shards_of_split(converted)
    if split is None and len(splits) == 1:
        split = next(iter(splits))
    if split not in splits:
        asked = "a split has to be named" if split is None else f"there is no split {split!r}"
        if split in converted.descriptor.splits:
            asked = f"no file of split {split!r} was fetched and converted"
        raise CallError(
            f"cannot open {converted.descriptor.dataset}: {asked}",
            untouched="nothing was read",
            hint=f"splits: {', '.join(splits)}",
        )
    return split, [converted.root / name for name in splits[split]]


def _open_files(paths: list[Path]) -> xr.Dataset:
    """Return one file as it is; of several, those with one shard dimension follow one another.

    Files without a shard dimension are tables of their own, and so is each such row of files: they
    are put together by their variables, which are of different names.
    """
    import xarray as xr

    has_dask = importlib.util.find_spec("dask") is not None
    if len(paths) == 1:
        chunks: dict[str, int] | None = {} if has_dask else None
        return xr.open_dataset(paths[0], engine="h5netcdf", chunks=chunks)
    if not has_dask:
        raise CallError(
            f"{len(paths)} files are opened as one with dask, which is not installed",
            untouched="nothing was read",
            hint="pip install 'sciml-data[cluster]'",
        )
    parts = [_open_row(along, row) for along, row in files_by_dimension(paths).items()]
    if len(parts) == 1:
        return parts[0]
    whole = xr.merge(parts, compat="override", join="override", combine_attrs=combined_attributes)
    files = ExitStack()
    for part in parts:
        files.callback(part.close)
    whole.set_close(files.close)
    return whole


def files_by_dimension(paths: list[Path]) -> dict[str, list[Path]]:
    """Return the files by the dimension along which they follow one another, in their order."""
    import h5py

    rows: dict[str, list[Path]] = {}
    for path in paths:
        with h5py.File(path, "r") as file:
            along = file.attrs.get(SHARD_DIMENSION, path.name)  # of a table its name: it is alone
        rows.setdefault(along if isinstance(along, str) else along.decode(), []).append(path)
    return rows


def _open_row(along: str, paths: list[Path]) -> xr.Dataset:
    import xarray as xr

    if len(paths) == 1:
        return xr.open_dataset(paths[0], engine="h5netcdf", chunks={})
    # What does not follow `along` is the first file's; in the others it is not compared.
    return xr.open_mfdataset(
        paths,
        engine="h5netcdf",
        combine="nested",
        concat_dim=along,
        chunks={},
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs=combined_attributes,
    )


def combined_attributes(parts: list[dict[str, Any]], context: Any = None) -> dict[str, Any]:  # noqa: ARG001 (xarray's)
    """Return the attributes of files that are opened as one.

    The first file counts, but numbers whose name starts with `rows_` or `samples_` are summed, also
    in an object of JSON, and the lines of native files and notices are those of all.
    """
    together: dict[str, Any] = {}
    names = dict.fromkeys(name for part in parts for name in part if name != SHARD_DIMENSION)
    for name in names:
        values = [part[name] for part in parts if name in part]
        if name.startswith(COUNTS):
            together[name] = _summed(values)
        elif name in LINES:
            together[name] = "\n".join(
                dict.fromkeys(line for value in values for line in value.split("\n") if line)
            )
        elif name != "native_files_sha256" or len(set(values)) == 1:
            together[name] = values[0]
    return together


def _summed(values: list[Any]) -> Any:
    if not isinstance(values[0], str):
        return sum(values)
    total: dict[str, Any] = {}
    for value in values:
        _add(total, json.loads(value))
    return json.dumps(total)


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value

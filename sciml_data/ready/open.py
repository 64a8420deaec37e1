"""Open ready files as an `xarray.Dataset`, and check them against the descriptor.

Only headers are read. Values are dask arrays with the chunks of the file, which are read on access.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, ConversionError, Problem, VerificationError, nearest
from sciml_data.formats import NOTICES, load_format, require_format, views_of
from sciml_data.home import DatasetFolder, HomePath, find_home
from sciml_data.progress import counted
from sciml_data.ready.folder import find_converted, shards_of_split
from sciml_data.ready.streaming.streamed import Streamed
from sciml_data.registry.descriptor import Descriptor, Variable, load_descriptor
from sciml_data.registry.layout import RegistryPath, find_registry

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.ready.streaming.reader import ChunkReader
    from sciml_data.registry.stages import Converted

SHARD_DIMENSION = "shard_dimension"  # attribute: files are concatenated along this dimension
LINES = ("native_files", "dropped_samples", NOTICES)  # attributes with lines of text
COUNTS = ("rows_", "samples_")  # prefixes of attributes with counts


def open_dataset(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    split: str | None = None,
    view: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    stream: bool = False,
    cache_bytes: int | None = None,
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    **view_options: Any,
) -> xr.Dataset:
    """Open a converted dataset lazily.

        events = open_dataset("tevolop_socal")
        series = open_dataset("tevolop_socal", view="fortnights")
        scenes = open_dataset("cloud_slstr_ds1", split="training", stream=True)

    Examples:
        >>> with sciml_data.open_dataset("hydronet_ds1", split="min_data", sample=True) as water:
        ...     water.sizes["sample"]
        96

    Args:
        dataset: id in the registry, e.g. "tevolop_socal".
        version: None is the newest.
        split: name of a split; required if the ready files have several.
        view: a view of the format, e.g. "fortnights".
        sample: open the synthetic sample.
        sample_seed: seed of the sample.
        options: options of the conversion; None are the defaults.
        stream: read the published ready form from a mirror, chunk by chunk, instead of files here.
        cache_bytes: bound of the cache of streamed chunks; None is 20 GB.
        mirrors: addresses to try before those of the registry, for a stream.
        registry: registry folder, as text or Path; None as the command line finds it.
        home: folder of all data, as text or Path; None as the command line finds it.
        **view_options: arguments of the view.

    Returns:
        The variables that the descriptor declares, or those of the view.

    Raises:
        CallError: dataset, version, split, view or option do not exist, the dataset was not
            converted yet, or it has no ready form.
        VerificationError: a ready file is missing or changed; `.problems` names it. A file is read
            for this once, and again when its size, mtime or inode has changed.
        ConversionError: the ready files differ from the declarations of the descriptor.
        FetchError: no mirror has the index of a stream. Values are read later: then a chunk that
            no mirror sends with the right bytes is this error, too.
    """
    if stream:
        converted = _find_stream(
            dataset, version, options, cache_bytes, mirrors=mirrors, sample=sample,
            registry=registry, home=home,
        )  # fmt: skip
        return open_ready(converted, split=split, view=view, **view_options)
    converted = find_ready(
        dataset,
        version=version,
        sample_seed=sample_seed if sample else None,
        options=options,
        registry=registry,
        home=home,
    )
    return open_ready(converted, split=split, view=view, **view_options)


def _find_stream(  # noqa: PLR0913 - the keywords of `open_dataset`
    dataset: str,
    version: str | None,
    options: Mapping[str, Any] | None,
    cache_bytes: int | None,
    *,
    mirrors: Sequence[str],
    sample: bool,
    registry: RegistryPath,
    home: HomePath,
) -> Converted:
    """Return the published ready form of a dataset, to be streamed."""
    from sciml_data.ready.streaming.published import open_stream

    if sample:
        raise CallError(
            "a synthetic sample is made here, and cannot be streamed",
            untouched="nothing was read",
            hint="leave out `sample` or `stream`",
        )
    return open_stream(
        load_descriptor(find_registry(registry), dataset, version),
        find_home(home),
        options=options,
        mirrors=mirrors,
        cache_bytes=cache_bytes,
    )


def find_ready(
    dataset: str,
    *,
    version: str | None = None,
    sample_seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    registry: RegistryPath = None,
    home: HomePath = None,
) -> Converted:
    """Return the ready files of a dataset that was converted.

    Args:
        dataset: id in the registry.
        version: None is the newest.
        sample_seed: seed of the synthetic sample; None for published data.
        options: options of the conversion; None are the defaults.
        registry: registry folder; None as the command line finds it.
        home: folder of all data; None as the command line finds it.

    Raises:
        CallError: dataset, version or option do not exist, the dataset was not converted yet, or it
            has no ready form.
    """
    descriptor = load_descriptor(find_registry(registry), dataset, version)
    folder = find_home(home).dataset(dataset, descriptor.version, sample_seed=sample_seed)
    require_format(descriptor, folder.native)
    converted = find_converted(descriptor, folder, options)
    if converted is None:
        flags = "" if sample_seed is None else f" --sample --sample-seed {sample_seed}"
        raise _not_ready(descriptor, folder, flags, options or {})
    return converted


def _not_ready(
    descriptor: Descriptor, folder: DatasetFolder, flags: str, options: Mapping[str, Any]
) -> CallError:
    """Return an error with the command that makes ready files, after `get` if that is needed."""
    which = f"{descriptor.dataset} --version {descriptor.version}{flags}"
    convert = f"sciml-data convert {which}"
    convert += "".join(f" --set {name}={value}" for name, value in options.items())
    is_fetched = folder.native.is_dir()
    return CallError(
        f"cannot open {descriptor.dataset} {descriptor.version}: no ready files in {folder.ready}"
        + ("" if is_fetched else "; it was not fetched"),
        untouched="nothing was read",
        hint=convert if is_fetched else f"sciml-data get {which} && {convert}",
    )


def open_ready(
    converted: Converted, *, split: str | None = None, view: str | None = None, **options: Any
) -> xr.Dataset:
    """Open ready files lazily as a dataset, or a view of it.

    Args:
        converted: result of `convert` or `find_converted`.
        split: name of a split; required if the files have several.
        view: a view of the format.
        **options: arguments of the view.

    Raises:
        CallError: split, view or option do not exist.
        VerificationError: a ready file of the split is missing or changed; `.problems` names it.
        ConversionError: variables differ from the descriptor; `.problems` has all differences.
        FetchError: the head of a file on a mirror could not be read.
    """
    make_view = _view(converted, view, options)
    split, names = _files_of_split(converted, split)
    paths = [converted.root / name for name in names]
    if isinstance(converted, Streamed):
        dataset = _open_files(paths, converted.reader)
    else:
        dataset = _open_unchanged(converted, names, paths)
    declared = converted.descriptor.variables
    problems = declaration_problems(
        dataset,
        {name: var for name, var in declared.items() if not var.splits or split in var.splits},
    )
    if problems:
        dataset.close()
        name = f"{converted.descriptor.dataset} {converted.descriptor.version}"
        raise ConversionError(
            f"the ready files of {name} differ from its descriptor in "
            f"{counted(len(problems), 'place')}",
            problems=problems,
            untouched="nothing was changed",
            hint=f"sciml-data convert {converted.descriptor.dataset} --again",
        )
    return make_view(dataset, **options) if make_view else dataset


def declaration_problems(dataset: xr.Dataset, variables: Mapping[str, Variable]) -> list[Problem]:
    """Return every difference between a dataset and its declared variables.

    Names, dimensions, types and units are compared. Text (declared as "S") may have any length, and
    decoded dates have no units.

    Args:
        dataset: an opened dataset.
        variables: declarations by name.
    """
    actual_variables = {str(name): variable for name, variable in dataset.variables.items()}
    problems = [
        Problem("missing", name, "is declared but not in the files")
        for name, declared in variables.items()
        if name not in actual_variables and not declared.is_optional
    ]
    for name, variable in actual_variables.items():
        declaration = variables.get(name)
        if declaration is None:
            problems.append(Problem("unexpected", name, "is in the files but not declared"))
            continue
        dtype = "S" if variable.dtype.kind == "S" else str(variable.dtype)
        for kind, expected, actual in (
            ("dims", declaration.dims, tuple(map(str, variable.dims))),
            ("dtype", declaration.dtype, dtype),
            ("units", declaration.units, variable.attrs.get("units")),
        ):
            if expected != actual:
                problems.append(Problem(kind, name, f"{expected} declared, {actual} in the files"))
    return problems


def _view(
    converted: Converted, view: str | None, options: Mapping[str, Any]
) -> Callable[..., xr.Dataset] | None:
    """Return the function of a view, None without a view; check its name and options."""
    if view is None:
        if options:
            raise CallError(
                f"unknown option {', '.join(options)}: only views have options",
                untouched="nothing was read",
                hint="pass `view=` with the name of a view",
            )
        return None
    descriptor = converted.descriptor
    views = views_of(load_format(descriptor.native["reader"], descriptor.folder))
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


def _files_of_split(converted: Converted, split: str | None) -> tuple[str, list[str]]:
    """Return the name and the names of the files of a split; without a name, of the only split."""
    splits = shards_of_split(converted)
    if split is None and len(splits) == 1:
        split = next(iter(splits))
    if split not in splits:
        reason = f"there is no split {split!r}"
        if split is None:
            reason = "it has several splits, and none is named"
        elif split in converted.descriptor.splits:
            reason = f"no file of split {split!r} was fetched and converted"
        raise CallError(
            f"cannot open {converted.descriptor.dataset}: {reason}",
            untouched="nothing was read",
            hint=f"splits: {', '.join(splits)}",
        )
    return split, splits[split]


def _open_unchanged(converted: Converted, names: list[str], paths: list[Path]) -> xr.Dataset:
    """Open files that are here, after a check against their manifest."""
    from sciml_data.ready.verification import require_unchanged

    require_unchanged(converted, names)
    dataset = _open_files(paths)
    try:
        # From here on, `lazy_values` compares each read with the status of the opened files. So
        # the files that were opened must be those that were checked.
        require_unchanged(converted, names)
    except VerificationError:
        dataset.close()
        raise
    return dataset


def _open_files(paths: list[Path], remote: ChunkReader | None = None) -> xr.Dataset:
    """Open files as one dataset.

    Files with the same shard dimension are concatenated along it. A file without a shard dimension
    is a table. Tables and concatenated files are merged; their variables have different names.

    Args:
        paths: of the files.
        remote: reads them from a mirror, where each byte is checked; None if they are here.
    """
    import xarray as xr

    if len(paths) == 1:
        return _opened(paths[0], remote)
    groups = files_by_dimension(paths, remote)
    parts = [_concatenated(name, group, remote) for name, group in groups.items()]
    if len(parts) == 1:
        return parts[0]
    whole = xr.merge(parts, compat="override", join="override", combine_attrs=combined_attributes)
    files = ExitStack()
    for part in parts:
        files.callback(part.close)
    whole.set_close(files.close)
    return whole


def _opened(path: Path, remote: ChunkReader | None) -> xr.Dataset:
    """Open a file lazily."""
    if remote is not None:
        from sciml_data.formats.hdf5_files import open_remote_netcdf
        from sciml_data.ready.lazy_values import RemoteEngine

        file = remote.open(remote.name_of(path))
        return open_remote_netcdf(file, path.name, engine=RemoteEngine, chunks={})
    from sciml_data.formats import open_netcdf
    from sciml_data.ready.lazy_values import ReadyEngine

    return open_netcdf(path, chunks={}, engine=ReadyEngine, error=ConversionError, is_verified=True)


def files_by_dimension(
    paths: list[Path], remote: ChunkReader | None = None
) -> dict[str, list[Path]]:
    """Return files grouped by their shard dimension, in order.

    The key of a file without a shard dimension is its name, so it is in a group of its own.

    Args:
        paths: of the files.
        remote: reads them from a mirror; None if they are here.
    """
    from sciml_data.formats.hdf5_files import open_hdf5, open_remote

    groups: dict[str, list[Path]] = {}
    for path in paths:
        with (
            open_hdf5(path, error=ConversionError, is_verified=True)
            if remote is None
            else open_remote(remote.open(remote.name_of(path)), path.name)
        ) as file:
            key = file.attrs.get(SHARD_DIMENSION, path.name)
        groups.setdefault(key if isinstance(key, str) else key.decode(), []).append(path)
    return groups


def _concatenated(dimension: str, paths: list[Path], remote: ChunkReader | None) -> xr.Dataset:
    """Open files of the same group, concatenated along a dimension."""
    import xarray as xr

    if len(paths) == 1:
        return _opened(paths[0], remote)
    # Variables without the dimension come from the first file; comparing them would read them.
    how: dict[str, Any] = {
        "concat_dim": dimension,
        "data_vars": "minimal",
        "coords": "minimal",
        "compat": "override",
        "join": "override",
        "combine_attrs": combined_attributes,
    }
    if remote is not None:
        parts = [_opened(path, remote) for path in paths]
        whole: xr.Dataset = xr.combine_nested(parts, **how)
        files = ExitStack()
        for part in parts:
            files.callback(part.close)
        whole.set_close(files.close)
        return whole
    from sciml_data.formats import open_netcdf_files
    from sciml_data.ready.lazy_values import ReadyEngine

    return open_netcdf_files(
        paths,
        engine=ReadyEngine,
        error=ConversionError,
        is_verified=True,
        combine="nested",
        chunks={},
        **how,
    )


def combined_attributes(parts: list[dict[str, Any]], context: Any = None) -> dict[str, Any]:  # noqa: ARG001 (xarray's)
    """Return the attributes of a dataset from those of its files.

    The first file counts, with three exceptions. Counts (`rows_...`, `samples_...`) are summed,
    also inside a JSON object. Lines of native files and notices are joined. A digest that differs
    between files is left out.
    """
    combined: dict[str, Any] = {}
    names = dict.fromkeys(name for part in parts for name in part if name != SHARD_DIMENSION)
    for name in names:
        values = [part[name] for part in parts if name in part]
        if name.startswith(COUNTS):
            combined[name] = _summed(values)
        elif name in LINES:
            combined[name] = "\n".join(
                dict.fromkeys(line for value in values for line in value.split("\n") if line)
            )
        elif name != "native_files_sha256" or len(set(values)) == 1:
            combined[name] = values[0]
    return combined


def _summed(values: list[Any]) -> Any:
    """Return the sum of numbers, or of the numbers in JSON objects as JSON."""
    if not isinstance(values[0], str):
        return sum(values)
    total: dict[str, Any] = {}
    for value in values:
        _add(total, json.loads(value))
    return json.dumps(total)


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the numbers of a nested mapping to those of another, in place."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value

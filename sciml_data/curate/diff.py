"""The differences between two versions of a dataset: files, descriptor, and values.

Files are compared by their manifests, and descriptors key by key; nothing is fetched. Values of the
ready form are compared if both versions were converted in the home: each variable is read once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sciml_data.home import Home
from sciml_data.ready import find_converted, shards_of_split
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, Manifest

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

# Keys of the descriptor that name the version, or follow from its files.
NOT_COMPARED = ("name", "version", "created", "resources", "$schema")


@dataclass(frozen=True)
class FileChanges:
    """The paths that differ between two manifests.

    Attributes:
        added: paths only in the second manifest.
        removed: paths only in the first manifest.
        changed: paths with other bytes.
        renamed: (old, new) paths with the same bytes.
        unknown: paths with equal sizes and hashes of two kinds, which cannot be compared.
        same: number of equal files.
        bytes_before: total size of the first manifest.
        bytes_after: total size of the second manifest.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    same: int
    bytes_before: int
    bytes_after: int

    @property
    def is_empty(self) -> bool:
        """Return whether the manifests list the same files."""
        return not (self.added or self.removed or self.changed or self.renamed or self.unknown)


@dataclass(frozen=True)
class FieldChange:
    """A key of the descriptor; None for a version that does not have the key."""

    place: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ValueChange:
    """Statistics of a variable of a split in each version; {} for a version without it."""

    split: str
    variable: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """All differences between two versions.

    Attributes:
        files: changes of files; None if a version has no manifest.
        fields: keys of the descriptor that differ.
        values: variables that differ.
        compared: `split/variable` of all variables that were compared.
        notes: what was not compared, and what to type to compare it.
    """

    files: FileChanges | None
    fields: tuple[FieldChange, ...]
    values: tuple[ValueChange, ...]
    compared: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def is_none(self) -> bool:
        """Return whether everything that was compared is equal."""
        has_files = self.files is not None and not self.files.is_empty
        return not (has_files or self.fields or self.values)

    def document(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self)


def diff_versions(before: Descriptor, after: Descriptor, *, home: Home | None) -> Difference:
    """Return the differences between two versions.

    Args:
        before: a version, usually the older one.
        after: another version, which may be of another registry.
        home: where both versions may have been converted; None compares no values.
    """
    notes = []
    files = None
    if before.manifest is not None and after.manifest is not None:
        files = compare_files(before.manifest, after.manifest)
    else:
        unpinned = [_name(version) for version in (before, after) if version.manifest is None]
        notes.append(f"files were not compared: {' and '.join(unpinned)} not pinned")
    fields = tuple(_field_changes(_comparable(before), _comparable(after), ""))
    values, compared, reasons = _value_changes(before, after, home)
    return Difference(files, fields, values, compared, (*notes, *reasons))


def compare_files(before: Manifest, after: Manifest) -> FileChanges:
    """Return the differences between two manifests; a moved file with equal bytes is renamed."""
    old, new = before.by_path, after.by_path
    common = sorted(old.keys() & new.keys())
    unknown = [path for path in common if _cannot_compare(old[path], new[path])]
    changed = [
        path
        for path in common
        if path not in unknown and _content_key(old[path]) != _content_key(new[path])
    ]
    removed, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    new_paths = defaultdict(list)
    for path in added:
        new_paths[_content_key(new[path])].append(path)
    # Of several files with the same bytes, each is the target of one rename only: hence `pop`.
    renamed = [
        (path, candidates.pop(0))
        for path in removed
        if (candidates := new_paths[_content_key(old[path])])
    ]
    sources, targets = {source for source, _ in renamed}, {target for _, target in renamed}
    return FileChanges(
        added=tuple(path for path in added if path not in targets),
        removed=tuple(path for path in removed if path not in sources),
        changed=tuple(changed),
        renamed=tuple(renamed),
        unknown=tuple(unknown),
        same=len(common) - len(changed) - len(unknown),
        bytes_before=before.total_bytes,
        bytes_after=after.total_bytes,
    )


def statistics(variable: xr.DataArray) -> dict[str, Any]:
    """Return dims, dtype and shape; of numbers and times also count, missing, mean, min and max.

    NaN and not-a-time are missing. The mean is a float64; text and times have none.
    """
    result: dict[str, Any] = {
        "dims": [str(dim) for dim in variable.dims],
        "dtype": str(variable.dtype),
        "shape": list(variable.shape),
    }
    if variable.dtype.kind not in "biufmM":
        return result
    missing = int(variable.isnull().sum())
    result |= {"count": variable.size - missing, "missing": missing}
    if not result["count"]:
        return result
    if variable.dtype.kind in "biuf":
        result["mean"] = float(variable.mean(dtype="float64"))
    skipna = variable.dtype.kind in "fmM"  # explicit, because xarray's default skips no times
    minimum, maximum = variable.min(skipna=skipna), variable.max(skipna=skipna)
    return result | {"min": _plain(minimum), "max": _plain(maximum)}


def _plain(value: xr.DataArray) -> Any:
    scalar = value.to_numpy()[()]
    return str(scalar) if scalar.dtype.kind in "mM" else scalar.item()


def _content_key(entry: Entry) -> tuple[int, str]:
    return entry.size_bytes, entry.hash


def _cannot_compare(before: Entry, after: Entry) -> bool:
    kinds = {entry.hash.partition(":")[0] for entry in (before, after)}
    return before.size_bytes == after.size_bytes and len(kinds) > 1


def _comparable(descriptor: Descriptor) -> dict[str, Any]:
    return {key: value for key, value in descriptor.document.items() if key not in NOT_COMPARED}


def _field_changes(before: Any, after: Any, place: str) -> Iterator[FieldChange]:
    """Yield every key whose value differs; lists are compared as a whole."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if json.dumps(before) != json.dumps(after):
            yield FieldChange(place, before, after)
        return
    for key in dict.fromkeys((*before, *after)):
        inner = f"{place}.{key}".lstrip(".")
        if key in before and key in after:
            yield from _field_changes(before[key], after[key], inner)
        else:
            yield FieldChange(inner, before.get(key), after.get(key))


def _value_changes(
    before: Descriptor, after: Descriptor, home: Home | None
) -> tuple[tuple[ValueChange, ...], tuple[str, ...], list[str]]:
    """Return the variables that differ, all that were compared, and why others were not."""
    if home is None:
        return (), (), ["values were not compared, as requested"]
    old, new = (
        find_converted(version, home.dataset(version.dataset, version.version))
        if "reader" in version.native
        else None
        for version in (before, after)
    )
    if old is None or new is None:
        reasons = (_not_converted(before, old, home), _not_converted(after, new, home))
        return (), (), [f"values were not compared: {reason}" for reason in reasons if reason]
    differing, compared = [], []
    for split in dict.fromkeys((*shards_of_split(old), *shards_of_split(new))):
        for change in _compare_split(old, new, split):
            compared.append(f"{split}/{change.variable}" if split else change.variable)
            if not _is_same(change):
                differing.append(change)
    return tuple(differing), tuple(compared), []


def _not_converted(version: Descriptor, converted: Converted | None, home: Home) -> str:
    """Return why a version has no ready files, and what to type; "" if it has them."""
    if converted is not None:
        return ""
    if "reader" not in version.native:
        return f"{_name(version)} has no reader"
    call = f"{version.dataset} --version {version.version}"
    return (
        f"{_name(version)} was not converted in {home.root}; type: "
        f"sciml-data get {call} && sciml-data convert {call}"
    )


def _compare_split(old: Converted, new: Converted, split: str) -> list[ValueChange]:
    before, after = _split_statistics(old, split), _split_statistics(new, split)
    return [
        ValueChange(split, name, before.get(name, {}), after.get(name, {}))
        for name in dict.fromkeys((*before, *after))
    ]


def _split_statistics(converted: Converted, split: str) -> dict[str, dict[str, Any]]:
    """Return the statistics of every variable of a split; {} if there is no such split."""
    from sciml_data.ready import open_ready

    if split not in shards_of_split(converted):
        return {}
    with open_ready(converted, split=split) as dataset:
        return {str(name): statistics(dataset[name]) for name in dataset.variables}


def _is_same(change: ValueChange) -> bool:
    """Return whether two versions agree; JSON, because NaN must be equal to NaN."""
    before, after = (json.dumps(s, sort_keys=True) for s in (change.before, change.after))
    return before == after


def _name(descriptor: Descriptor) -> str:
    return f"{descriptor.dataset} {descriptor.version}"

"""What differs between two versions of a dataset: files, descriptor, and the ready form's values.

Files are compared by the manifests, the descriptor key by key; nothing is fetched for that. Values
are compared where both versions were converted in the home: each variable is then read once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sciml_data.home import Home
from sciml_data.ready.convert import find_converted, shards_of_split
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, Manifest

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

OF_THE_VERSION = ("name", "version", "created", "resources", "$schema")  # differ, or follow


@dataclass(frozen=True)
class Files:
    """Paths of the two manifests; `renamed` are (old, new) of the same bytes elsewhere.

    `unknown` have one size and hashes of two kinds: whether they differ cannot be told.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    same: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class Field:
    """One key of the descriptor; None where a version lacks it."""

    place: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Values:
    """One variable of one split: what its values are, in each version; {} where it is not."""

    split: str
    variable: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """All that differs; `notes` say what was not compared, and what to type so that it is."""

    files: Files | None
    fields: tuple[Field, ...]
    values: tuple[Values, ...]
    compared: tuple[str, ...]  # `split/variable` whose values were compared
    notes: tuple[str, ...] = field(default=())

    @property
    def is_none(self) -> bool:
        """Return whether nothing that was compared differs."""
        moved = self.files and (
            *self.files.added, *self.files.removed, *self.files.changed, *self.files.renamed,
            *self.files.unknown,
        )  # fmt: skip
        return not (moved or self.fields or self.values)

    def document(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


def diff_versions(before: Descriptor, after: Descriptor, *, home: Home | None) -> Difference:
    """Return what differs between two versions.

    Args:
        before: the one, mostly older.
        after: the other; it may come from another registry.
        home: where both may have been converted; None compares no values.
    """
    notes = []
    files = None
    if before.manifest is not None and after.manifest is not None:
        files = compare_files(before.manifest, after.manifest)
    else:
        lacking = [_name(one) for one in (before, after) if one.manifest is None]
        notes.append(f"files were not compared: {' and '.join(lacking)} not pinned")
    fields = tuple(_fields(_described(before), _described(after), ""))
    values, compared, said = _values(before, after, home)
    return Difference(files, fields, values, compared, (*notes, *said))


def compare_files(before: Manifest, after: Manifest) -> Files:
    """Return how the files of two manifests differ; a file moved as it is counts as renamed."""
    old, new = before.by_path, after.by_path
    common = sorted(old.keys() & new.keys())
    unknown = [path for path in common if _cannot_tell(old[path], new[path])]
    changed = [path for path in common if _hashed(old[path]) != _hashed(new[path])]
    removed, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    places = defaultdict(list)
    for path in added:
        places[_hashed(new[path])].append(path)
    renamed = [(path, found.pop(0)) for path in removed if (found := places[_hashed(old[path])])]
    gone, come = {path for path, _ in renamed}, {path for _, path in renamed}
    changed = [path for path in changed if path not in unknown]
    return Files(
        added=tuple(path for path in added if path not in come),
        removed=tuple(path for path in removed if path not in gone),
        changed=tuple(changed),
        renamed=tuple(renamed),
        unknown=tuple(unknown),
        same=len(common) - len(changed) - len(unknown),
        bytes_before=before.total_bytes,
        bytes_after=after.total_bytes,
    )


def statistics(variable: xr.DataArray) -> dict[str, Any]:
    """Return dims, type, shape, and of numbers and times: count, missing, mean, min, max.

    NaN and not-a-time are missing. The mean is a float64; of text and times there is none.
    """
    facts: dict[str, Any] = {
        "dims": [str(dim) for dim in variable.dims],
        "dtype": str(variable.dtype),
        "shape": list(variable.shape),
    }
    if variable.dtype.kind not in "biufmM":
        return facts
    missing = int(variable.isnull().sum())
    facts |= {"count": variable.size - missing, "missing": missing}
    if not facts["count"]:
        return facts
    if variable.dtype.kind in "biuf":
        facts["mean"] = float(variable.mean(dtype="float64"))
    skipna = variable.dtype.kind in "fmM"  # said, because of times xarray's own choice is not to
    least, most = variable.min(skipna=skipna), variable.max(skipna=skipna)
    return facts | {"min": _plain(least), "max": _plain(most)}


def _plain(value: xr.DataArray) -> Any:
    found = value.to_numpy()[()]
    return str(found) if found.dtype.kind in "mM" else found.item()


def _hashed(entry: Entry) -> tuple[int, str]:
    return entry.size_bytes, entry.hash


def _cannot_tell(one: Entry, other: Entry) -> bool:
    kinds = {entry.hash.partition(":")[0] for entry in (one, other)}
    return one.size_bytes == other.size_bytes and len(kinds) > 1


def _described(descriptor: Descriptor) -> dict[str, Any]:
    return {key: one for key, one in descriptor.document.items() if key not in OF_THE_VERSION}


def _fields(before: Any, after: Any, place: str) -> Iterator[Field]:
    """Yield every key whose value differs; lists are compared whole."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if json.dumps(before) != json.dumps(after):
            yield Field(place, before, after)
        return
    for key in dict.fromkeys((*before, *after)):
        inner = f"{place}.{key}".lstrip(".")
        if key in before and key in after:
            yield from _fields(before[key], after[key], inner)
        else:
            yield Field(inner, before.get(key), after.get(key))


def _values(
    before: Descriptor, after: Descriptor, home: Home | None
) -> tuple[tuple[Values, ...], tuple[str, ...], list[str]]:
    """Return differing variables, all that were compared, and why others were not."""
    if home is None:
        return (), (), ["values were not compared, as asked"]
    both, notes = [], []
    for one in (before, after):
        if "reader" not in one.native:
            notes.append(f"values were not compared: nothing reads the files of {_name(one)}")
        elif (done := find_converted(one, home.dataset(one.dataset, one.version))) is None:
            type_it = f"{one.dataset} --version {one.version}"
            notes.append(
                f"values were not compared: {_name(one)} was not converted in {home.root}; type: "
                f"sciml-data get {type_it} && sciml-data convert {type_it}"
            )
        else:
            both.append(done)
    if notes:
        return (), (), notes
    differing, compared = [], []
    old, new = both
    for split in dict.fromkeys((*shards_of_split(old), *shards_of_split(new))):
        pairs = _pairs(old, new, split)
        compared += [one.variable if not split else f"{split}/{one.variable}" for one in pairs]
        differing += [one for one in pairs if not _is_same(one)]
    return tuple(differing), tuple(compared), []


def _pairs(old: Converted, new: Converted, split: str) -> list[Values]:
    facts = [_split_facts(one, split) for one in (old, new)]
    names = dict.fromkeys(name for one in facts for name in one)
    return [Values(split, name, *(one.get(name, {}) for one in facts)) for name in names]


def _split_facts(converted: Converted, split: str) -> dict[str, dict[str, Any]]:
    """Return the statistics of every variable of a split; none where there is no such split."""
    from sciml_data.ready.open import open_ready

    if split not in shards_of_split(converted):
        return {}
    with open_ready(converted, split=split) as dataset:
        return {str(name): statistics(dataset[name]) for name in dataset.variables}


def _is_same(one: Values) -> bool:
    """Return whether two versions agree; JSON, because a mean of NaN is to equal itself."""
    return json.dumps(one.before, sort_keys=True) == json.dumps(one.after, sort_keys=True)


def _name(descriptor: Descriptor) -> str:
    return f"{descriptor.dataset} {descriptor.version}"

"""Divide samples into the parts of a stored split, and report what the parts share.

A benchmark describes its samples in a key table: a `pandas.DataFrame` with a row for each sample.
This module applies the stored rule to the table, so the same samples always give the same parts.

- Columns of text, categories or integers have ids, such as a material. Empty text, NA and negative
  numbers mean no id. Columns `drug_1` and `drug_2` are two slots of the kind `drug`; the second may
  be empty. `drug_pair` in a rule stands for both ids in any order.
- The columns `folder`, `source` and `published_part` say where a sample comes from. A column
  `stratum` has the values that ranked shares divide one by one, such as the class.
- Columns of `datetime64` are times; periods are compared with `start` and `end`, or with `time`.
- Columns of `uint64` are hashes of whole samples.
- The index has the names of the samples, and its name is the word for a sample.

A stored split describes each part by one of these members, or by several that must all hold:

    {"folder": "train"}, {"pixels": [4, 9]}                      listed values of a column
    {"period": ["1950-01-04", "2005-01-01"]}                     the second day is outside
    {"by": ["cell"], "salt": "...", "from": 0.8, "to": 0.9}      a share of a hash of ids: shares.py
    {"source": ["A"], "by": ["cell"], "salt": ...}               a share of listed samples
    {"by": "orbit"} to train on, {"share": 0.2} of it            drawn with the split's seed
    {"source_salt": "..."}                                       one source, the lowest by its hash

`"train"` is short for `{"folder": "train"}`, and a list has the names of samples.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.shares import (
    NO_PART,
    Hashes,
    Parts,
    Shares,
    assign_parts,
    combine_hashes,
    common_parts,
    hash_ids,
    read_shares,
    to_unit_interval,
)
from sciml_data.bench.task.split import Split
from sciml_data.errors import CallError, DescriptorError, Problem, SciMLDataError, nearest

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NOT_KNOWN = "not known"
ORIGINS = ("folder", "source", "published_part")  # columns that say where a sample comes from
STRATUM = "stratum"
SHARE_KEYS = ("by", "salt", "from", "to")  # of a part by shares; other keys list values
MIN_COARSE = 5  # with fewer, no whole coarse groups (days) make up a share of a fifth
UNTOUCHED = "nothing was trained"
Indices: TypeAlias = npt.NDArray[np.intp]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Options:
    """How a benchmark applies the rules of its stored splits.

    Attributes:
        ranked: divide ids in the order of their hashes, so that parts of a few ids have the right
            shares. The part of an id then depends on which other ids are present.
        min_units: ids that a value of `stratum` must have; with fewer they stay in train.
        coarser: kind -> kind of larger groups that are drawn whole instead, if there are enough.
        held_out: sources to hold out; if empty, one is chosen by its hash.
        optional: parts that are left out of the division if they are empty.
        hint: what a user may type if the samples do not suit the split.
    """

    ranked: bool = False
    min_units: int = 1
    coarser: Mapping[str, str] = field(default_factory=dict)
    held_out: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    hint: str = "choose another split with --split"


@dataclass(frozen=True)
class Division:
    """The samples of each part of a split.

    Attributes:
        parts: row numbers of the key table, ascending.
        left_out: number of samples that are in no part.
        notes: what the samples decided, for the record: the kinds of ids that were divided (`by`),
            values of `stratum` that are `in_train_alone`, sources that are `held_out`.
    """

    parts: Mapping[str, Indices]
    left_out: int
    notes: Mapping[str, Any]


def divide(split: Split, keys: pd.DataFrame, options: Options | None = None) -> Division:
    """Return the samples of each part.

    Args:
        split: stored rule.
        keys: a row for each sample; see the module's docstring.
        options: how the benchmark applies the rule.

    Raises:
        CallError: the samples lack the ids or the column that the split divides by.
        DescriptorError: the split's rule is not valid.
        SciMLDataError: a part has no sample.
    """
    return _Divider(split, keys, options or Options()).divide()


def leakage(division: Division, keys: pd.DataFrame, *, meaning: str) -> dict[str, Any]:
    """Return what each later part shares with the training part, for the record.

    Args:
        division: the parts.
        keys: the table that was divided.
        meaning: a sentence on what shared ids do to scores.

    Returns:
        part -> kind -> number of distinct ids of the part (`of`), how many of them the training
        part has (`shared`), and the percentage of the part's samples with all their ids in the
        training part (`percent`); "not known" if a sample has no id. `told` has it in sentences.
    """
    table = _Table(keys)
    report: dict[str, Any] = {part: {} for part in division.parts if part != TRAIN}
    for kind in (kind for kind in table.kinds if kind != STRATUM):
        slots, ids = table.ids(kind)
        trained = _present(slots, ids, division.parts[TRAIN])
        for part, shared in report.items():
            rows = division.parts[part]
            present = _present(slots, ids, rows)
            # Code -1, the last of the flags, is an empty slot, which has nothing to share.
            known = reduce(np.logical_and, (trained[s[rows]] | (s[rows] < 0) for s in slots))
            shared[kind] = (
                NOT_KNOWN
                if (slots[0] < 0).any()
                else {
                    "shared": int((present & trained)[:-1].sum()),
                    "of": int(present[:-1].sum()),
                    "percent": round(100 * float(known.mean()), 1),
                }
            )
    told = [_message(part, shared) for part, shared in report.items()]
    shared = [counts for kinds in report.values() for counts in kinds.values()]
    if meaning and any(counts != NOT_KNOWN and counts["shared"] for counts in shared):
        told.append(f"leakage: {meaning}")
    return report | {"told": told, "meaning": meaning}


def describe(division: Division, keys: pd.DataFrame) -> dict[str, Any]:
    """Return samples, distinct ids, origins and times of each part, for the record.

    If samples have names, `digest` is that of the sorted names of each part.
    """
    import pandas as pd

    report: dict[str, Any] = {"left_out": division.left_out, **division.notes}
    if not isinstance(keys.index, pd.RangeIndex):
        lines = [
            f"{part},{name}"
            for part, rows in division.parts.items()
            for name in sorted(map(str, keys.index[rows]))
        ]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        report["digest"] = f"sha256:{digest}"
    table = _Table(keys)
    return report | {
        part: {"samples": len(rows), **table.counts(rows)} for part, rows in division.parts.items()
    }


def codes_of(keys: pd.DataFrame, kind: str) -> list[Indices]:
    """Return the id of each sample as codes (sample,), -1 for no id; one array for each slot.

    Args:
        keys: the key table.
        kind: of ids, a column, the name of the index, or a kind with `_pair`, which is the
            combination of all slots in any order.

    Raises:
        DescriptorError: the table has no such ids.
    """
    table = _Table(keys)
    if kind in keys and kind not in table.kinds:
        return [np.unique(keys[kind].to_numpy(), return_inverse=True)[1]]
    name = kind.removesuffix("_pair")
    known = [*keys, *table.kinds, table.unit]
    if name not in known:
        raise DescriptorError(
            f"no unit {kind!r}{nearest(kind, known)}; the benchmark's samples have "
            f"{', '.join(dict.fromkeys(known))}"
        )
    slots, _ = table.ids(name)
    if name == kind:
        return slots
    pairs = np.sort(np.stack(slots, axis=1), axis=1)
    return [np.unique(pairs, axis=0, return_inverse=True)[1].ravel()]


def evenly_spaced(
    values: npt.NDArray[Any], limit: int, *, truncate: bool = False
) -> npt.NDArray[Any]:
    """Return at most `limit` of the values, evenly spaced from the first to the last.

    Args:
        values: (value, ...) array.
        limit: number of values.
        truncate: round places down instead of to the nearest.
    """
    if len(values) <= limit:
        return values
    places = np.linspace(0, len(values) - 1, limit)
    return values[(places if truncate else places.round()).astype(np.intp)]


class _Table:
    """A key table, with its kinds of ids.

    `kinds` has the columns of each kind: one, or several slots.
    """

    def __init__(self, keys: pd.DataFrame) -> None:
        self.keys = keys
        self.unit = str("sample" if keys.index.name is None else keys.index.name)
        self.hashes = [str(name) for name in keys if keys[name].dtype == np.uint64]
        self.kinds: dict[str, list[str]] = {}
        for name in map(str, keys):
            if name not in (*ORIGINS, *self.hashes) and keys[name].dtype.kind != "M":
                self.kinds.setdefault(re.sub(r"_\d+$", "", name), []).append(name)
        # By kind, because a dictionary of all ids takes most of the time of a large division.
        self._found: dict[str, tuple[list[Indices], Any]] = {}

    def ids(self, kind: str) -> tuple[list[Indices], Any]:
        """Return codes (sample,) of each slot, -1 for no id, and the ids in order of the codes."""
        if kind not in self._found:
            self._found[kind] = self._find_ids(kind)
        return self._found[kind]

    def _find_ids(self, kind: str) -> tuple[list[Indices], Any]:
        import pandas as pd

        series = [self.keys[name] for name in self.kinds.get(kind, ())]
        series = series or [self.keys.index.to_series()]
        first = series[0].dtype
        if isinstance(first, pd.CategoricalDtype) and all(s.dtype == first for s in series):
            return [np.asarray(s.cat.codes) for s in series], first.categories
        values = pd.concat(series, ignore_index=True)
        is_none = values == "" if values.dtype.kind == "O" else values < 0
        codes, ids = pd.factorize(values.mask(is_none) if is_none.any() else values, sort=True)
        return np.split(codes, len(series)), ids

    def counts(self, rows: Indices) -> dict[str, Any]:
        """Return distinct ids by kind, samples by origin, and first and last time."""
        counts: dict[str, Any] = {}
        for kind in self.kinds:
            slots, ids = self.ids(kind)
            is_known = not (slots[0] < 0).any()
            counts[kind] = int(_present(slots, ids, rows)[:-1].sum()) if is_known else NOT_KNOWN
        for name in map(str, self.keys):
            values = self.keys[name].iloc[rows]
            if name in ORIGINS:
                numbers = values.astype(str).value_counts().sort_index()
                counts[name] = {str(value): int(number) for value, number in numbers.items()}
            elif values.dtype.kind == "M" and len(values):
                counts[name] = [str(values.min())[:19], str(values.max())[:19]]
        return counts


class _Divider:
    """One split of one table; `is_in` has the samples (sample,) of each part so far."""

    def __init__(self, split: Split, keys: pd.DataFrame, options: Options) -> None:
        self.split, self.keys, self.options = split, keys, options
        self.table = _Table(keys)
        self.members = {part: _conditions(member) for part, member in split.members.items()}
        self.notes: dict[str, Any] = {}

    def divide(self) -> Division:
        if problems := _problems(self.split.name, self.members):
            raise DescriptorError(f"split {self.split.name!r} is not valid", problems=problems)
        self.is_in = {part: self._listed(member) for part, member in self.members.items()}
        self._apply_rules()
        if self.options.held_out and "held_out" not in self.notes:
            raise self._refusal(f"holds no source out, and held_out={self.options.held_out}")
        parts = {part: np.flatnonzero(flags) for part, flags in self.is_in.items()}
        self._require_samples(parts)
        in_none = ~reduce(np.logical_or, self.is_in.values())
        parts = {part: rows for part, rows in parts.items() if len(rows)}
        return Division(parts, int(in_none.sum()), self.notes)

    def _apply_rules(self) -> None:
        hashed = {part: member for part, member in self.members.items() if "salt" in member}
        groups = _by_listed_values(hashed)
        for group in groups:
            self._share_out(group, self.is_in[next(iter(group))])
        if len(groups) > 1 and np.sum(list(self.is_in.values()), axis=0).max(initial=0) > 1:
            message = "the listed values and shares of two parts have samples in common"
            raise DescriptorError(
                f"split {self.split.name!r} is not valid",
                problems=[Problem("overlap", self.split.name, message)],
            )
        for part, member in self.members.items():
            if "share" in member:
                self._draw(part)
            if "otherwise" in member and not self.is_in[part].any():
                self._share_out(member["otherwise"], self.is_in[TRAIN])
            for key in member:
                if key.endswith("_salt"):
                    self._hold_out(part, key.removesuffix("_salt"))

    def _listed(self, member: Mapping[str, Any]) -> Flags:
        """Return the samples (sample,) that match a part's listed values and its period."""
        is_in = np.ones(len(self.keys), bool)
        for name, values in member.items():
            if name == "period":
                is_in &= _in_period(self.keys, values)
            elif name == "id":
                is_in &= self.keys.index.isin(values)
            elif name not in {"by", "salt"} and not name.endswith("_salt"):
                if not isinstance(values, str | list):
                    continue
                column = {"from": "folder"}.get(name, name)
                column = column if column in self.keys else column.removesuffix("s")
                listed = [values] if isinstance(values, str) else values
                is_in &= self._column(column).isin(listed).to_numpy()
        return is_in

    def _share_out(self, members: Mapping[str, Any], within: Flags) -> None:
        """Give each part its share of the hashes of ids, within some samples."""
        shares = read_shares(self.split.name, members)
        is_alone = all(flags.all() for flags in self.is_in.values())
        by = [self._known(name, is_alone=is_alone) for name in shares.by]
        numbers = (
            self._ranked(shares, by[0], within)
            if self.options.ranked
            else common_parts(*(self._hashed(shares, name) for name in by))
        )
        for number, part in enumerate(shares.ends):
            self.is_in[part] = within & (numbers == number)
        self.notes["by"] = by

    def _known(self, name: str, *, is_alone: bool) -> str:
        """Return the kind to divide by: the samples themselves, if folders divide them, too."""
        table = self.table
        pairs = [f"{kind}_pair" for kind, slots in table.kinds.items() if slots != [kind]]
        known = list(dict.fromkeys([*table.kinds, *pairs, *table.hashes, table.unit]))
        if name not in known:
            raise DescriptorError(
                f"split {self.split.name!r} is by {name!r}{nearest(name, known)}; one of "
                f"{', '.join(known)} is expected"
            )
        if name not in table.kinds or not (table.ids(name)[0][0] < 0).any():
            return name
        if is_alone:
            raise self._refusal(
                f"keeps each {name} in one part, and the dataset does not name the {name} of "
                f"each {table.unit}"
            )
        return table.unit

    def _hashed(self, shares: Shares, name: str) -> Parts:
        """Return the part (sample,) of the ids of one kind by their hashes."""
        if name in self.table.hashes:
            hashes = combine_hashes(hash_ids([shares.salt]), self.keys[name].to_numpy())
            return assign_parts(to_unit_interval(hashes), shares)
        is_pair = name not in (*self.table.kinds, self.table.unit)
        slots, ids = self.table.ids(name.removesuffix("_pair") if is_pair else name)
        hashes = hash_ids(ids, shares.salt)
        if is_pair:
            of_slots = np.append(hashes, np.uint64(0))
            sums = reduce(np.add, (of_slots[codes] for codes in slots))
            numbers = reduce(np.add, ((codes >= 0).astype(np.uint64) for codes in slots))
            return assign_parts(to_unit_interval(combine_hashes(sums, numbers)), shares)
        of_ids = np.append(assign_parts(to_unit_interval(hashes), shares), np.int8(NO_PART))
        first = of_ids[slots[0]]
        return common_parts(first, *(np.where(s < 0, first, of_ids[s]) for s in slots[1:]))

    def _ranked(self, shares: Shares, name: str, within: Flags) -> Parts:
        """Return the part (sample,) of each id by the rank of its hash.

        An id with samples of several strata counts in the first of them and stays whole.
        """
        slots, ids = self.table.ids(name)
        chosen = np.flatnonzero(within)
        used, first, unit = np.unique(slots[0][chosen], return_index=True, return_inverse=True)
        hashes = hash_ids(np.asarray(ids, object)[used], shares.salt)
        if STRATUM not in self.keys:
            of_ids = assign_parts((_rank(hashes) + 0.5) / max(len(used), 1), shares)
        else:
            of_ids = np.zeros(len(used), np.int8)
            strata = self.keys[STRATUM].to_numpy()[chosen][first]
            values, counts = np.unique(strata, return_counts=True)
            is_small = counts < self.options.min_units
            for value in values[~is_small]:
                members = np.flatnonzero(strata == value)
                of_ids[members] = _portions(shares, len(members))[_rank(hashes[members])]
            self.notes["in_train_alone"] = values[is_small].tolist()
        numbers = np.full(len(self.keys), NO_PART, np.int8)
        numbers[chosen] = of_ids[unit]
        return numbers

    def _draw(self, part: str) -> None:
        """Move a share of the training samples, or of whole groups of them, to a part.

        If there are enough coarser groups, they are drawn whole. Samples of a group that reaches
        into another part are left out of train and of the drawn part.
        """
        by, share = self.members[TRAIN].get("by"), self.members[part]["share"]
        known = [*self.table.kinds, self.table.unit]
        if by not in known or not isinstance(share, float) or not 0 < share < 1:
            raise DescriptorError(
                f"split {self.split.name!r} has by={by!r} and share={share!r}; by is one of "
                f"{', '.join(known)}, share a number below 1"
            )
        rows, seed = np.flatnonzero(self.is_in[TRAIN]), self.split.seed or 0
        # Names are sorted, because file systems list files in different orders.
        rows = rows[np.argsort(np.asarray(self.keys.index)[rows], kind="stable")]
        drawn_by, is_used = by, np.ones(len(rows), bool)
        if by == self.table.unit:
            is_drawn = _draw_samples(len(rows), share, seed)
        else:
            groups = self.table.ids(by)[0][0]
            coarse = self.table.ids(self.options.coarser.get(by, by))[0][0][rows]
            if len(np.unique(coarse)) >= MIN_COARSE:
                drawn_by = self.options.coarser.get(by, by)
            else:
                coarse = groups[rows]
            is_drawn = _draw_groups(coarse, share, seed)
            others = [flags for name, flags in self.is_in.items() if name not in {TRAIN, part}]
            is_other = reduce(np.logical_or, others, np.zeros(len(groups), bool))
            is_used = is_drawn | ~np.isin(groups[rows], groups[rows][is_drawn])
            is_used &= ~np.isin(groups[rows], groups[is_other])
        for name, is_chosen in ((TRAIN, is_used & ~is_drawn), (part, is_used & is_drawn)):
            self.is_in[name] = np.zeros(len(self.keys), bool)
            self.is_in[name][rows[is_chosen]] = True
        self.notes["by"] = [drawn_by]

    def _hold_out(self, part: str, column: str) -> None:
        """Make the samples of one value of a column, or of several, a part."""
        values, wanted = self._column(column).astype(str), self.options.held_out
        present = sorted(values.unique())
        unknown = [name for name in wanted if name not in present]
        if unknown or len(present) < 2:
            problem = f"needs two or more values of {column}"
            if unknown:
                problem = f"cannot hold out {unknown[0]!r}{nearest(unknown[0], present)}"
            raise self._refusal(f"{problem}; the dataset has {', '.join(present)}")
        salt = self.members[part][f"{column}_salt"]
        held_out = wanted or (present[int(np.argmin(hash_ids(present, salt)))],)
        flags = values.isin(held_out).to_numpy()
        self.is_in = {name: is_in & ~flags for name, is_in in self.is_in.items()} | {part: flags}
        self.notes["held_out"] = list(held_out)

    def _column(self, name: str) -> pd.Series[Any]:
        if name not in self.keys:
            raise self._refusal(f"divides by {name}, which this dataset does not have")
        return self.keys[name]

    def _refusal(self, problem: str) -> CallError:
        return CallError(
            f"split {self.split.name!r} {problem}", untouched=UNTOUCHED, hint=self.options.hint
        )

    def _require_samples(self, parts: Mapping[str, Indices]) -> None:
        empty = [p for p, rows in parts.items() if not len(rows) and p not in self.options.optional]
        if empty:
            unit = self.table.unit
            counts = self.table.counts(np.arange(len(self.keys)))
            words = [f"{name}: {count}" for name, count in counts.items()]
            raise SciMLDataError(
                f"split {self.split.name!r} leaves {' and '.join(empty)} without a {unit}; the "
                f"dataset has {len(self.keys)} in all ({'; '.join(words)})",
                untouched=UNTOUCHED,
                hint=self.options.hint,
            )


def _conditions(member: Any) -> Mapping[str, Any]:
    if isinstance(member, str):
        return {"folder": member}
    return {"id": member} if isinstance(member, list) else member


def _by_listed_values(hashed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return parts by shares in groups with the same listed values: each group is shared out."""
    groups: dict[str, dict[str, Any]] = {}
    for part, member in hashed.items():
        listed = {key: value for key, value in member.items() if key not in SHARE_KEYS}
        groups.setdefault(json.dumps(listed, sort_keys=True), {})[part] = member
    return list(groups.values())


def _problems(name: str, members: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for part, member in members.items():
        period = member.get("period", ["", "9999"])
        if not isinstance(period, list) or len(period) != 2 or str(period[0]) >= str(period[1]):
            message = "a period of two days, the first before the second, is expected"
            problems.append(Problem("period", f"{name}: {part}", message))
    if TRAIN not in members:
        problems.append(Problem("missing", f"{name}: {TRAIN}", "is required"))
    return problems


def _in_period(keys: pd.DataFrame, period: tuple[str, str]) -> Flags:
    """Return the samples (sample,) that are in a period as a whole."""
    first, stop = np.datetime64(period[0]), np.datetime64(period[1])
    if "end" in keys:
        return np.asarray((keys["start"] >= first) & (keys["end"] <= stop))
    return np.asarray((keys["time"] >= first) & (keys["time"] < stop))


def _present(slots: Iterable[Indices], ids: Any, rows: Indices) -> Flags:
    """Return which ids some samples have: (id + 1,), of which the last is not an id."""
    flags = np.zeros(len(ids) + 1, bool)
    for codes in slots:
        flags[codes[rows]] = True
    return flags


def _message(part: str, shared: Mapping[str, Any]) -> str:
    """Return a part's leakage in a sentence, which a run prints."""
    words = [
        f"{kind}: not known, so it cannot be checked"
        if counts == NOT_KNOWN
        else f"{kind} {counts['shared']} of {counts['of']} ({counts['percent']:g} % of samples)"
        for kind, counts in shared.items()
    ]
    return f"leakage: {part} shares with {TRAIN}: {', '.join(words)}"


def _rank(hashes: Hashes) -> Indices:
    """Return the place of each hash in their order."""
    return np.argsort(np.argsort(hashes, kind="stable"), kind="stable")


def _portions(shares: Shares, count: int) -> Parts:
    """Return the part of each of `count` sorted ids: shares rounded, at least one id each."""
    of_others = [high - low for part, (low, high) in shares.ends.items() if part != TRAIN]
    taken = [max(1, int(np.floor(share * count + 0.5))) for share in of_others]
    return np.repeat(np.arange(len(taken) + 1), [count - sum(taken), *taken]).astype(np.int8)


def _draw_samples(count: int, share: float, seed: int) -> Flags:
    """Return the draw of scikit-learn's train_test_split, which is not a dependency here.

    scikit-learn permutes with NumPy's legacy generator (`RandomState`, MT19937) and takes the first
    n - floor((1 - share) n) samples as the smaller part (`_validate_shuffle_split` and
    `ShuffleSplit`, scikit-learn 1.7).
    """
    larger = int(np.floor(round((1 - share) * count, 9)))
    is_drawn = np.zeros(count, bool)
    is_drawn[np.random.RandomState(seed).permutation(count)[: count - larger]] = True
    return is_drawn


def _draw_groups(groups: npt.NDArray[np.integer[Any]], share: float, seed: int) -> Flags:
    """Return the samples of groups drawn in random order until they hold a share of all samples.

    A group that passes the share is drawn if that misses the share by less than leaving it out. At
    least one group is drawn, and one is left.
    """
    names, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    is_taken = before + counts[order] / 2 <= share * len(groups)
    is_taken[:1] = True
    is_taken[-1:] &= len(names) == 1
    return np.isin(groups, names[order[is_taken]])

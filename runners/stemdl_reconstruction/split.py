"""Divide the samples into training, validation and test, and report what the parts share.

A stored split is a rule: materials or samples (`by`) are sorted by a hash, and each part takes its
share of that order, within one folder of the dataset if it names a `folder`. So parts have the
right shares even of a few materials. The part of a material depends on which others are present.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.shares import assign_parts, hash_ids, read_shares
from sciml_data.errors import CallError, DescriptorError, SciMLDataError, nearest
from sciml_data.ready import SampleIndex
from sciml_data.ready.samples import Numbers

from .scans import FORMULA, MATERIAL

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NOT_KNOWN = "not known"
SHARED = (MATERIAL, FORMULA)


@dataclass(frozen=True)
class SplitParts:
    """The samples of each part of a split.

    Attributes:
        parts: sample numbers of each part, ascending.
        left_out: number of samples that are in no part.
        by: the unit that stays whole, "material" or "sample".
    """

    parts: Mapping[str, Numbers]
    left_out: int
    by: str


def make_split(split: Split, scans: SampleIndex) -> SplitParts:
    """Return the samples of each part.

    If the scans do not name their materials, a split with folders hashes samples instead, and a
    split by material alone is refused.

    Raises:
        CallError: the split needs materials that the scans do not name, or a missing folder.
        DescriptorError: the split's rule is unknown.
        SciMLDataError: a part has no sample.
    """
    is_by_folder = any("folder" in member for member in split.members.values())
    if split.members[TRAIN].get("by") == ["material"] and not scans.is_known(MATERIAL):
        if not is_by_folder:
            raise CallError(
                f"split {split.name!r} keeps materials apart, but these scans do not name theirs",
                untouched="nothing was trained",
                hint="--split published",
            )
        by = "sample"
    else:
        by = _by(split)
    parts = _by_shares(split, scans, by)
    if empty := [part for part, numbers in parts.items() if not len(numbers)]:
        raise SciMLDataError(
            f"split {split.name!r} leaves {' and '.join(empty)} without a sample: there are "
            f"{len(scans)}, of {len(set(scans['material']))} materials",
            untouched="nothing was trained",
            hint="use a larger sample, more files, or --split random",
        )
    used = sum(len(numbers) for numbers in parts.values())
    return SplitParts(parts, left_out=len(scans) - used, by=by)


def leakage(split: SplitParts, scans: SampleIndex) -> dict[str, Any]:
    """Return what each part shares with the training part, for the record.

    `told` has it in sentences; numbers are "not known" if the scans do not name materials.
    """
    report: dict[str, Any] = {}
    for part, numbers in split.parts.items():
        if part == TRAIN:
            continue
        report[part] = {}
        for name in SHARED:
            values = scans[name]
            report[part] |= _shared(name, values[numbers], values[split.parts[TRAIN]])
    report["told"] = _leakage_messages(split, scans, report)
    report["meaning"] = (
        "materials and formulas of the part that the training part has too, and the per cent of "
        "the part's samples that are of them. One material is scanned at several energies, over "
        "the same place: scores on materials that were trained on say what was remembered"
    )
    return report


def describe_split(split: SplitParts, scans: SampleIndex) -> dict[str, Any]:
    """Return what each part holds, and a digest of the samples' names, for the record."""
    report: dict[str, Any] = {"by": split.by, "left_out": split.left_out}
    names = scans["name"]
    lines = []
    for part, numbers in split.parts.items():
        folders, counts = np.unique(scans["folder"][numbers], return_counts=True)
        report[part] = {
            "samples": len(numbers),
            "materials": _count(scans, numbers),
            "folders": dict(zip(folders.tolist(), counts.tolist(), strict=True)),
        }
        lines += [f"{part},{name}" for name in sorted(names[numbers].tolist())]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    report["digest"] = f"sha256:{digest}"
    return report


def _by(split: Split) -> str:
    known = ("material", "sample")
    by = next(iter(split.members.values())).get("by")
    if not isinstance(by, list) or len(by) != 1 or by[0] not in known:
        word = by[0] if isinstance(by, list) and by else str(by)
        raise DescriptorError(
            f"split {split.name!r} is by {by!r}{nearest(str(word), known)}; "
            f"{' or '.join(known)} is expected"
        )
    return str(by[0])


def _by_shares(split: Split, scans: SampleIndex, by: str) -> dict[str, Numbers]:
    """Return the samples of each part: its share of its folder, in the order of a hash."""
    hashed = {part: member for part, member in split.members.items() if "by" in member}
    shares = read_shares(split.name, hashed)
    ids = scans["material"] if by == "material" else scans["name"]
    parts = {}
    for part, member in split.members.items():
        folder = member.get("folder")
        within = np.ones(len(scans), bool) if folder is None else _is_of(folder, scans, split.name)
        chosen = np.flatnonzero(within)
        if part in hashed:
            places = _places(ids[chosen], shares.salt)
            chosen = chosen[assign_parts(places, shares) == list(hashed).index(part)]
        parts[part] = chosen
    return parts


def _places(ids: npt.NDArray[np.str_], salt: str) -> npt.NDArray[np.float64]:
    """Return the relative rank of each id by its hash: (sample,) in (0, 1); equal ids are equal."""
    names, codes = np.unique(ids, return_inverse=True)
    rank = np.empty(len(names))
    rank[np.argsort(hash_ids(names.tolist(), salt), kind="stable")] = np.arange(len(names))
    return np.asarray((rank[codes] + 0.5) / len(names))


def _is_of(folder: str, scans: SampleIndex, split: str) -> npt.NDArray[np.bool_]:
    """Return whether each sample (sample,) comes from a folder."""
    known = sorted(set(scans["folder"].tolist()))
    if folder not in known:
        raise CallError(
            f"split {split!r} needs files of folder {folder!r}, but the files are of "
            f"{', '.join(known)}",
            untouched="nothing was trained",
            hint="fetch files of that folder, or --split random",
        )
    return np.asarray(scans["folder"] == folder)


def _shared(name: str, values: npt.NDArray[np.str_], train: npt.NDArray[np.str_]) -> dict[str, Any]:
    if "" in values or "" in train:
        return {f"{name}s_shared": NOT_KNOWN, f"{name}s_shared_percent": NOT_KNOWN}
    known = np.isin(values, train)
    return {
        f"{name}s_shared": len(np.unique(values[known])),
        f"{name}s_shared_percent": round(100 * float(known.mean()), 1),
    }


def _leakage_messages(
    split: SplitParts, scans: SampleIndex, report: Mapping[str, Any]
) -> list[str]:
    """Return the leakage report in sentences, which a run prints before training."""
    lines = []
    for part in split.parts:
        if part == TRAIN:
            continue
        shared = report[part]
        if shared["materials_shared"] == NOT_KNOWN:
            lines.append(f"leakage: of {part} it cannot be checked, the scans name no materials")
            continue
        count = _count(scans, split.parts[part])
        formulas = shared["formulas_shared_percent"]
        materials = shared["materials_shared"]
        lines.append(
            f"leakage: of {part} {materials} of {count} materials are in train too "
            f"({shared['materials_shared_percent']} % of the samples); formulas shared by "
            f"{formulas}{'' if formulas == NOT_KNOWN else ' % of the samples'}"
        )
    return lines


def _count(scans: SampleIndex, numbers: Numbers) -> int | str:
    return len(np.unique(scans["material"][numbers])) if scans.is_known(MATERIAL) else NOT_KNOWN

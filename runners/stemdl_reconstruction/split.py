"""Which samples are in which part of a split, and what the parts share.

A split is a rule: materials or samples (`by`) are put in the order of a hash, and each part takes
its share of that order, of one folder of the dataset where it names one (`folder`). So parts have
their shares of few materials too; with others here, a material may change its part.
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

from .scans import Numbers, Scans

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NOT_KNOWN = "not known"
SHARED = ("material", "formula")


@dataclass(frozen=True)
class Layout:
    """The samples of each part, ascending; `left_out` counts those of no part, `by` says how."""

    parts: Mapping[str, Numbers]
    left_out: int
    by: str


def lay_out(split: Split, scans: Scans) -> Layout:
    """Return the parts of a split.

    Of a part that is a share of a folder where no material is known, it is samples that are
    hashed: nothing else can be. A split that is nothing but materials is refused then.

    Raises:
        CallError: materials are asked for that nobody knows, or a folder that is not there.
        DescriptorError: the rule is not known.
        SciMLDataError: a part is left without a sample.
    """
    is_by_folder = any("folder" in member for member in split.members.values())
    if split.members[TRAIN].get("by") == ["material"] and not scans.has_materials:
        if not is_by_folder:
            raise CallError(
                f"split {split.name!r} keeps materials apart, and these scans do not say theirs",
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
            f"{len(scans)}, of {len(set(scans.texts['material']))} materials",
            untouched="nothing was trained",
            hint="a larger sample, more files, or --split random",
        )
    used = sum(len(numbers) for numbers in parts.values())
    return Layout(parts, left_out=len(scans) - used, by=by)


def leakage(layout: Layout, scans: Scans) -> dict[str, Any]:
    """Return what each part shares with the training part, or that nobody can say."""
    report: dict[str, Any] = {}
    for part, numbers in layout.parts.items():
        if part == TRAIN:
            continue
        report[part] = {}
        for name in SHARED:
            values = scans.texts[name]
            report[part] |= _shared(name, values[numbers], values[layout.parts[TRAIN]])
    report["told"] = list(_told(layout, scans, report))
    report["meaning"] = (
        "materials and formulas of the part that the training part has too, and the per cent of "
        "the part's samples that are of them. One material is scanned at several energies, over "
        "the same place: scores on materials that were trained on say what was remembered"
    )
    return report


def describe(layout: Layout, scans: Scans) -> dict[str, Any]:
    """Return what each part holds, and a digest of the samples' names, for the record."""
    report: dict[str, Any] = {"by": layout.by, "left_out": layout.left_out}
    names = scans.names
    lines = []
    for part, numbers in layout.parts.items():
        folders, counts = np.unique(scans.folder[numbers], return_counts=True)
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
            f"split {split.name!r} cannot be by {by!r}{nearest(str(word), known)}; "
            f"it can be by {' or '.join(known)}"
        )
    return str(by[0])


def _by_shares(split: Split, scans: Scans, by: str) -> dict[str, Numbers]:
    """Return the samples of each part: its share of what its folder has, in the order of a hash."""
    hashed = {part: member for part, member in split.members.items() if "by" in member}
    shares = read_shares(split.name, hashed)
    ids = scans.texts["material"] if by == "material" else scans.names
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
    """Return where each id stands in the order of its hash: (sample,) in (0, 1), alike for one."""
    names, codes = np.unique(ids, return_inverse=True)
    rank = np.empty(len(names))
    rank[np.argsort(hash_ids(names.tolist(), salt), kind="stable")] = np.arange(len(names))
    return np.asarray((rank[codes] + 0.5) / len(names))


def _is_of(folder: str, scans: Scans, split: str) -> npt.NDArray[np.bool_]:
    """Return which samples come from a folder."""
    known = sorted(set(scans.folder.tolist()))
    if folder not in known:
        raise CallError(
            f"split {split!r} needs files of folder {folder!r}; there are those of "
            f"{', '.join(known)}",
            untouched="nothing was trained",
            hint="fetch them, or --split random",
        )
    return np.asarray(scans.folder == folder)


def _shared(name: str, values: npt.NDArray[np.str_], train: npt.NDArray[np.str_]) -> dict[str, Any]:
    if "" in values or "" in train:
        return {f"{name}s_shared": NOT_KNOWN, f"{name}s_shared_percent": NOT_KNOWN}
    known = np.isin(values, train)
    return {
        f"{name}s_shared": len(np.unique(values[known])),
        f"{name}s_shared_percent": round(100 * float(known.mean()), 1),
    }


def _told(layout: Layout, scans: Scans, report: Mapping[str, Any]) -> list[str]:
    """Return the report in sentences: what a run says before it begins."""
    lines = []
    for part in layout.parts:
        if part == TRAIN:
            continue
        found = report[part]
        if found["materials_shared"] == NOT_KNOWN:
            lines.append(f"leakage: of {part} it cannot be checked, the scans name no materials")
            continue
        count = _count(scans, layout.parts[part])
        formulas = found["formulas_shared_percent"]
        lines.append(
            f"leakage: of {part} {found['materials_shared']} of {count} materials are in train too "
            f"({found['materials_shared_percent']} % of the samples); formulas shared by "
            f"{formulas}{'' if formulas == NOT_KNOWN else ' % of the samples'}"
        )
    return lines


def _count(scans: Scans, numbers: Numbers) -> int | str:
    return len(np.unique(scans.texts["material"][numbers])) if scans.has_materials else NOT_KNOWN

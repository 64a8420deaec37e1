"""A simulated sample of STEMDL's scans in their native layout: one LMDB database a processor.

Scans come from multislice (`synthetic.diffraction`) through crystals whose space group is proved:
a probe on a grid of positions over the projected cell, its discs overlapping, and what it went
through. Materials are kept apart: none is in train and in test. Keys, types, shapes' order and
faults of the head are upstream's; sizes are smaller. Keys that upstream has not say what is known
here: `potential_<i>` and `electron_density_<i>` (float32), `meta_<i>` (JSON).

`block["sample"]` of a descriptor may say:

    groups      [2, 14, ...]   space groups
    materials   4              crystals of each
    energies    [100, 200]     keV
    size        64             pixels along each side of a pattern; upstream has 256 or 512
    probes      8              along each side of the grid: 64 patterns; upstream has 8, 16, 32
    view        64             pixels along each side of the target; upstream has 128 to 512
    databases   2              of train; of test there is one
    processes   0              one for each core
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.scan_lmdb import COUNT_KEY, HEADER_KEYS, INPUT, TARGET, require_lmdb
from sciml_data.synthetic.diffraction.simulation import (
    Progress,
    Task,
    in_order,
    require_simulator,
    tasks_of,
)

if TYPE_CHECKING:
    from sciml_data.synthetic.diffraction import Crystal, Scan

DEFAULTS: Mapping[str, Any] = {
    "groups": [2, 14, 62, 139, 166, 194, 221, 225],
    "materials": 4,
    "energies": [100, 200],
    "size": 64,
    "probes": 8,
    "view": 64,
    "databases": 2,
    "processes": 0,
}
LEAST = {"probes": 1, "view": 8, "databases": 1}
PAGE_ROOM = 2**16  # bytes of a map beside each value: its page header, and a part of a leaf


@dataclass(frozen=True)
class ScanTask:
    """A crystal, and how its scans are sampled."""

    task: Task
    probes: int
    view: int


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `batch_train_0.db/data.mdb` and so on under a folder.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` says what to make, see this module's docstring.
        seed: the same seed, the same bytes, whatever the number of processes.
        progress: told of crystals (done, to do).

    Raises:
        CallError: the settings cannot be, or the libraries for it are not installed.
    """
    sample = block.get("sample", {})
    chosen = {key: sample.get(key, default) for key, default in DEFAULTS.items()}
    bad = [f"{name} {chosen[name]!r}" for name, least in LEAST.items() if chosen[name] < least]
    if bad:
        raise CallError(
            f"no sample can be made with {', '.join(bad)}", untouched="nothing was written"
        )
    parts = tasks_of(chosen, seed, chosen["size"])
    require_lmdb()
    require_simulator()
    splits = {"train": [*parts["train"], *parts["dev"]], "test": parts["test"]}
    tasks = [
        ScanTask(task, chosen["probes"], chosen["view"]) for own in splits.values() for task in own
    ]
    made = in_order(scans_of, tasks, chosen["processes"], progress)
    for split, own in splits.items():
        count = min(chosen["databases"], len(own)) if split == "train" else min(1, len(own))
        with ExitStack() as stack:
            writers = [
                stack.enter_context(Writer(root / f"batch_{split}_{rank}.db", chosen, len(own)))
                for rank in range(count)
            ]
            for place, (crystal, scans) in enumerate(islice(made, len(own))):
                writers[place % count].add(crystal, scans)


def scans_of(task: ScanTask) -> tuple[Crystal, list[Scan]]:
    """Return one crystal and its scans, one for each energy."""
    from sciml_data.synthetic.diffraction import make_crystal, scan

    one = task.task
    crystal = make_crystal(one.space_group, one.number, seed=one.seed)
    return crystal, [
        scan(crystal, energy, size=one.size, probes=task.probes, view=task.view)
        for energy in one.energies
    ]


class Writer:
    """One database of the sample; a context manager."""

    def __init__(self, folder: Path, chosen: Mapping[str, Any], crystals: int) -> None:
        """Take the folder of the database, the settings, and how many crystals it may get."""
        self._folder = folder
        self._count = 0
        probes, size, view = chosen["probes"] ** 2, chosen["size"], chosen["view"]
        self._shapes = (probes, size, size), (1, view, view)
        sample_bytes = 2 * math.prod(self._shapes[0]) + 10 * math.prod(self._shapes[1])
        samples = crystals * len(chosen["energies"])
        self._map_bytes = (samples + 1) * (sample_bytes + 8 * PAGE_ROOM)
        self._environment: Any = None

    def __enter__(self) -> Self:
        import lmdb

        self._folder.mkdir(parents=True)
        self._environment = lmdb.open(str(self._folder), map_size=self._map_bytes, sync=False)
        shapes = [np.array(shape, "<i8").tobytes() for shape in self._shapes]
        values = (b"float16", shapes[0], INPUT.encode(), b"float16", shapes[1], TARGET.encode())
        head = dict(zip(HEADER_KEYS, values, strict=True))
        self._put({**head, COUNT_KEY: bytes(len(head))})  # zeros, as upstream's
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.sync(True)
        self._environment.close()
        (self._folder / "lock.mdb").unlink(missing_ok=True)

    def add(self, crystal: Crystal, scans: Sequence[Scan]) -> None:
        """Write the scans of a crystal under the next numbers."""
        for scan in scans:
            number, self._count = self._count, self._count + 1
            values = {
                TARGET: scan.legacy_target.astype("<f2").tobytes(),
                INPUT: z_scored(scan.patterns).astype("<f2").tobytes(),
                "potential_": scan.potential.astype("<f4").tobytes(),
                "electron_density_": scan.electron_density.astype("<f4").tobytes(),
                "meta_": json.dumps(_meta(crystal, scan), sort_keys=True).encode(),
            }
            self._put({f"{name}{number}": value for name, value in values.items()})

    def _put(self, values: Mapping[str, bytes]) -> None:
        with self._environment.begin(write=True) as transaction:
            for key, value in values.items():
                transaction.put(key.encode("ascii"), value)


def z_scored(patterns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return patterns less their mean, over their standard deviation, each for itself.

    Args:
        patterns: (probe, y, x), none of them constant.
    """
    wide = patterns.astype(np.float64)
    mean = wide.mean(axis=(1, 2), keepdims=True)
    return np.asarray((wide - mean) / wide.std(axis=(1, 2), keepdims=True))


def _meta(crystal: Crystal, scan: Scan) -> dict[str, Any]:
    return {
        "material": crystal.material,
        "formula": crystal.formula,
        "space_group": crystal.space_group,
        "energy_keV": scan.energy_kev,
        "pixel_size_angstrom": float(scan.pixel_size_angstrom),
        "diffraction_pixel_size_per_angstrom": float(scan.diffraction_pixel_size),
        "semi_angle_rad": float(scan.semi_angle),
        "abc_angstrom": [float(one) for one in crystal.lengths],
        "angles_degree": [float(one) for one in crystal.angles],
    }

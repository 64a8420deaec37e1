"""Simulated sample of STEMDL's scans in their native layout: one LMDB database for each processor.

Scans come from multislice (`synthetic.diffraction`) through random crystals of known space group: a
probe with overlapping discs on a grid of positions over the projected cell, and target images of
the crystal. No material is both in train and in test. Keys, types, order of shapes and the errors
in the header are those of the published files; sizes are smaller. Additional keys have facts that
are known for a simulation: `potential_<i>` and `electron_density_<i>` (float32), `meta_<i>` (JSON).

Settings in `block["sample"]` and their defaults:

    groups      [2, 14, ...]   space groups
    materials   4              crystals of each group
    energies    [100, 200]     keV
    size        64             pixels along each side of a pattern; upstream has 256 or 512
    probes      8              along each side of the grid: 64 patterns; upstream has 8, 16, 32
    view        64             pixels along each side of the target; upstream has 128 to 512
    databases   2              of train; test has one
    processes   0              0 is one for each core
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
from sciml_data.progress import Progress
from sciml_data.synthetic.diffraction.simulation import (
    Task,
    in_order,
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
MINIMA = {"probes": 1, "view": 8, "databases": 1}
PAGE_SPACE = 2**16  # bytes of the memory map beside each value: page header and share of a leaf


@dataclass(frozen=True)
class ScanTask:
    """A crystal, and the sampling of its scans (see the settings of the module)."""

    task: Task
    probes: int
    view: int


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `batch_train_0.db/data.mdb` and so on under a folder.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` has the settings in this module's docstring.
        seed: the same seed, the same bytes, for any number of processes.
        progress: callback (crystals done, crystals in all).

    Raises:
        CallError: a setting is not valid, or a library of the simulation is not installed.
    """
    sample = block.get("sample", {})
    settings = {key: sample.get(key, default) for key, default in DEFAULTS.items()}
    bad = [f"{name} {settings[name]!r}" for name, low in MINIMA.items() if settings[name] < low]
    if bad:
        raise CallError(
            f"no sample can be made with {', '.join(bad)}", untouched="nothing was written"
        )
    parts = tasks_of(settings, seed, settings["size"])
    require_lmdb()
    splits = {"train": [*parts["train"], *parts["dev"]], "test": parts["test"]}
    probes, view = settings["probes"], settings["view"]
    tasks = [ScanTask(task, probes, view) for own in splits.values() for task in own]
    results = in_order(scans_of, tasks, settings["processes"], progress)
    for split, own in splits.items():
        count = min(settings["databases"], len(own)) if split == "train" else min(1, len(own))
        with ExitStack() as stack:
            writers = [
                stack.enter_context(Writer(root / f"batch_{split}_{rank}.db", settings, len(own)))
                for rank in range(count)
            ]
            for place, (crystal, scans) in enumerate(islice(results, len(own))):
                writers[place % count].add(crystal, scans)


def scans_of(task: ScanTask) -> tuple[Crystal, list[Scan]]:
    """Return a crystal and its scans, one for each energy."""
    from sciml_data.synthetic.diffraction import make_crystal, scan

    wanted = task.task
    crystal = make_crystal(wanted.space_group, wanted.number, seed=wanted.seed)
    return crystal, [
        scan(crystal, energy, size=wanted.size, probes=task.probes, view=task.view)
        for energy in wanted.energies
    ]


class Writer:
    """A database of the sample, as a context manager."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], crystals: int) -> None:
        """Prepare a database.

        Args:
            folder: folder of the database, which is created.
            settings: settings of the sample.
            crystals: largest number of crystals; the size of the memory map follows from it.
        """
        self._folder = folder
        self._count = 0
        probes, size, view = settings["probes"] ** 2, settings["size"], settings["view"]
        self._shapes = (probes, size, size), (1, view, view)
        sample_bytes = 2 * math.prod(self._shapes[0]) + 10 * math.prod(self._shapes[1])
        samples = crystals * len(settings["energies"])
        self._map_bytes = (samples + 1) * (sample_bytes + 8 * PAGE_SPACE)
        self._environment: Any = None

    def __enter__(self) -> Self:
        import lmdb

        self._folder.mkdir(parents=True)
        self._environment = lmdb.open(str(self._folder), map_size=self._map_bytes, sync=False)
        shapes = [np.array(shape, "<i8").tobytes() for shape in self._shapes]
        values = (b"float16", shapes[0], INPUT.encode(), b"float16", shapes[1], TARGET.encode())
        head = dict(zip(HEADER_KEYS, values, strict=True))
        self._put({**head, COUNT_KEY: bytes(len(head))})  # zeros, as in the published files
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
    """Return each pattern with mean 0 and standard deviation 1.

    Args:
        patterns: (probe, y, x); no pattern may be constant.
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
        "abc_angstrom": [float(length) for length in crystal.lengths],
        "angles_degree": [float(angle) for angle in crystal.angles],
    }

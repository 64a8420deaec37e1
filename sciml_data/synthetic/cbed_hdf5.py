"""Simulated sample of STEMDL's stacks: patterns of random crystals of known space group.

Patterns come from multislice (`synthetic.diffraction`). Crystals are random, and spglib confirms
the space group of each. Intensity is the fraction of the incident beam. A material is in one split
only: six, two and two of ten are in train, dev and test, for each class. Names, types and
attributes are those of the published files, except for the size. Every fifth index is left out,
because the published indices have gaps.

Settings in `block["sample"]` and their defaults:

    groups              [2, 14, ...]   space groups
    materials           10             crystals of each group
    energies            [100, 190]     keV
    size                64             pixels along each side; upstream has 512
    diffuse             false          thermal diffuse background (docs/explanation/diffraction.md)
    materials_per_file  20
    processes           0              0 is one for each core
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from sciml_data.errors import CallError
from sciml_data.formats.cbed_hdf5 import SHAPE_ATTRIBUTE, STACK
from sciml_data.progress import Progress
from sciml_data.synthetic.diffraction.simulation import (
    CrystalStacks,
    simulated_stacks,
    tasks_of,
)

if TYPE_CHECKING:
    from sciml_data.synthetic.diffraction.cbed import Stack
    from sciml_data.synthetic.diffraction.crystals import Crystal

DEFAULTS: Mapping[str, Any] = {
    "groups": [2, 14, 62, 139, 166, 194, 221, 225],
    "materials": 10,
    "energies": [100, 190],
    "size": 64,
    "diffuse": False,
    "materials_per_file": 20,
    "processes": 0,
}
GAP_EVERY = 4  # consecutive indices before one is left out


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `train/batch_train_0.h5` and so on under a folder.

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
    per_file = settings["materials_per_file"]
    if per_file < 1:
        raise CallError(
            f"no sample can be made with materials_per_file {per_file}",
            untouched="nothing was written",
        )
    splits = tasks_of(settings, seed, settings["size"])
    tasks = [task for split in splits.values() for task in split]
    results = simulated_stacks(tasks, settings["processes"], progress)
    for split, of_split in splits.items():
        crystals = islice(results, len(of_split))
        for number in range(-(-len(of_split) // per_file)):
            path = root / split / f"batch_{split}_{number}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, islice(crystals, per_file), settings["size"])


def _write(path: Path, crystals: Iterable[CrystalStacks], size: int) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["synthetic"] = True
        file.attrs[SHAPE_ATTRIBUTE] = np.array((3, size, size), np.int64)
        for place, (crystal, stacks) in enumerate(crystals):
            index = place + place // GAP_EVERY
            for number, stack in enumerate(stacks):
                write_stack(file.create_group(f"sample_{index}_{number}"), crystal, stack)


def write_stack(group: Any, crystal: Crystal, stack: Stack) -> None:
    """Write a stack into its HDF5 group, with the names and types of the published files."""
    group.create_dataset(STACK, data=stack.patterns)
    attributes: dict[str, Any] = {
        "space_group": np.bytes_(str(crystal.space_group)),
        "material": np.bytes_(crystal.material),
        "formula": crystal.formula,
        "energy_keV": np.int64(stack.energy_kev),
        "z_dirs": np.array([[plane.z_dir for plane in stack.planes]], np.int64),
        "y_dirs": np.array([[plane.y_dir for plane in stack.planes]], np.float64),
        "semi_angles_rad": np.array(stack.semi_angles, np.float64),
        "d_hkls_angstrom": np.array([plane.d_angstrom for plane in stack.planes], np.float64),
        "abc_angstrom": np.array(crystal.lengths, np.float64),
        "angles_degree": np.array(crystal.angles, np.float64),
    }
    for name, value in attributes.items():
        group.attrs[name] = value

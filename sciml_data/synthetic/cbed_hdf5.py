"""A simulated sample of STEMDL's stacks in their native layout: crystals of known space group.

Patterns come from multislice (`synthetic.diffraction`), crystals from chance: cell, sites and
species are drawn, and the space group is proved by spglib. Intensity is the fraction of the
incident beam. Materials are kept apart: six, two and two of ten in train, dev and test, for each
class. Names, types and attributes are upstream's, `size` aside; every fifth index is left out, for
upstream's have gaps.

`block["sample"]` of a descriptor may say:

    groups              [2, 14, ...]   space groups
    materials           10             crystals of each
    energies            [100, 190]     keV
    size                64             pixels along each side; upstream has 512
    materials_per_file  20
    processes           0              one for each core
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
from sciml_data.synthetic.diffraction.simulation import Made, Progress, simulated, tasks_of

if TYPE_CHECKING:
    from sciml_data.synthetic.diffraction.cbed import Stack
    from sciml_data.synthetic.diffraction.crystals import Crystal

DEFAULTS: Mapping[str, Any] = {
    "groups": [2, 14, 62, 139, 166, 194, 221, 225],
    "materials": 10,
    "energies": [100, 190],
    "size": 64,
    "materials_per_file": 20,
    "processes": 0,
}
GAP_EVERY = 4  # indices in a row, and then one that is left out


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `train/batch_train_0.h5` and so on under a folder.

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
    each = chosen["materials_per_file"]
    if each < 1:
        raise CallError(f"no sample can be made with materials_per_file {each}")
    splits = tasks_of(chosen, seed, chosen["size"])
    tasks = [task for split in splits.values() for task in split]
    made = simulated(tasks, chosen["processes"], progress)
    for split, own in splits.items():
        crystals = islice(made, len(own))
        for number in range(-(-len(own) // each)):
            path = root / split / f"batch_{split}_{number}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, islice(crystals, each), chosen["size"])


def _write(path: Path, crystals: Iterable[Made], size: int) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["synthetic"] = True
        file.attrs[SHAPE_ATTRIBUTE] = np.array((3, size, size), np.int64)
        for place, (crystal, stacks) in enumerate(crystals):
            index = place + place // GAP_EVERY
            for number, stack in enumerate(stacks):
                write_stack(file.create_group(f"sample_{index}_{number}"), crystal, stack)


def write_stack(group: Any, crystal: Crystal, stack: Stack) -> None:
    """Write a sample into its group with upstream's names and types."""
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

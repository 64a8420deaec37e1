"""Simulated sample of STEMDL's npz files: the crystals of the sample of `stemdl_cbed`.

Patterns have 128 pixels along each side and the published scale of levels. The published patterns
were simulated with 512 pixels, scaled, and averaged over 4 x 4 pixels. Here nothing is averaged, so
discs are as sharp as 128 pixels allow. Files are numbered through train, test and dev, as
published, so a number does not tell the material.

Settings in `block["sample"]`: groups, materials, energies, diffuse and processes, as in
`cbed_hdf5`.
`block["folders"]` has the folders of train, dev and test. If a split has several folders, its
stacks are divided evenly: the first part is in the first folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.formats.cbed_npz import SHAPE, log_intensity
from sciml_data.progress import Progress
from sciml_data.synthetic import cbed_hdf5
from sciml_data.synthetic.diffraction.simulation import simulated_stacks, tasks_of

DEFAULTS: Mapping[str, Any] = {
    key: cbed_hdf5.DEFAULTS[key]
    for key in ("groups", "materials", "energies", "diffuse", "processes")
}
NUMBERED = ("train", "test", "dev")  # order of the published numbers


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `<folder>/sample-<n>.npz` under a folder.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` and `folders` are described in the module's docstring.
        seed: the same seed, the same bytes, for any number of processes.
        progress: callback (crystals done, crystals in all).

    Raises:
        CallError: a setting is not valid, or a library of the simulation is not installed.
    """
    sample = block.get("sample", {})
    settings = {key: sample.get(key, default) for key, default in DEFAULTS.items()}
    splits = tasks_of(settings, seed, SHAPE[1])
    tasks = [task for split in NUMBERED for task in splits[split]]
    results = simulated_stacks(tasks, settings["processes"], progress)
    stacks_of = {split: len(own) * len(settings["energies"]) for split, own in splits.items()}
    for path, (group, patterns) in zip(
        _paths(block["folders"], stacks_of),
        ((crystal.space_group, stack.patterns) for crystal, stacks in results for stack in stacks),
        strict=True,
    ):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, data=log_intensity(patterns), label=np.array([group], np.int64))


def _paths(folders: Mapping[str, Sequence[str]], stacks_of: Mapping[str, int]) -> list[str]:
    """Return the path of each stack in the order in which the stacks are made.

    Args:
        folders: folders of each split.
        stacks_of: number of stacks of each split.
    """
    paths: list[str] = []
    for split in NUMBERED:
        count, own = stacks_of[split], folders[split]
        paths += [
            f"{own[at * len(own) // count]}/sample-{len(paths) + at}.npz" for at in range(count)
        ]
    return paths

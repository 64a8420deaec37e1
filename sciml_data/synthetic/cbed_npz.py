"""A simulated sample of the npz files: the crystals of `stemdl_cbed`'s sample, scaled as upstream.

Patterns are made with 128 pixels along each side and put on the published scale of levels.
Upstream's were made with 512, scaled, and averaged over 4 x 4 pixels; here nothing is averaged, so
discs are as sharp as 128 pixels allow. Running numbers go on over train, test and dev, as upstream
counted, and say nothing of the material, as upstream's do.

`block["sample"]` of a descriptor may say `groups`, `materials`, `energies` and `processes`, as for
`stemdl_cbed`; `block["folders"]` in which folders the parts train, dev and test lie. Stacks of a
part with several folders are halved: the first half is in the first folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.formats.cbed_npz import SHAPE, log_intensity
from sciml_data.synthetic import cbed_hdf5 as hdf5_sample
from sciml_data.synthetic.diffraction.simulation import Progress, simulated, tasks_of

DEFAULTS: Mapping[str, Any] = {
    key: hdf5_sample.DEFAULTS[key] for key in ("groups", "materials", "energies", "processes")
}
COUNTED = ("train", "test", "dev")  # the order of upstream's running numbers


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, progress: Progress | None = None
) -> None:
    """Write `<folder>/sample-<n>.npz` under a folder.

    Args:
        root: folder of the native files.
        block: `sciml.native`; see this module's docstring.
        seed: the same seed, the same bytes, whatever the number of processes.
        progress: told of crystals (done, to do).

    Raises:
        CallError: the settings cannot be, or the libraries for it are not installed.
    """
    sample = block.get("sample", {})
    chosen = {key: sample.get(key, default) for key, default in DEFAULTS.items()}
    splits = tasks_of(chosen, seed, SHAPE[1])
    tasks = [task for split in COUNTED for task in splits[split]]
    made = simulated(tasks, chosen["processes"], progress)
    places = _places(block["folders"], {split: len(own) for split, own in splits.items()}, chosen)
    for path, (group, patterns) in zip(
        places,
        ((crystal.space_group, stack.patterns) for crystal, stacks in made for stack in stacks),
        strict=True,
    ):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, data=log_intensity(patterns), label=np.array([group], np.int64))


def _places(
    folders: Mapping[str, Sequence[str]], crystals: Mapping[str, int], chosen: Mapping[str, Any]
) -> list[str]:
    """Return the path of each stack in the order in which they are made."""
    places: list[str] = []
    for split in COUNTED:
        count = crystals[split] * len(chosen["energies"])
        own = folders[split]
        places += [
            f"{own[at * len(own) // count]}/sample-{len(places) + at}.npz" for at in range(count)
        ]
    return places

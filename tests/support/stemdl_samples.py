"""Small ready datasets of diffraction stacks, made here: a group is the number of spots on a ring.

The patterns are no physics. Materials of a group differ in the radius of the ring and in the angle
of its spots, stacks of a material in the energy: so a classifier can learn from them, and remembers
a material if it is let.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml_data.ready.convert.folder import write_record
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.stages import Converted

GROUPS = (2, 14, 62, 136, 152, 225)
ENERGIES = (100.0, 140.0, 190.0)


@dataclass(frozen=True)
class One:
    group: int
    number: int
    energy: float


def converted(
    root: Path,
    *,
    groups: Mapping[int, int] | None = None,
    side: int = 32,
    is_levels: bool = False,
    with_validation: bool = True,
) -> Converted:
    """Write ready files of all folders; `groups` says how many materials each group has.

    Levels have neither material nor energy, and folders of their own.
    """
    wanted = groups or dict.fromkeys(GROUPS, 6)
    folders: tuple[str, ...] = ("training", "testing") if is_levels else ("train", "dev", "test")
    if not with_validation:
        folders = tuple(folder for folder in folders if folder != "dev")
    stacks: dict[str, list[One]] = {folder: [] for folder in folders}
    for group, count in wanted.items():
        for number in range(count):
            folder = folders[-1 - number % len(folders)] if number < 3 else folders[0]
            stacks[folder] += [One(group, number, energy) for energy in ENERGIES]
    splits: dict[str, list[str]] = {}
    for folder, of_folder in stacks.items():
        halves = [of_folder[0::2], of_folder[1::2]] if is_levels else list(_by_material(of_folder))
        for file, some in enumerate(halves):
            name = f"{folder}-batch_{folder}_{file}.nc"
            splits.setdefault(folder, []).append(name)
            write(root / name, some, folder, side=side, is_levels=is_levels)
    write_record(root, {"splits": splits})
    dataset = "stemdl_ds1" if is_levels else "stemdl_cbed"
    descriptor = load_descriptor(find_registry(), dataset, "1.0")
    return Converted(descriptor, root, Manifest(()), "0" * 64, is_synthetic=True)


def write(
    path: Path, stacks: Sequence[One], folder: str, *, side: int, is_levels: bool = False
) -> None:
    values = np.stack([patterns(one, side) for one in stacks])
    scaling = "log levels" if is_levels else "none"
    if is_levels:
        values = np.clip(10 * (np.log(np.maximum(values, 1e-30)) + 17), 0, 255).astype(np.float32)
    texts = {
        "native_file": [f"{folder}/batch_{folder}_{path.stem[-1]}.h5"] * len(stacks),
        "native_sample": [f"sample_{n}_{int(one.energy)}" for n, one in enumerate(stacks)],
    }
    columns: dict[str, Any] = {}
    if not is_levels:
        texts["material"] = [f"syn-{one.group:03d}-{one.number:03d}" for one in stacks]
        texts["formula"] = [f"Fe{1 + one.number % 4} O{one.group}" for one in stacks]
        columns["energy"] = ("sample", np.array([one.energy for one in stacks], np.float32))
    columns |= {name: ("sample", np.array(values, "S")) for name, values in texts.items()}
    dataset = xr.Dataset(
        {
            "cbed_stack": (("sample", "orientation", "y", "x"), values, {"scaling": scaling}),
            "space_group": ("sample", np.array([one.group for one in stacks], np.int16)),
            **columns,
        }
    )
    chunk = {"cbed_stack": {"chunksizes": (1, 3, side, side)}}
    dataset.to_netcdf(path, engine="h5netcdf", encoding=chunk)


def patterns(one: One, side: int) -> np.ndarray[Any, Any]:
    """Return (3, side, side) float32: as many spots on a ring as the group is far in the list.

    Every material has a haze of its own, by which its stacks are nearest to one another.
    """
    random = np.random.default_rng([one.group, one.number])
    fold = 1 + sorted((*GROUPS, one.group)).index(one.group)
    y, x = np.indices((side, side)) - side // 2
    made = []
    for _ in range(3):
        radius = side * random.uniform(0.2, 0.35) * np.sqrt(100 / one.energy)
        angles = 2 * np.pi * (np.arange(fold) / fold + random.random())
        places = zip(radius * np.sin(angles), radius * np.cos(angles), strict=True)
        spots = [(0.0, 0.0, 1.0), *((a, b, 0.1) for a, b in places)]
        image = sum(
            weight * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (side / 16) ** 2)
            for row, column, weight in spots
        )
        haze = np.exp(random.normal(-8.0, 3.0, (side // 4, side // 4))).repeat(4, 0).repeat(4, 1)
        made.append(np.where(y**2 + x**2 < (side // 2) ** 2, image + haze, 0.0))
    return np.array(made, np.float32)


def _by_material(stacks: Sequence[One]) -> Iterator[list[One]]:
    """Yield the stacks of one or two files; a material never spans files, as published."""
    for half in (0, 1):
        if of_half := [one for one in stacks if one.number % 2 == half]:
            yield of_half

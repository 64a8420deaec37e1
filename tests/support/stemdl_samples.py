"""Write small ready datasets of artificial diffraction stacks.

The patterns are not physical: a space group is a number of spots on a circle. Materials of a group
differ in the radius of the circle and in the angle of its spots, and stacks of a material differ in
the energy. So a classifier can learn the group, and it can memorise a material.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml_data.ready.folder import write_record
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.stages import Converted

GROUPS = (2, 14, 62, 136, 152, 225)
ENERGIES = (100.0, 140.0, 190.0)


@dataclass(frozen=True)
class Stack:
    """One stack: space group, number of the material in the group, energy in keV."""

    group: int
    number: int
    energy: float


def converted(
    root: Path,
    *,
    groups: Mapping[int, int] | None = None,
    side: int = 32,
    is_log_intensity: bool = False,
    with_validation: bool = True,
) -> Converted:
    """Write ready files of all folders.

    Args:
        root: folder of the ready files.
        groups: number of materials by space group.
        side: pixels along a side of a pattern.
        is_log_intensity: write files as of `stemdl_ds1`, which have other folders and neither
            material nor energy.
        with_validation: whether there is a folder for validation.
    """
    counts = groups or dict.fromkeys(GROUPS, 6)
    folders: tuple[str, ...] = (
        ("training", "testing") if is_log_intensity else ("train", "dev", "test")
    )
    if not with_validation:
        folders = tuple(folder for folder in folders if folder != "dev")
    stacks: dict[str, list[Stack]] = {folder: [] for folder in folders}
    for group, count in counts.items():
        for number in range(count):
            folder = folders[-1 - number % len(folders)] if number < 3 else folders[0]
            stacks[folder] += [Stack(group, number, energy) for energy in ENERGIES]
    splits: dict[str, list[str]] = {}
    for folder, of_folder in stacks.items():
        halves = (
            [of_folder[0::2], of_folder[1::2]]
            if is_log_intensity
            else list(_by_material(of_folder))
        )
        for file, members in enumerate(halves):
            name = f"{folder}-batch_{folder}_{file}.nc"
            splits.setdefault(folder, []).append(name)
            write(root / name, members, folder, side=side, is_log_intensity=is_log_intensity)
    write_record(root, {"splits": splits})
    dataset = "stemdl_ds1" if is_log_intensity else "stemdl_cbed"
    descriptor = load_descriptor(find_registry(), dataset, "1.0")
    return Converted(descriptor, root, Manifest(()), "0" * 64, is_synthetic=True)


def write(
    path: Path, stacks: Sequence[Stack], folder: str, *, side: int, is_log_intensity: bool = False
) -> None:
    values = np.stack([patterns(stack, side) for stack in stacks])
    scaling = "log levels" if is_log_intensity else "none"
    if is_log_intensity:
        values = np.clip(10 * (np.log(np.maximum(values, 1e-30)) + 17), 0, 255).astype(np.float32)
    texts = {
        "native_file": [f"{folder}/batch_{folder}_{path.stem[-1]}.h5"] * len(stacks),
        "native_sample": [f"sample_{n}_{int(stack.energy)}" for n, stack in enumerate(stacks)],
    }
    columns: dict[str, Any] = {}
    if not is_log_intensity:
        texts["material"] = [f"syn-{stack.group:03d}-{stack.number:03d}" for stack in stacks]
        texts["formula"] = [f"Fe{1 + stack.number % 4} O{stack.group}" for stack in stacks]
        columns["energy"] = ("sample", np.array([stack.energy for stack in stacks], np.float32))
    columns |= {name: ("sample", np.array(values, "S")) for name, values in texts.items()}
    dataset = xr.Dataset(
        {
            "cbed_stack": (("sample", "orientation", "y", "x"), values, {"scaling": scaling}),
            "space_group": ("sample", np.array([stack.group for stack in stacks], np.int16)),
            **columns,
        }
    )
    chunk = {"cbed_stack": {"chunksizes": (1, 3, side, side)}}
    dataset.to_netcdf(path, engine="h5netcdf", encoding=chunk)


def patterns(stack: Stack, side: int) -> np.ndarray[Any, Any]:
    """Return (3, side, side) float32: the n-th space group of the list has n spots on a circle.

    Each material has its own background, so that its stacks are nearest neighbours.
    """
    random = np.random.default_rng([stack.group, stack.number])
    fold = 1 + sorted((*GROUPS, stack.group)).index(stack.group)
    y, x = np.indices((side, side)) - side // 2
    images = []
    for _ in range(3):
        radius = side * random.uniform(0.2, 0.35) * np.sqrt(100 / stack.energy)
        angles = 2 * np.pi * (np.arange(fold) / fold + random.random())
        places = zip(radius * np.sin(angles), radius * np.cos(angles), strict=True)
        spots = [(0.0, 0.0, 1.0), *((a, b, 0.1) for a, b in places)]
        image = sum(
            weight * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (side / 16) ** 2)
            for row, column, weight in spots
        )
        coarse = np.exp(random.normal(-8.0, 3.0, (side // 4, side // 4)))
        background = coarse.repeat(4, 0).repeat(4, 1)
        images.append(np.where(y**2 + x**2 < (side // 2) ** 2, image + background, 0.0))
    return np.array(images, np.float32)


def _by_material(stacks: Sequence[Stack]) -> Iterator[list[Stack]]:
    """Yield the stacks of one or two files; as published, no material is in two files."""
    for half in (0, 1):
        if of_half := [stack for stack in stacks if stack.number % 2 == half]:
            yield of_half

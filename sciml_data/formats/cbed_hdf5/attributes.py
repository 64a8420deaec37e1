"""Attributes of a sample, whatever type they were written in: text from bytes, numbers as float64.

A vector that one machine wrote with 128-bit floats came back on another with garbage in it, so
numbers are converted by HDF5 from the type in the file to float64 and held against what can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem

SPACE_GROUPS = (1, 230)
ORIENTATIONS, AXES = 3, 3


@dataclass(frozen=True)
class Numbers:
    """Numbers of a sample: the native attribute, the ready form's shape, and what can be."""

    attribute: str
    shape: tuple[int, ...]
    least: float
    most: float


# Name in the ready form to what it is. Cells of 10 angstrom or more were not simulated upstream;
# the other ranges are what electron microscopes and crystals have, with room.
NUMBERS: Mapping[str, Numbers] = {
    "energy": Numbers("energy_keV", (), 20, 1000),
    "lattice_length": Numbers("abc_angstrom", (AXES,), 1, 30),
    "lattice_angle": Numbers("angles_degree", (AXES,), 20, 160),
    "semi_angle": Numbers("semi_angles_rad", (ORIENTATIONS,), 1e-4, 0.1),
    "plane_spacing": Numbers("d_hkls_angstrom", (ORIENTATIONS,), 0.2, 30),
    "beam_direction": Numbers("z_dirs", (ORIENTATIONS, AXES), -100, 100),
}


@dataclass(frozen=True)
class Facts:
    """What the attributes of a sample say; numbers that are not known are NaN, a formula ""."""

    space_group: int
    material: str
    formula: str
    numbers: Mapping[str, NDArray[np.float64]]


def read_facts(group: Any, place: str) -> tuple[Facts | Problem, list[Problem]]:
    """Return the facts of a sample and what they lack.

    Args:
        group: of the sample.
        place: its file and name.

    Returns:
        the facts, or why the sample cannot be used: no space group, no material; and a problem
        for each value that is missing and can be done without.
    """
    space_group = _space_group(group)
    if isinstance(space_group, str):
        return Problem("label", place, space_group), []
    material = text_of(group, "material")
    if not material:
        message = "has no material, by which stacks of one crystal are kept in one part"
        return Problem("material", place, message), []
    noted: list[Problem] = []
    formula = text_of(group, "formula")
    if not formula:
        noted.append(Problem("formula", place, "has no formula"))
    numbers = {}
    for name, wanted in NUMBERS.items():
        values = read_numbers(group, wanted)
        if isinstance(values, str):
            noted.append(Problem(name, place, f"{wanted.attribute} {values}"))
            values = np.full(wanted.shape, np.nan)
        numbers[name] = values
    return Facts(space_group, material, formula or "", numbers), noted


def text_of(group: Any, name: str) -> str | None:
    """Return an attribute as text, whether bytes, a string or one in an array; None where none."""
    try:
        value = group.attrs.get(name)
    except (OSError, TypeError, ValueError):  # a type that NumPy does not have, or a torn heap
        return None
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value.strip("\0 ") if isinstance(value, str) else None


def read_numbers(group: Any, wanted: Numbers) -> NDArray[np.float64] | str:
    """Return an attribute as float64 in the ready form's shape, or what is wrong with it."""
    if wanted.attribute not in group.attrs:
        return "is missing"
    attribute = group.attrs.get_id(wanted.attribute)
    if attribute.get_type().get_class() not in (h5py.h5t.FLOAT, h5py.h5t.INTEGER):
        return "is no number"
    count = int(np.prod(wanted.shape))
    if int(np.prod(attribute.shape)) != count:
        return f"has the shape {attribute.shape}, and {count} numbers are expected"
    values = np.empty(attribute.shape, np.float64)
    attribute.read(values)
    values = values.reshape(wanted.shape)
    if not np.all((values >= wanted.least) & (values <= wanted.most)):  # False of NaN, too
        found = ", ".join(f"{value:g}" for value in values.ravel())
        return f"is {found}, and {wanted.least:g} to {wanted.most:g} is expected"
    return values


def _space_group(group: Any) -> int | str:
    """Return the number of the space group, or what is wrong with it."""
    text = text_of(group, "space_group")
    if text is None:
        if "space_group" not in group.attrs:
            return "has no space group"
        number = read_numbers(group, Numbers("space_group", (), *SPACE_GROUPS))
        if isinstance(number, str):
            return f"space_group {number}"
        text = f"{number:g}"
    if not (text.isascii() and text.isdigit() and len(text) <= len("230")):
        return f"space_group is {text!r}, and a number is expected"
    if not SPACE_GROUPS[0] <= int(text) <= SPACE_GROUPS[1]:
        return f"space_group is {text}, and 1 to 230 is expected"
    return int(text)

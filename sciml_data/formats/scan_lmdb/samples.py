"""Read the samples of a database, and tally those that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Tally
from sciml_data.formats.scan_lmdb.database import DamagedError, Database
from sciml_data.formats.scan_lmdb.layout import HEADER_KEYS, Layout, Quantity, is_noise, read_layout

Values = NDArray[np.floating[Any]]


@dataclass
class Sample:
    """One sample of a database. Only synthetic databases have the last three.

    Attributes:
        number: of the sample in its database.
        scan: (probe, y, x), the z-score of each pattern, in the native type.
        target: (v, u), the z-score of each sample, in the native type.
        potential: (v, u) float32, volt; None if the database has none.
        electron_density: (v, u) float32, electrons per cubic angstrom; None as above.
        meta: material, formula and so on, as the database has them.
    """

    number: int
    scan: Values
    target: Values
    potential: Values | None = None
    electron_density: Values | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


def open_layout(database: Database, place: str) -> Layout:
    """Return what a database holds.

    Args:
        database: open for reading.
        place: its native path, for messages.

    Raises:
        NativeFormatError: the database cannot be read, or its shapes cannot be determined.
    """
    try:
        keys = database.keys()
        wanted = [key for key in HEADER_KEYS if key.encode() in keys]
        headers = {key: database.value(key.encode()) or b"" for key in wanted}
        layout = read_layout(keys, headers, partial(_length, database))
    except DamagedError as error:
        raise _refused(place, [Problem(error.kind, place, error.message)]) from error
    if not isinstance(layout, Layout):
        raise _refused(place, [Problem("head", place, wrong) for wrong in layout])
    return layout


def read_samples(
    path: Path, place: str, numbers: Callable[[Layout], Sequence[int]], *, refuse_noise: bool
) -> tuple[Layout, list[Sample], Tally]:
    """Return the usable samples of a range, and a tally of all.

    Args:
        path: of the data file.
        place: its native path, for messages.
        numbers: returns the numbers of the samples to read, for the layout of the database.
        refuse_noise: whether samples that look like noise are left out.

    Raises:
        NativeFormatError: the database cannot be read.
    """
    tally, samples = Tally(), []
    with Database(path) as database:
        layout = open_layout(database, place)
        for number in numbers(layout):
            tally.read += 1
            problems: list[Problem] = []
            sample = _sample(database, layout, number, (place, problems))
            if sample is not None and refuse_noise:
                problems += _noise_problems(sample, layout, place)
            if sample is None or problems:
                tally.dropped += problems[:1]  # one per sample, so that they count samples
                continue
            _add_extras(database, layout, sample, (place, tally.noted))
            samples.append(sample)
    return layout, samples, tally


def _length(database: Database, key: str) -> int | None:
    try:
        value = database.value(key.encode())
    except DamagedError:
        return None
    return None if value is None else len(value)


def _refused(place: str, problems: Sequence[Problem]) -> NativeFormatError:
    return NativeFormatError(
        f"{place} cannot be read",
        problems=problems,
        untouched="nothing of it was converted",
        hint="--set databases=GLOB converts other databases without this one",
    )


def _sample(
    database: Database, layout: Layout, number: int, where: tuple[str, list[Problem]]
) -> Sample | None:
    """Return input and target, None if either cannot be read; problems are added."""
    place, problems = where
    quantities = {"input": layout.input, "target": layout.target}
    problems += [
        Problem("missing", f"{place}:{quantity.prefix}{number}", f"the sample has no {name}")
        for name, quantity in quantities.items()
        if f"{quantity.prefix}{number}" not in layout.keys
    ]
    if problems:
        return None
    scan = _array(database, layout.input, f"{layout.input.prefix}{number}", where)
    target = _array(database, layout.target, f"{layout.target.prefix}{number}", where)
    return None if scan is None or target is None else Sample(number, scan, target[0])


def _array(
    database: Database, quantity: Quantity, key: str, where: tuple[str, list[Problem]]
) -> Values | None:
    """Return finite values of the expected shape and type; None and a problem otherwise."""
    place, problems = where
    try:
        data = database.value(key.encode()) or b""
    except DamagedError as error:
        problems.append(Problem(error.kind, f"{place}:{key}", error.message))
        return None
    if len(data) != quantity.size_bytes:
        shape = " x ".join(map(str, quantity.shape))
        message = (
            f"{quantity.size_bytes} bytes expected ({shape}, {quantity.dtype}), {len(data)} found"
        )
        problems.append(Problem("length", f"{place}:{key}", message))
        return None
    values = np.frombuffer(data, np.dtype(quantity.dtype).newbyteorder("<")).reshape(quantity.shape)
    wrong = values.size - int(np.isfinite(values).sum())
    if wrong:
        message = f"{wrong} of {values.size} numbers are not finite"
        problems.append(Problem("finite", f"{place}:{key}", message))
        return None
    return values


def _noise_problems(sample: Sample, layout: Layout, place: str) -> list[Problem]:
    arrays = {"input": (layout.input, sample.scan), "target": (layout.target, sample.target[None])}
    return [
        Problem(
            "noise",
            f"{place}:{quantity.prefix}{sample.number}",
            f"the {name} is uniform random noise, as upstream put in place of unreadable samples",
        )
        for name, (quantity, values) in arrays.items()
        if is_noise(values, name)
    ]


def _add_extras(
    database: Database, layout: Layout, sample: Sample, where: tuple[str, list[Problem]]
) -> None:
    """Add what only synthetic databases have; an unusable value is missing and noted."""
    place, noted = where
    for name in ("potential", "electron_density"):
        key = f"{name}_{sample.number}"
        if key in layout.keys:
            quantity = Quantity(f"{name}_", (1, *sample.target.shape), "float32")
            problems: list[Problem] = []
            values = _array(database, quantity, key, (place, problems))
            noted += [Problem(name, problem.place, problem.message) for problem in problems]
            setattr(sample, name, None if values is None else values[0])
    key = f"meta_{sample.number}"
    if key in layout.keys:
        sample.meta = _meta(database, key, (place, noted))


def _meta(database: Database, key: str, where: tuple[str, list[Problem]]) -> Mapping[str, Any]:
    place, noted = where
    try:
        meta = json.loads(database.value(key.encode()) or b"")
    except (ValueError, RecursionError) as error:
        noted.append(Problem("meta", f"{place}:{key}", f"no JSON: {error}"))
        return {}
    except DamagedError as error:
        noted.append(Problem("meta", f"{place}:{key}", error.message))
        return {}
    if not isinstance(meta, dict):
        noted.append(Problem("meta", f"{place}:{key}", "no JSON object"))
        return {}
    return meta

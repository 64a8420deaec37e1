"""Read the samples of a database, and keep account of those that cannot be used."""

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
from sciml_data.formats.cbed_hdf5.tally import Tally
from sciml_data.formats.scan_lmdb.database import DamagedError, Database
from sciml_data.formats.scan_lmdb.layout import HEADERS, Layout, Part, is_noise, read_layout
from sciml_data.formats.scan_lmdb.options import Options

Values = NDArray[np.floating[Any]]


@dataclass
class Sample:
    """One sample: what published databases have, and what ours have besides, None where not.

    Attributes:
        scan: (probe, y, x).
        target: (v, u).
        potential: (v, u), volt.
        electron_density: (v, u), electrons per cubic angstrom.
        meta: material, formula and so on, as the sample's writer put them.
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
        database: to be asked.
        place: its path, as problems name it.

    Raises:
        NativeFormatError: it cannot be read, or nobody can tell its shapes.
    """
    try:
        keys = database.keys()
        wanted = [key for key in HEADERS if key.encode() in keys]
        headers = {key: database.value(key.encode()) or b"" for key in wanted}
        layout = read_layout(keys, headers, partial(_length, database))
    except DamagedError as error:
        raise _refused(place, [Problem(error.kind, place, error.message)]) from error
    if not isinstance(layout, Layout):
        raise _refused(place, [Problem("head", place, what) for what in layout])
    return layout


def read_samples(
    path: Path, place: str, numbers: Callable[[Layout], Sequence[int]], options: Options
) -> tuple[Layout, list[Sample], Tally]:
    """Return those samples of a range that can be used, and the account of all.

    Args:
        path: of the data file.
        place: the same, as problems name it.
        numbers: tells which samples, once the layout is known.
        options: whether what looks like noise is refused.

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
            if sample is not None and options.noise == "refuse":
                problems += _noise_problems(sample, layout, place)
            if sample is None or problems:
                tally.dropped += problems[:1]  # one a sample, so that they count samples
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
        untouched="nothing was converted of it",
        hint="others can be converted without it: --set databases=GLOB names those that are",
    )


def _sample(
    database: Database, layout: Layout, number: int, where: tuple[str, list[Problem]]
) -> Sample | None:
    """Return input and target, None where one cannot be had; what is wrong is added."""
    place, problems = where
    parts = {"input": layout.input, "target": layout.target}
    problems += [
        Problem("missing", f"{place}:{part.name}{number}", f"the sample has no {what}")
        for what, part in parts.items()
        if f"{part.name}{number}" not in layout.keys
    ]
    if problems:
        return None
    scan = _array(database, layout.input, f"{layout.input.name}{number}", where)
    target = _array(database, layout.target, f"{layout.target.name}{number}", where)
    return None if scan is None or target is None else Sample(number, scan, target[0])


def _array(
    database: Database, part: Part, key: str, where: tuple[str, list[Problem]]
) -> Values | None:
    """Return finite values of the expected shape and type, None where there are none."""
    place, problems = where
    try:
        data = database.value(key.encode()) or b""
    except DamagedError as error:
        problems.append(Problem(error.kind, f"{place}:{key}", error.message))
        return None
    if len(data) != part.size_bytes:
        shape = " x ".join(map(str, part.shape))
        message = f"{part.size_bytes} bytes expected ({shape}, {part.dtype}), {len(data)} found"
        problems.append(Problem("length", f"{place}:{key}", message))
        return None
    values = np.frombuffer(data, np.dtype(part.dtype).newbyteorder("<")).reshape(part.shape)
    wrong = values.size - int(np.isfinite(values).sum())
    if wrong:
        message = f"{wrong} of {values.size} numbers are not finite"
        problems.append(Problem("finite", f"{place}:{key}", message))
        return None
    return values


def _noise_problems(sample: Sample, layout: Layout, place: str) -> list[Problem]:
    parts = {"input": (layout.input, sample.scan), "target": (layout.target, sample.target[None])}
    return [
        Problem(
            "noise",
            f"{place}:{part.name}{sample.number}",
            f"the {what} is uniform random noise, as upstream put in place of unreadable samples",
        )
        for what, (part, values) in parts.items()
        if is_noise(values, what)
    ]


def _add_extras(
    database: Database, layout: Layout, sample: Sample, where: tuple[str, list[Problem]]
) -> None:
    """Add what only our samples have; a value that cannot be used is missing, and named."""
    place, noted = where
    for name in ("potential", "electron_density"):
        key = f"{name}_{sample.number}"
        if key in layout.keys:
            part = Part(f"{name}_", (1, *sample.target.shape), "float32")
            problems: list[Problem] = []
            values = _array(database, part, key, (place, problems))
            noted += [Problem(name, one.place, one.message) for one in problems]
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

"""Random values and file names that follow from a descriptor, for formats without a model.

A sample of tables, NetCDF files or images only has the declared form: names, types, dimensions,
limits. Its values are random, and mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.registry.manifest import match_paths

WILD = re.compile(r"[*?\[]")
START = np.datetime64("2000-01-01", "s")  # of times
MISSING_SHARE = 0.03  # of values that may be missing
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon")
MAX_FILES = 2  # of a split


def sample_paths(splits: Mapping[str, Sequence[str]], suffix: str) -> list[str]:
    """Return a path or two for each split, such that its globs match them.

    Args:
        splits: globs by the name of the split.
        suffix: ending of the files where a glob has none.

    Raises:
        CallError: no path can be made of the globs of a split.
    """
    paths: list[str] = []
    for name, globs in splits.items():
        made = [_path(pattern, suffix) for pattern in globs[:MAX_FILES]]
        made = [path for path in made if match_paths(globs, [path]) and path not in paths]
        if not made:
            raise CallError(
                f"no file of a sample fits the split {name!r}: {', '.join(globs)}",
                untouched="nothing was written",
                hint="write a simpler glob in sciml.splits, such as train/**",
            )
        paths += made
    return paths


def folder_of(pattern: str) -> str:
    """Return the part of a glob that is a folder without wild cards, with its `/` or empty."""
    fixed = WILD.split(pattern)[0]
    return fixed[: fixed.rfind("/") + 1]


def _path(pattern: str, suffix: str) -> str:
    path = re.sub(r"\[\[\]", "[", pattern)  # as `glob.escape` writes a bracket
    path = re.sub(r"\*+", "sample", path).replace("?", "0")
    return path if PurePosixPath(path).suffix else path + suffix


def random_values(
    rng: np.random.Generator,
    dtype: str,
    shape: tuple[int, ...],
    limits: Mapping[str, Any] | None = None,
) -> NDArray[Any]:
    """Return random values of a declared type.

    Args:
        rng: of the sample.
        dtype: "S", "datetime64[ns]" or a type of NumPy.
        shape: of the values.
        limits: `constraints` of a field in a Table Schema: minimum, maximum, enum, unique.
    """
    limits = limits or {}
    if "enum" in limits:
        return np.asarray(rng.choice(limits["enum"], shape))
    if dtype == "S":
        words = rng.choice(WORDS, shape)
        counter = np.arange(words.size).reshape(shape).astype(str)
        return np.char.add(np.char.add(words, "-"), counter) if limits.get("unique") else words
    if dtype.startswith("datetime64"):
        return START + np.arange(np.prod(shape)).reshape(shape) * np.timedelta64(3600, "s")
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return _numbers(rng, np.dtype(dtype), shape, limits)


def _numbers(
    rng: np.random.Generator,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    limits: Mapping[str, Any],
) -> NDArray[Any]:
    low, high = (float(limits.get(key, usual)) for key, usual in (("minimum", 0), ("maximum", 100)))
    high = max(high, low + 1) if "maximum" not in limits else high
    if dtype.kind == "f":
        return rng.uniform(low, high, shape).astype(dtype)
    if limits.get("unique"):
        return (int(low) + np.arange(np.prod(shape))).reshape(shape).astype(dtype)
    return rng.integers(int(low), int(high) + 1, shape).astype(dtype)


def missing_places(
    rng: np.random.Generator, dtype: str, count: int, limits: Mapping[str, Any] | None = None
) -> NDArray[np.bool_]:
    """Return where values of a column are missing: nowhere, if its type or a limit has none."""
    may_miss = dtype.startswith(("float", "datetime")) or dtype == "S"
    if not may_miss or (limits or {}).get("required"):
        return np.zeros(count, bool)
    return rng.random(count) < MISSING_SHARE

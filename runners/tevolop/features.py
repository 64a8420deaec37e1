"""Input features of each pixel and fortnight, from data up to the end of that fortnight only.

Magnitudes are relative to that of an empty window of the same length, so a quiet window is 0 at
every length. Counts are log(1 + count). Features are standardised with mean and deviation of the
training pixels and dates, so no information comes from later dates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.formats import earthquake
from sciml_data.formats.earthquake import COLUMNS, ENERGY_EXPONENT, FORTNIGHT_DAYS, ROWS

from .data import Flags, Floats, Fortnights, Indices, Singles

Doubles: TypeAlias = npt.NDArray[np.float64]

# Back windows of the published inputs: now, 4 weeks, 2, 3 and 6 months, 1 year (cells 41 and 60).
BACK_WINDOWS = (1, 2, 4, 7, 13, 26)
COUNT_WINDOWS = (1, 4, 13, 26)
SLOW_WINDOWS = (52, 104)  # 2 and 4 years
RATE_WINDOWS = (104, 520)  # 4 and 20 years: the long-term activity of a place
NEIGHBOUR_RADII = (1, 3)  # pixels: squares of 3 x 3 and 7 x 7
# The 14 "known" inputs of the published models less the two constants in time (cells 74 and 77).
ENCODING_PERIODS = (8, 16, 32, 64)
MIN_SPREAD = 1e-6  # a feature that varies less is not divided by its deviation
MAX_DEVIATIONS = 6.0  # inputs are clipped, so that a rare future value cannot be extreme
STATIC = "fault_"  # begins the names of features that are constant in time
# Begin the names of the published "known" inputs: encodings of place and time.
ENCODINGS = ("linear_space", "constant", "date", "legendre_", "cosine_", "sine_")


def make_features(
    grid: Fortnights,
    pixels: Indices,
    *,
    groups: Iterable[str],
    train: Flags,
    stop: int,
    scaling: str = "standard",
) -> tuple[Singles, tuple[str, ...]]:
    """Return the features of some pixels, scaled with training pixels and dates.

    Args:
        grid: all fortnights.
        pixels: (pixel,) numbers.
        groups: of features, see `LOCAL_GROUPS` and `SHARED_GROUPS`.
        train: (pixel,) bool, whether it is a training pixel.
        stop: first fortnight after the training period.
        scaling: "standard", or "minmax" as published, which leaves encodings as they are.

    Returns:
        (pixel, time, feature) float32, and the names of the features.
    """
    named: dict[str, Floats] = {}
    for group in groups:
        if group in LOCAL_GROUPS:
            named |= LOCAL_GROUPS[group](grid, pixels)
        else:
            named |= SHARED_GROUPS[group](grid, pixels[train])
    names = tuple(named)
    features = np.zeros((len(pixels), len(grid), len(named)), np.float32)
    for index, values in enumerate(named.values()):
        known = values[train, :stop] if values.ndim == 2 else values[:stop]
        features[..., index] = values
        if scaling == "standard":
            features[..., index] = np.clip(
                _scaled(values, known.mean(), known.std()), -MAX_DEVIATIONS, MAX_DEVIATIONS
            )
        elif not is_encoding(names[index]):
            features[..., index] = _scaled(values, known.min(), np.ptp(known))
    return features, names


def is_encoding(name: str) -> bool:
    """Return whether a feature is one of the 14 published encodings of place and time."""
    return name.startswith(ENCODINGS)


def _scaled(values: Floats, centre: np.floating, spread: np.floating) -> Floats:
    return (values - float(centre)) / (float(spread) if spread > MIN_SPREAD else 1.0)


def published(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return what the published inputs have besides `faults` and `dates`: (pixel, time).

    These are magnitudes over 2 weeks to 1 year back, depth, numbers of earthquakes, and two
    encodings of place (laszewsk/mlcommons, FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cell 87).
    """
    own = own_history(grid, pixels)
    features = {f"magnitude_{steps}": own[f"magnitude_{steps}"] for steps in BACK_WINDOWS}
    features |= {"depth": own["depth"]}
    numbers = {"multiplicity": grid.count, "strong": grid.strong}
    features |= {name: np.asarray(each[:, pixels].T, float) for name, each in numbers.items()}
    place = np.arange(len(pixels)) / len(pixels)
    shape = (len(pixels), len(grid))
    return features | {
        "linear_space": np.broadcast_to(place[:, None], shape),
        "constant": np.full(shape, 0.5),
    }


def own_history(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return magnitudes, counts and depth of the pixel itself by name: (pixel, time)."""
    energy = energy_of(grid, pixels)
    features = {f"magnitude_{steps}": _above_quiet(energy, steps) for steps in BACK_WINDOWS}
    features |= {f"count_{n}": _log_count(grid.count[:, pixels], n) for n in COUNT_WINDOWS}
    features |= {f"strong_{n}": _log_count(grid.strong[:, pixels], n) for n in COUNT_WINDOWS}
    return features | {"depth": grid.depth[:, pixels].T}


def neighbours(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return energy and counts of the squares around the pixel by name: (pixel, time)."""
    quiet = float(FORTNIGHT_DAYS)
    excess = energy_of(grid) - quiet
    features: dict[str, Floats] = {}
    for radius in NEIGHBOUR_RADII:
        energy = _around(excess, radius)[:, pixels] + quiet
        count = _around(grid.count, radius)[:, pixels]
        strong = _around(grid.strong, radius)[:, pixels]
        label = 2 * radius + 1
        features |= {f"magnitude_{n}_in_{label}": _above_quiet(energy, n) for n in COUNT_WINDOWS}
        features |= {f"count_{n}_in_{label}": _log_count(count, n) for n in COUNT_WINDOWS}
        features |= {f"strong_{n}_in_{label}": _log_count(strong, n) for n in COUNT_WINDOWS[-1:]}
    return features


def slow(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return energy and counts of the pixel over years by name: (pixel, time).

    The longer the window, the more it reflects the growth of the seismometer network. Such features
    help if the same dates are in training, and mislead in forecasts of later dates.
    """
    energy = energy_of(grid, pixels)
    features: dict[str, Floats] = {f"magnitude_{n}": _above_quiet(energy, n) for n in SLOW_WINDOWS}
    longest = SLOW_WINDOWS[-1]
    return features | {f"count_{longest}": _log_count(grid.count[:, pixels], longest)}


def rates(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return numbers of earthquakes of M >= 3.29 over 4 and 20 years by name: (pixel, time).

    The network saw nearly all of these since the 1950s, so they do not follow its growth.
    """
    features: dict[str, Floats] = {}
    for n in RATE_WINDOWS:
        features[f"strong_{n}"] = _log_count(grid.strong[:, pixels], n)
        for radius in NEIGHBOUR_RADII:
            around = _around(grid.strong, radius)[:, pixels]
            features[f"strong_{n}_in_{2 * radius + 1}"] = _log_count(around, n)
    return features


def faults(grid: Fortnights, pixels: Indices) -> dict[str, Floats]:
    """Return the four static fault features of the published inputs by name: (pixel, time)."""
    numbers = earthquake.fault_features(grid.fault_group.reshape(ROWS, COLUMNS))[:, pixels]
    shape = (len(pixels), len(grid))
    return {
        f"fault_{index}": np.broadcast_to(number[:, None], shape)
        for index, number in enumerate(numbers)
    }


def region(grid: Fortnights, training_pixels: Indices) -> dict[str, Floats]:
    """Return the activity of all training pixels together by name: (time,)."""
    own = own_history(grid, training_pixels)
    features = {
        f"region_{name}": values.mean(axis=0)
        for name, values in own.items()
        if name.startswith(("magnitude", "count"))
    }
    energy = energy_of(grid, training_pixels)
    features |= {
        f"region_magnitude_{n}": _above_quiet(energy, n).mean(axis=0) for n in SLOW_WINDOWS
    }
    total = grid.strong[:, training_pixels].sum(axis=1, keepdims=True)
    return features | {f"region_strong_{n}": _log_count(total, n)[0] for n in COUNT_WINDOWS}


def dates(grid: Fortnights, training_pixels: Indices) -> dict[str, Floats]:
    """Return the published encodings of time by name: (time,).

    Linear time, its Legendre polynomials 2 to 4, cosine and sine of 8, 16, 32 and 64 fortnights. A
    model can use them to memorise when earthquakes happened. That helps for pixels that share their
    dates with training pixels, and not in forecasts of the future.
    """
    del training_pixels
    steps = np.arange(len(grid))
    linear = steps / max(len(grid) - 1, 1)
    legendre = np.polynomial.legendre.legvander(2 * linear - 1, 4)
    features = {"date": linear} | {f"legendre_{n}": legendre[:, n] for n in (2, 3, 4)}
    for period in ENCODING_PERIODS:
        angle = 2 * np.pi * steps / period
        features |= {f"cosine_{period}": np.cos(angle), f"sine_{period}": np.sin(angle)}
    return features


LOCAL_GROUPS = {
    "own": own_history,
    "neighbours": neighbours,
    "slow": slow,
    "rates": rates,
    "faults": faults,
    "published": published,
}
SHARED_GROUPS = {"region": region, "dates": dates}


def energy_of(grid: Fortnights, pixels: Indices | slice = slice(None)) -> Doubles:
    """Return the released energy, that of a magnitude 0 being 1: (time, pixel)."""
    return np.asarray(10 ** (ENERGY_EXPONENT * grid.magnitude[:, pixels].astype(np.float64)))


def trailing_sum(series: Floats, steps: int) -> Doubles:
    """Return the sum over the last `steps` times: (time, ...) float64.

    At the first times, the shorter sum is scaled up to `steps`, because an estimated rate is more
    useful than a missing value.
    """
    values = np.asarray(series, np.float64)
    early = min(steps - 1, len(values))
    shape = (early, *([1] * (values.ndim - 1)))
    scaled = np.cumsum(values[:early], axis=0) * (steps / np.arange(1, early + 1)).reshape(shape)
    return np.concatenate([scaled, earthquake.sliding_sums(values, steps)])


def _above_quiet(energy: Floats, steps: int) -> Doubles:
    """Return magnitude of the last `steps` fortnights relative to empty ones: (pixel, time)."""
    relative = trailing_sum(energy, steps) / (FORTNIGHT_DAYS * steps)
    return np.asarray(np.log10(np.maximum(relative, 1e-9)).T / ENERGY_EXPONENT)


def _log_count(count: npt.NDArray[np.generic], steps: int) -> Doubles:
    """Return log(1 + count over the last `steps` fortnights): (pixel, time)."""
    return np.asarray(np.log1p(np.maximum(trailing_sum(count.astype(np.float64), steps), 0)).T)


def _around(values: npt.NDArray[np.generic], radius: int) -> Doubles:
    """Return the sum over the square around each pixel: (time, pixel); zero beyond the edge."""
    image = values.reshape(-1, ROWS, COLUMNS).astype(np.float64)
    for axis in (1, 2):
        margin = [(0, 0)] * 3
        margin[axis] = (radius, radius)
        padded = np.pad(image, margin).swapaxes(0, axis)
        image = earthquake.sliding_sums(padded, 2 * radius + 1).swapaxes(0, axis)
    return image.reshape(len(values), -1)

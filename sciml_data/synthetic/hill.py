"""A made-up biology: cell lines and compounds whose dose responses follow Hill curves.

Each cell line and each compound has six hidden traits. Features are the traits seen through random
loadings and noise, so that they tell a part of the response; another part belongs to the pair alone
and no feature tells it. Growth is 1 untreated, 0 stasis, -1 all killed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAITS = 6
UNEXPLAINED = 0.3  # standard deviation of log10(EC50) that no feature tells
MEASURING = 0.08  # standard deviation of a single measurement of growth
MIDDLE = 6.2  # usual -log10(EC50): the medians of Uno's sources are 6.0 to 7.4
PREFIXES = ("HCC", "SNU", "NCI-H", "OVCAR", "SK-MEL", "KM", "IGR-OV", "PC", "COLO", "MDA-MB")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """Curves of all pairs.

    Attributes:
        names: of the cell lines, as a culture collection would write them.
        line: (line, trait).
        compound: (compound, trait).
        middle: (line, compound) -log10(EC50, mol/L).
        end: (line, compound) growth at any high dose.
        slope: (compound,) Hill slope.
    """

    names: tuple[str, ...]
    line: Floats
    compound: Floats
    middle: Floats
    end: Floats
    slope: Floats


def make_world(random: np.random.Generator, lines: int, compounds: int) -> World:
    """Return cell lines and compounds, about a third of which do next to nothing."""
    line = random.standard_normal((lines, TRAITS), np.float32)
    compound = random.standard_normal((compounds, TRAITS), np.float32)
    together = line @ compound.T / np.float32(np.sqrt(TRAITS))
    own = random.standard_normal((lines, compounds), np.float32)
    middle = MIDDLE + 0.7 * compound[:, 0] + 0.5 * together + UNEXPLAINED * own
    strength = 1.2 * compound[:, 1] + 0.6 * together + 0.5 + 0.2 * line[:, :1]
    end = 1 - 2 / (1 + np.exp(-2 * strength))
    slope = np.exp(0.3 * random.standard_normal(compounds, np.float32))
    numbers = random.permutation(np.arange(3, 3 + 40 * lines))[:lines]
    names = ("22RV1", *(f"{PREFIXES[n % len(PREFIXES)]}-{numbers[n]}" for n in range(1, lines)))
    return World(
        names[:lines],
        line,
        compound,
        middle.astype(np.float32),
        end.astype(np.float32),
        slope,
    )


def growth(
    world: World, line: NDArray[np.intp], compound: NDArray[np.intp], dose: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return growth without noise; `dose` is -log10(mol/L)."""
    end = world.end[line, compound]
    power = world.slope[compound] * (world.middle[line, compound] - dose)
    return np.asarray(end + (1 - end) / (1 + 10.0 ** np.clip(power, -30, 30)), np.float64)


def paired_growth(
    world: World, first: NDArray[np.float64], second: NDArray[np.float64], both: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return growth under two drugs: independent action and a synergy of the two compounds.

    Args:
        world: has the compounds' traits.
        first: growth under the first drug alone.
        second: growth under the second alone.
        both: (row, 2) compounds.
    """
    alive = np.clip((np.stack([first, second]) + 1) / 2, 0, 1)
    one, other = world.compound[both[:, 0]], world.compound[both[:, 1]]
    synergy = 0.5 * np.tanh((one * other).sum(1) / TRAITS)
    spread = np.sqrt((alive * (1 - alive)).prod(0))
    return np.asarray(2 * np.clip(alive.prod(0) - synergy * spread, 0, 1.2) - 1)


def seen(
    random: np.random.Generator, traits: Floats, columns: int, *, noise: float = 0.7
) -> Floats:
    """Return features of so many columns, mean 0: traits through random loadings, and noise."""
    loadings = random.standard_normal((traits.shape[1], columns), np.float32)
    blurred = noise * random.standard_normal((len(traits), columns), np.float32)
    return np.asarray(traits @ loadings / np.sqrt(traits.shape[1]) + blurred, np.float32)


def described(random: np.random.Generator, world: World, columns: int) -> Floats:
    """Return descriptors: of very different scales, a few columns constant, NaN here and there."""
    values = seen(random, world.compound, columns)
    scale = 10.0 ** random.uniform(-2, 3, columns)
    values = ((values + random.uniform(-3, 3, columns)) * scale).astype(np.float32)
    values[:, random.random(columns) < 0.02] = 0
    values[random.random(values.shape) < 0.002] = np.nan
    return values


def bits(random: np.random.Generator, world: World, columns: int) -> NDArray[np.bool_]:
    """Return fingerprints, about a tenth of the bits set."""
    return np.asarray(seen(random, world.compound, columns) > 1.6)

"""Made-up cell lines and drugs with dose responses that follow Hill curves.

Cells and drugs have a few hidden traits. Features show the traits through random loadings and
noise, and the traits set the dose at which a drug acts on a cell. A model can therefore learn a
part of the response from the features. Another part belongs to the pair alone and no feature shows
it, as in real screens.

There are two models, because the published files have two scales:

    GrowthCurves      growth, 1 untreated, 0 stasis, -1 all killed: CANDLE's tables
    ViabilityCurves   viability, 1 untreated, 0 all killed: the files of ALMANAC and CCLE

Doses are -log10(mol/L) in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, Problem, nearest

Floats = NDArray[np.float32]
LARGEST_EXPONENT = 30  # of the power of ten in a Hill curve: 10^30 does not overflow

# Growth curves.
TRAITS = 6
UNEXPLAINED = 0.3  # standard deviation of log10(EC50) that no feature shows
MEASUREMENT_NOISE = 0.08  # standard deviation of a single measurement of growth
MEAN_POTENCY = 6.2  # usual -log10(EC50): the medians of Uno's sources are 6.0 to 7.4
PREFIXES = ("HCC", "SNU", "NCI-H", "OVCAR", "SK-MEL", "KM", "IGR-OV", "PC", "COLO", "MDA-MB")

# Viability curves. Noise, offsets and the spread of areas were measured in CCLE's files:
# datapackages/uno_ccle/README.md, "The sample".
FACTORS = 6
HIDDEN = 3  # of the factors of a cell: they act on drugs, and no feature shows them
OTHER_FACTORS = 30  # shown by features, without effect on any drug
SENSITIVITY = 0.4  # of -log10(mol/L): how much factors that match change the potency
GROWTH_EFFECT = 0.3  # of -log10(mol/L): a cell's common sensitivity to all drugs
PAIR_SPREAD = 0.35  # standard deviation of -log10(mol/L) that belongs to one pair alone
# A curve's replicates: median and logarithmic spread of their standard deviation, as viability.
REPLICATES, REPLICATES_SPREAD = 0.099, 0.58
MEDIAN_GAIN = 0.8  # noise of the median of replicates, relative to the replicates
QUIET_BELOW = 0.5  # viability below which the noise falls in proportion
LINE_BATCH, DRUG_BATCH = 0.019, 0.038  # offsets of plates: standard deviations by line, by drug
SLOPES = (1.0, 2.5)  # Hill slopes of made-up drugs
CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "C1CC({})CC1")
LINKS = ("C(=O)N", "O", "CC", "NC(=O)C", "S(=O)(=O)N", "COC", "N")
ENDS = ("C", "CC", "O", "N", "F", "Cl", "C(F)(F)F", "OC", "C#N", "C(=O)O", "N(C)C", "C(C)C", "CCO")


# --- growth --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GrowthCurves:
    """Cell lines, compounds, and the Hill curve of each pair.

    Attributes:
        names: names of the cell lines, written as a culture collection writes them.
        lines: (line, trait) float32.
        compounds: (compound, trait) float32.
        potency: (line, compound) float32, -log10(EC50 in mol/L).
        floor: (line, compound) float32, growth at any high dose.
        slope: (compound,) float32, Hill slope.
    """

    names: tuple[str, ...]
    lines: Floats
    compounds: Floats
    potency: Floats
    floor: Floats
    slope: Floats

    def growth(
        self, line: NDArray[np.intp], compound: NDArray[np.intp], dose: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return growth without noise, float64.

        Args:
            line: (row,) indices of cell lines.
            compound: (row,) indices of compounds.
            dose: (row,) -log10(mol/L), or one number for all rows.
        """
        floor = self.floor[line, compound]
        exponent = self.slope[compound] * (self.potency[line, compound] - dose)
        exponent = np.clip(exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT)
        return np.asarray(floor + (1 - floor) / (1 + 10.0**exponent), np.float64)

    def paired_growth(
        self, first: NDArray[np.float64], second: NDArray[np.float64], pair: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return growth under two drugs: independent action and a synergy of the two compounds.

        Args:
            first: (row,) growth under the first drug alone.
            second: (row,) growth under the second drug alone.
            pair: (row, 2) indices of the two compounds.
        """
        alive = np.clip((np.stack([first, second]) + 1) / 2, 0, 1)
        traits, other_traits = self.compounds[pair[:, 0]], self.compounds[pair[:, 1]]
        synergy = 0.5 * np.tanh((traits * other_traits).sum(1) / TRAITS)
        spread = np.sqrt((alive * (1 - alive)).prod(0))
        return np.asarray(2 * np.clip(alive.prod(0) - synergy * spread, 0, 1.2) - 1)


def make_growth_curves(random: np.random.Generator, lines: int, compounds: int) -> GrowthCurves:
    """Return cell lines and compounds; about a third of the compounds have hardly any effect.

    Args:
        random: source of all numbers.
        lines: number of cell lines.
        compounds: number of compounds.
    """
    of_lines = random.standard_normal((lines, TRAITS), np.float32)
    of_compounds = random.standard_normal((compounds, TRAITS), np.float32)
    shared = of_lines @ of_compounds.T / np.float32(np.sqrt(TRAITS))
    unexplained = random.standard_normal((lines, compounds), np.float32)
    potency = MEAN_POTENCY + 0.7 * of_compounds[:, 0] + 0.5 * shared + UNEXPLAINED * unexplained
    strength = 1.2 * of_compounds[:, 1] + 0.6 * shared + 0.5 + 0.2 * of_lines[:, :1]
    floor = 1 - 2 / (1 + np.exp(-2 * strength))
    slope = np.exp(0.3 * random.standard_normal(compounds, np.float32))
    numbers = random.permutation(np.arange(3, 3 + 40 * lines))[:lines]
    names = ("22RV1", *(f"{PREFIXES[n % len(PREFIXES)]}-{numbers[n]}" for n in range(1, lines)))
    return GrowthCurves(
        names[:lines],
        of_lines,
        of_compounds,
        potency.astype(np.float32),
        floor.astype(np.float32),
        slope,
    )


def trait_features(
    random: np.random.Generator, traits: Floats, columns: int, *, noise: float = 0.7
) -> Floats:
    """Return features with mean 0 that show traits through random loadings and noise.

    Args:
        random: source of loadings and noise.
        traits: (entity, trait).
        columns: number of features.
        noise: standard deviation.

    Returns:
        (entity, columns) float32.
    """
    loadings = random.standard_normal((traits.shape[1], columns), np.float32)
    noises = noise * random.standard_normal((len(traits), columns), np.float32)
    return np.asarray(traits @ loadings / np.sqrt(traits.shape[1]) + noises, np.float32)


def descriptors(random: np.random.Generator, curves: GrowthCurves, columns: int) -> Floats:
    """Return molecular descriptors of all compounds: (compound, columns) float32.

    Like real descriptors they have very different scales, a few constant columns, and a few NaN.
    """
    values = trait_features(random, curves.compounds, columns)
    scale = 10.0 ** random.uniform(-2, 3, columns)
    values = ((values + random.uniform(-3, 3, columns)) * scale).astype(np.float32)
    values[:, random.random(columns) < 0.02] = 0
    values[random.random(values.shape) < 0.002] = np.nan
    return values


def fingerprints(
    random: np.random.Generator, curves: GrowthCurves, columns: int
) -> NDArray[np.bool_]:
    """Return fingerprints of all compounds, (compound, columns) bool, a tenth of them set."""
    return np.asarray(trait_features(random, curves.compounds, columns) > 1.6)


# --- viability -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ViabilityCurves:
    """Hidden factors of cells and drugs, and the Hill curves that follow from them.

    Attributes:
        cells: (cell, factor).
        drugs: (drug, factor).
        potency: (cell, drug) -log10(mol/L) at half of the effect.
        depth: (drug,) largest share of cells that the drug kills.
        slope: (drug,) Hill slope.
    """

    cells: NDArray[np.float64]
    drugs: NDArray[np.float64]
    potency: NDArray[np.float64]
    depth: NDArray[np.float64]
    slope: NDArray[np.float64]

    @property
    def shown_cells(self) -> NDArray[np.float64]:
        """Return the factors of cells that features show: (cell, factor)."""
        return self.cells[:, :-HIDDEN]

    def viability(
        self, cell: NDArray[np.int64], drug: NDArray[np.int64], dose: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return living cells as a share of the untreated ones: 1 means no effect.

        Args:
            cell: indices of cells; the three arrays are broadcast against each other.
            drug: indices of drugs.
            dose: -log10(mol/L).
        """
        exponent = self.slope[drug] * (dose - self.potency[cell, drug])
        exponent = np.clip(exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT)
        return 1 - self.depth[drug] / (1 + 10**exponent)


def make_viability_curves(random: np.random.Generator, cells: int, drugs: int) -> ViabilityCurves:
    """Return the curves of a number of cells and drugs."""
    of_cells, of_drugs = (
        random.standard_normal((cells, FACTORS)),
        random.standard_normal((drugs, FACTORS)),
    )
    mean_potency = 5.6 + 1.0 * of_drugs[:, 0] + 0.5 * random.standard_normal(drugs)
    pairs = PAIR_SPREAD * random.standard_normal((cells, drugs))
    return ViabilityCurves(
        cells=of_cells,
        drugs=of_drugs,
        potency=mean_potency + shared_potency(of_cells, of_drugs) + pairs,
        depth=random.uniform(0.4, 1.0, drugs),
        slope=random.uniform(*SLOPES, drugs),
    )


def shared_potency(cells: NDArray[np.float64], drugs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of the potency (cell, drug) that follows from factors.

    It is not linear: a few cells are far more sensitive to a drug than the others, as in screens of
    drugs with a target.

    Args:
        cells: (cell, factor).
        drugs: (drug, factor).
    """
    match = cells @ drugs.T / np.sqrt(FACTORS)
    return np.asarray(SENSITIVITY * (np.exp(match) - np.sqrt(np.e)) + GROWTH_EFFECT * cells[:, -1:])


def measurement_noise(
    random: np.random.Generator, viability: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the standard deviation of replicates, and the noise of their median.

    Args:
        random: source of all numbers.
        viability: (curve, dose).
    """
    of_curve = REPLICATES * np.exp(REPLICATES_SPREAD * random.standard_normal((len(viability), 1)))
    spread = of_curve * np.clip(viability / QUIET_BELOW, 0.05, 1.0)
    return spread, MEDIAN_GAIN * spread * random.standard_normal(viability.shape)


def factor_features(
    random: np.random.Generator, factors: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return (entity, count) float64 features, mean 0 and deviation near 1, that show factors.

    They show as many other factors, so that the important ones have to be found.

    Args:
        random: source of loadings and noise.
        factors: (entity, factor).
        count: number of features.
    """
    others = random.standard_normal((len(factors), OTHER_FACTORS))
    shown = np.concatenate([factors, others], axis=1)
    loadings = random.standard_normal((shown.shape[1], count)) / np.sqrt(shown.shape[1])
    return np.asarray(shown @ loadings + 0.3 * random.standard_normal((len(factors), count)))


def made_up_smiles(random: np.random.Generator, count: int) -> list[str]:
    """Return different SMILES of made-up molecules."""
    smiles: dict[str, None] = {}
    while len(smiles) < count:
        parts = random.integers(1, 4)
        text = str(random.choice(ENDS))
        for _ in range(parts):
            text = str(random.choice(CORES)).format(str(random.choice(LINKS)) + text)
        smiles[text] = None
    return list(smiles)


def sample_sizes(block: Mapping[str, Any], defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of a sample: the defaults, replaced by those of `block["sample"]`.

    Raises:
        CallError: a size is unknown, or is not a whole number above 0.
    """
    given = block.get("sample", {})
    problems = [
        Problem("unknown", name, f"no such size of the sample{nearest(name, defaults)}")
        for name in given
        if name not in defaults
    ]
    problems += [
        Problem("value", name, f"expected a whole number above 0, not {value!r}")
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if problems:
        raise CallError(
            "no sample can be made with these sizes",
            problems=problems,
            untouched="nothing was written",
            hint=f"sizes: {', '.join(defaults)}",
        )
    return {name: int(given.get(name, default)) for name, default in defaults.items()}

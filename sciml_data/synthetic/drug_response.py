"""What samples of drug responses are made of: Hill curves, features that explain them, molecules.

Cells and drugs have a few hidden factors. Features show the factors through random loadings, and
the factors set where on the scale of doses a drug acts on a cell: so a model has something to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, Problem, nearest

FACTORS = 6
SLOPES = (1.0, 2.5)  # Hill slopes of made-up drugs
CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "C1CC({})CC1")
LINKS = ("C(=O)N", "O", "CC", "NC(=O)C", "S(=O)(=O)N", "COC", "N")
ENDS = ("C", "CC", "O", "N", "F", "Cl", "C(F)(F)F", "OC", "C#N", "C(=O)O", "N(C)C", "C(C)C", "CCO")
AUC_DOSES = np.linspace(4, 10, 121)  # -log10(mol/L): the fixed range that Uno's AUC is taken over


@dataclass(frozen=True)
class World:
    """Hidden truth of a sample: factors of cells and drugs, and what follows from them.

    Attributes:
        cells: (cell, factor).
        drugs: (drug, factor).
        potency: (cell, drug) -log10(mol/L) at half of the effect.
        depth: (drug,) share of cells that the drug kills at most.
        slope: (drug,) Hill slope.
    """

    cells: NDArray[np.float64]
    drugs: NDArray[np.float64]
    potency: NDArray[np.float64]
    depth: NDArray[np.float64]
    slope: NDArray[np.float64]

    def viability(
        self, cell: NDArray[np.int64], drug: NDArray[np.int64], dose: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how many cells live, of the untreated: 1 without effect; doses as everywhere."""
        above = self.slope[drug] * (dose - self.potency[cell, drug])
        return 1 - self.depth[drug] / (1 + 10 ** np.clip(above, -30, 30))


def world(random: np.random.Generator, cells: int, drugs: int) -> World:
    """Return the hidden truth of so many cells and drugs."""
    of_cells, of_drugs = (
        random.standard_normal((cells, FACTORS)),
        random.standard_normal((drugs, FACTORS)),
    )
    middle = random.uniform(5.0, 7.5, drugs)
    return World(
        cells=of_cells,
        drugs=of_drugs,
        potency=middle + 0.6 / np.sqrt(FACTORS) * of_cells @ of_drugs.T + 0.4 * of_cells[:, :1],
        depth=random.uniform(0.4, 1.0, drugs),
        slope=random.uniform(*SLOPES, drugs),
    )


def features(
    random: np.random.Generator, factors: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return (entity, count) numbers of mean 0 and deviation near 1 that show the factors."""
    loadings = random.standard_normal((factors.shape[1], count)) / np.sqrt(factors.shape[1])
    return np.asarray(factors @ loadings + 0.3 * random.standard_normal((len(factors), count)))


def made_up_smiles(random: np.random.Generator, count: int) -> list[str]:
    """Return SMILES of molecules that nobody has made, all different."""
    found: dict[str, None] = {}
    while len(found) < count:
        parts = random.integers(1, 4)
        text = str(random.choice(ENDS))
        for _ in range(parts):
            core = str(random.choice(CORES)).format(str(random.choice(LINKS)) + text)
            text = core
        found[text] = None
    return list(found)


def sizes(block: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of a sample: those of `block["sample"]`, else the defaults.

    Raises:
        CallError: a size that there is not, or that is no whole number above 0.
    """
    given = block.get("sample", {})
    problems = [
        Problem("unknown", name, f"no such size of the sample{nearest(name, known)}")
        for name in given
        if name not in known
    ]
    problems += [
        Problem("value", name, f"a whole number above 0 expected, {value!r} found")
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if problems:
        raise CallError(
            "the sample cannot have these sizes",
            problems=problems,
            untouched="nothing was written",
            hint=f"sizes: {', '.join(known)}",
        )
    return {name: int(given.get(name, default)) for name, default in known.items()}

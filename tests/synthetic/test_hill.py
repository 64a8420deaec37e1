"""Made-up curves have the noise and the spread that were measured in CCLE's files."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import skew

from sciml_data.formats.drug_response import AUC_DOSES
from sciml_data.synthetic.hill import make_viability_curves, measurement_noise

CELLS, DRUGS = np.meshgrid(np.arange(400), np.arange(24), indexing="ij")


@pytest.fixture(scope="module")
def areas() -> np.ndarray:
    curves = make_viability_curves(np.random.default_rng(0), 400, 24)
    viability = curves.viability(CELLS[..., None], DRUGS[..., None], AUC_DOSES)
    return np.asarray(viability.mean(axis=-1))


def test_replicates_spread_as_those_of_inactive_curves() -> None:
    """In CCLE the quartiles of a curve's deviation are 6.6, 9.9 and 14.4 % of the viability."""
    spread, noise = measurement_noise(np.random.default_rng(0), np.ones((20_000, 8)))

    quartiles = np.percentile(spread[:, 0], [25, 50, 75])
    assert quartiles == pytest.approx([0.066, 0.099, 0.144], rel=0.1)
    assert noise.std() == pytest.approx(0.104, rel=0.1)


def test_killed_cells_have_little_noise() -> None:
    alive, killed = (
        measurement_noise(np.random.default_rng(0), np.full((100, 8), viability))[0].mean()
        for viability in (1.0, 0.05)
    )

    assert killed < 0.15 * alive


def test_areas_spread_as_in_ccle(areas: np.ndarray) -> None:
    """There 0.161 over all areas, 0.133 between drugs, and 0.06 to 0.16 within a drug."""
    assert areas.std() == pytest.approx(0.161, rel=0.3)
    assert areas.mean(axis=0).std() == pytest.approx(0.133, rel=0.4)
    assert 0.05 < np.median(areas.std(axis=0)) < 0.11


def test_few_cells_are_far_more_sensitive_than_others(areas: np.ndarray) -> None:
    """In CCLE the skewness within a drug is -0.4 in the median, and down to -2.2."""
    assert np.median(skew(areas, axis=0)) < -0.4

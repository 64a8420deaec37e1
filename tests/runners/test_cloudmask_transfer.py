"""What classifiers of a pixel make of the real desert, fitted to the synthetic sample."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sciml_data.home import Home
from tests.support.paths import ROOT

SURFACE_LAND = 1


@pytest.fixture(scope="module")
def transfer() -> ModuleType:
    """Return the script of the transfer scores."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import cloudmask_transfer
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return cloudmask_transfer


def test_scores_are_accuracy_and_kuiper_skill(transfer: ModuleType) -> None:
    truth = np.array([True, True, False, False, False])
    said = np.array([True, False, True, False, False])

    assert transfer.scores(truth, said) == pytest.approx((0.6, 1 / 2 - 1 / 3))
    assert transfer.scores(truth, np.ones(5, bool)) == pytest.approx((0.4, 0.0))
    assert np.isnan(transfer.scores(np.ones(5, bool), said)[1])


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_classifiers_of_a_pixel_know_the_real_desert(
    transfer: ModuleType, shared: Path, home: Home
) -> None:
    """They called all of it cloud (accuracy 0.02) while the sample had no land."""
    size = ("count.training=24", "count.inference=8")  # 4 scenes, the default, know few deserts
    masks, _ = transfer.sample_masks(str(home.root), size)
    scenes = transfer.real_scenes(str(home.root), [f"file:{shared}/mirror"])
    place, scene, surface = next(scenes)
    land = scene.valid & (surface == SURFACE_LAND)

    assert place == "slstr_subset"
    for name in ("logistic", "boosting"):
        cloud = masks[name](scene)[land] >= 0.5
        accuracy, skill = transfer.scores(scene.cloud[land], cloud)
        assert accuracy >= 0.80, name
        assert skill >= 0.4, name  # calling all of it clear has accuracy 0.98 and skill 0

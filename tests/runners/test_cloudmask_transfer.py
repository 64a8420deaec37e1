"""What a pixel classifier of the synthetic sample makes of real sea and real desert."""

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
def test_a_pixel_classifier_of_the_sample_calls_the_real_desert_cloud(
    transfer: ModuleType, shared: Path, home: Home
) -> None:
    masks, _ = transfer.sample_masks(str(home.root), (), seed=0)
    found: dict[str, dict[str, float]] = {"logistic": {}, "pixel classifier": {}}
    for place, scene, surface in transfer.real_scenes(str(home.root), [f"file:{shared}/mirror"]):
        land = scene.valid & (surface == SURFACE_LAND)
        for name, accuracy in found.items():
            said = masks[name](scene)[land] >= 0.5
            accuracy[place] = round(transfer.scores(scene.cloud[land], said)[0], 2)

    # The sample has no land, so both call all of it cloud: the accuracy is the share of cloud. With
    # a generator that knows bright land, the accuracy over the desert should be 0.80 or more.
    everything_cloud = {"slstr_subset": 0.02, "aatsr": 0.56}
    assert found == {"logistic": everything_cloud, "pixel classifier": everything_cloud}

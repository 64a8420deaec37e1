"""The baselines have the scores of an independent computation on the real catalogue.

The expected values were computed from the same events with other code when the benchmark was
planned (research notes, section 6); they are rounded to three digits there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.interface import load_runner
from sciml_data.bench.scoring import baselines
from sciml_data.bench.scoring.forecast import nnse_averaged, nnse_summed
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.task import load_task
from sciml_data.formats import Native, load_format
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry

pytestmark = [pytest.mark.reference, pytest.mark.slow]

WINDOWS = (1, 2, 4, 7, 13, 26, 52, 104)
SPATIAL = "spatial-400-100"
PERIODS = {"train": ["1950-01-04", "2005-01-01"], "test": ["2005-01-01", "2020-01-01"]}
WITHIN = 0.01


@pytest.fixture(scope="module")
def ready(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Return the ready dataset of the mirrored native files."""
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    root = tmp_path_factory.mktemp("native")
    assert descriptor.manifest is not None
    paths = sorted(descriptor.manifest.by_path)
    for path in paths:
        url = descriptor.mirrors[0].url(path)
        assert url is not None
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).symlink_to(shared / "mirror" / url.removeprefix("https://"))
    native = Native(root, descriptor.folder, descriptor.native, tuple(paths))
    earthquake = load_format("earthquake")
    return earthquake.read(native, earthquake.shards(native, {})[0], {})


def prepared(ready: xr.Dataset, split: Split) -> Any:
    settings = resolve_settings(
        load_task(find_registry().runner("tevolop")), model="residual-lstm", split=SPATIAL
    )
    return load_runner(find_registry(), "tevolop").prepare(
        ready, split, {**settings, "features": ["own"]}
    )


@pytest.fixture(scope="module")
def spatial(ready: xr.Dataset) -> Any:
    return prepared(ready, load_split(find_registry().runner("tevolop"), SPATIAL))


@pytest.fixture(scope="module")
def by_time(ready: xr.Dataset) -> Mapping[str, Mapping[str, float]]:
    """Return the scores of each baseline from 2005 on, on the published pixels."""
    stored = load_split(find_registry().runner("tevolop"), SPATIAL).members
    pixels = [*stored["train"]["pixels"], *stored["validation"]["pixels"]]
    members = {
        name: {"pixels": pixels, "period": [start, end]} for name, (start, end) in PERIODS.items()
    }
    problem = prepared(ready, Split("by-time", "train before 2005", None, members, ""))
    return {name: problem.score(parts["test"]) for name, parts in problem.baselines().items()}


def test_there_are_as_many_samples_as_published_sequences(spatial: Any) -> None:
    assert spatial.sizes == {"train": 710_000, "validation": 177_500}


def test_persistence_on_all_published_pixels(spatial: Any) -> None:
    averaged = [0.408, 0.413, 0.416, 0.416, 0.414, 0.405, 0.389, 0.370]
    summed = [0.900, 0.893, 0.887, 0.866, 0.832, 0.781, 0.686, 0.550]

    observed = spatial.observed[:, 50:]
    forecast = baselines.persistence(spatial.observed, WINDOWS)[:, 50:]
    observed = np.where(np.isfinite(forecast), observed, np.nan)

    pairs = [(observed[..., index], forecast[..., index]) for index in range(8)]
    assert [nnse_averaged(*pair) for pair in pairs] == pytest.approx(averaged, abs=WITHIN)
    assert [nnse_summed(*pair) for pair in pairs] == pytest.approx(summed, abs=WITHIN)


def test_persistence_on_the_validation_pixels(spatial: Any) -> None:
    summed = [0.776, 0.786, 0.799, 0.781, 0.752, 0.759, 0.711, 0.542]

    scores = spatial.score(spatial.baselines()["persistence"]["validation"])

    assert [scores[f"nnse_summed.w{n}"] for n in WINDOWS] == pytest.approx(summed, abs=WITHIN)


def test_ridge_on_the_validation_pixels(spatial: Any) -> None:
    scores = spatial.score(spatial.baselines()["ridge"]["validation"])

    assert scores["nnse_averaged.w1"] == pytest.approx(0.538, abs=WITHIN)
    assert scores["nnse_summed.w1"] == pytest.approx(0.830, abs=WITHIN)
    assert scores["nnse_averaged.w26"] == pytest.approx(0.480, abs=0.015)
    assert scores["nnse_summed.w26"] == pytest.approx(0.779, abs=0.015)


@pytest.mark.parametrize(
    ("name", "fortnight", "year"),
    [("ridge", 0.496, 0.379), ("persistence", 0.386, 0.358), ("climatology", 0.468, 0.393)],
)
def test_baselines_from_2005_on(
    by_time: Mapping[str, Mapping[str, float]], name: str, fortnight: float, year: float
) -> None:
    assert by_time[name]["nnse_averaged.w1"] == pytest.approx(fortnight, abs=WITHIN)
    assert by_time[name]["nnse_averaged.w26"] == pytest.approx(year, abs=WITHIN)

"""The synthetic catalogue: deterministic, marked, in the native layout, and earthquake-like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data import convert_dataset, get_dataset, open_dataset
from sciml_data.formats.earthquake import Grid, pixel_of, read_anss, read_scedc
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.synthetic.earthquake import simulate, write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    write_sample(root, {}, 0)
    return root


def test_the_same_seed_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, {}, 0)

    assert manifest_of(sample).digest == manifest_of(tmp_path).digest


def test_another_seed_gives_another_catalogue(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, {}, 1)

    assert manifest_of(sample).digest != manifest_of(tmp_path).digest


def test_every_year_has_a_file_that_is_marked_synthetic_and_read_without_problems(
    sample: Path,
) -> None:
    files = sorted(path.relative_to(sample).as_posix() for path in sample.rglob("*.catalog"))

    events, problems = read_scedc(sample, files, {})

    assert [f"scedc/{year}.catalog" for year in range(1950, 2027)] == files
    assert problems == []
    assert 60_000 <= len(events) <= 130_000
    assert all("SYNTHETIC" in (sample / file).read_text("ascii")[:200] for file in files)
    assert (np.diff(events.time.astype(np.int64)) >= 0).all()
    assert len(events) == len(set(events.event_id.tolist()))


def test_magnitudes_follow_gutenberg_and_richter() -> None:
    magnitude = simulate(0).magnitude

    # Aki's estimate of b, with the known minimum of magnitudes
    b_value = np.log10(np.e) / (magnitude.mean() - 2.3)
    assert pytest.approx(b_value, abs=0.02) == 1.0


def test_earthquakes_come_in_clusters() -> None:
    day = simulate(0).day

    counts = np.bincount(day.astype(np.int64))
    # of independent events variance and mean would be the same
    assert counts.var() / counts.mean() > 5


def test_the_sample_of_a_list_is_that_of_california_on_another_grid(tmp_path: Path) -> None:
    native = load_descriptor(find_registry(), "tevolop_japan", "1.0").native
    write_sample(tmp_path, native, 0)

    (part,) = native["parts"]
    events, problems = read_anss(tmp_path, [part["files"]], part)

    assert problems == []
    assert 35_000 < len(events) < 65_000
    assert events.time[0] >= np.datetime64("1961-02-12")
    assert events.time[-1] < np.datetime64("2016-11-07")
    assert events.magnitude.min() == 4.0
    pixels = pixel_of(events.latitude, events.longitude, Grid(**native["grid"]))
    assert (pixels >= 0).mean() > 0.8


def test_the_sample_of_the_live_version_is_converted_and_has_the_same_earthquakes(
    sample: Path, tmp_path: Path
) -> None:
    get_dataset("tevolop_socal", version="live", sample=True, home=tmp_path)
    convert_dataset("tevolop_socal", version="live", sample=True, home=tmp_path)

    files = sorted(path.relative_to(sample).as_posix() for path in sample.rglob("*.catalog"))
    yearly, _ = read_scedc(sample, files, {})
    (listed,) = tmp_path.rglob("comcat/*.csv")
    assert listed.read_text("ascii").count("SYNTHETIC") == len(yearly)
    with open_dataset("tevolop_socal", version="live", sample=True, home=tmp_path) as dataset:
        assert dataset["event_id"].to_numpy().tolist() == yearly.event_id.tolist()
        np.testing.assert_array_equal(dataset["magnitude"], yearly.magnitude)
        np.testing.assert_array_equal(dataset["time"], yearly.time)

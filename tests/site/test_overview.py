"""Overviews of datasets: from a sample, deterministic, marked, small, and of every format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.home import Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.site.overview import OVERVIEW_NAME, draw_overview, find_ready_parts, read_overview
from sciml_data.site.overview.drawing import MAX_BYTES

REGISTRY = find_registry()
# One dataset of each kind of panels, with a sample that takes seconds; others have the same kind.
QUICK = ("hydronet_ds1", "em_graphene_sim", "dms_sim", "optical_damage_ds1", "cbed_si110")
WITHOUT = {"inelastic_ds1": "no format", "cloud_csmask": "real", "slstr_real_mini": "real"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def overview_of(name: str, home: Home) -> Any:
    descriptor = load_descriptor(REGISTRY, name)
    return draw_overview(find_ready_parts(descriptor, home, is_made=True))


@pytest.mark.parametrize("name", [*QUICK, "tevolop_japan", "uno_almanac"])
def test_a_sample_has_an_overview_that_is_small_and_says_synthetic(name: str, home: Home) -> None:
    overview = overview_of(name, home)
    with Image.open(io.BytesIO(overview.content)) as picture:
        size, form = picture.size, picture.format

    assert (form, size) == ("WEBP", (overview.width, overview.height))
    assert len(overview.content) <= MAX_BYTES
    assert f"What {name} " in overview.alt
    assert "a synthetic sample" in overview.alt
    assert overview.caption == (
        "Synthetic sample, seed 0: generated, and says nothing about nature."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REGISTRY.datasets() if name not in WITHOUT])
def test_every_dataset_with_a_sample_has_an_overview(name: str, home: Home) -> None:
    assert len(overview_of(name, home).content) <= MAX_BYTES


def test_equal_samples_give_equal_bytes(home: Home) -> None:
    assert overview_of("hydronet_ds1", home) == overview_of("hydronet_ds1", home)


def test_a_synthetic_overview_is_marked_and_another_is_not(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks: list[Any] = []
    monkeypatch.setattr("sciml_data.bench.drawing.mark_synthetic", marks.append)
    overview_of("hydronet_ds1", home)

    assert len(marks) == 1


def test_stored_overviews_are_those_of_their_datasets() -> None:
    without = []
    for name in REGISTRY.datasets():
        folder = load_descriptor(REGISTRY, name).folder.parent
        overview = read_overview(folder / OVERVIEW_NAME)
        if overview is None:
            without.append(name)
            continue
        assert f"What {name} " in overview.alt
        assert len(overview.content) <= MAX_BYTES
        assert ("synthetic" in overview.alt) == overview.caption.startswith("Synthetic sample")
        assert f"]({OVERVIEW_NAME})" in (folder / "README.md").read_text(encoding="utf-8")

    assert without == ["inelastic_ds1"]  # no format reads its files


def test_the_command_writes_a_picture(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "clusters.webp"
    words = ["overview", "hydronet_ds1", "--sample", "--to", str(target), "--home", str(home.root)]
    done = CliRunner().invoke(group, words)

    assert done.exit_code == 0, done.output
    assert done.stdout == f"{target}\n"
    assert read_overview(target) == overview_of("hydronet_ds1", home)


def test_a_dataset_that_cannot_be_drawn_says_why(home: Home) -> None:
    with pytest.raises(CallError, match="no format reads its files yet"):
        find_ready_parts(load_descriptor(REGISTRY, "inelastic_ds1"), home, is_made=True)
    with pytest.raises(CallError, match="no ready files and no sample are in the home"):
        find_ready_parts(load_descriptor(REGISTRY, "stemdl_reconst_ds1"), home)

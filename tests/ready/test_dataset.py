"""Opening ready files: lazily, as declared, or not at all."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, ConversionError
from sciml_data.formats.earthquake import fortnights
from sciml_data.home import Home
from sciml_data.ready import convert, open_dataset, open_ready
from sciml_data.ready import open as stage
from sciml_data.ready.open import combined_attributes
from sciml_data.registry.descriptor import Variable, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic import load_generator


@pytest.fixture(scope="module")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def converted(sample_home: Path) -> Converted:
    """Return the synthetic sample, converted in a home of its own."""
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    folder = Home(sample_home).dataset("tevolop_socal", "1.0", sample_seed=0)
    load_generator("earthquake").write_sample(folder.native, descriptor.native, 0)
    return convert(Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True))


@pytest.fixture
def no_dask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make dask look as if it were not installed."""
    found = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "dask" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    return iter(())


def declaring(converted: Converted, **variables: Variable | None) -> Converted:
    """Return the same files with some variables declared otherwise, None for not at all."""
    declared = dict(converted.descriptor.variables) | variables
    kept = {name: variable for name, variable in declared.items() if variable is not None}
    return replace(converted, descriptor=replace(converted.descriptor, variables=kept))


def test_a_converted_dataset_is_opened_as_declared(converted: Converted, sample_home: Path) -> None:
    with open_dataset("tevolop_socal", version="1.0", sample=True, home=sample_home) as dataset:
        assert set(converted.descriptor.variables) == set(map(str, dataset.variables))
        assert dataset.attrs["synthetic"] == "true"
        assert np.datetime64("1950-01-01") == dataset["time"].to_numpy()[0].astype("M8[D]")


def test_no_values_are_read_when_it_is_opened(converted: Converted) -> None:
    pytest.importorskip("dask")
    with open_ready(converted) as dataset:
        assert dataset["magnitude"].chunks is not None


def test_no_values_are_read_without_dask_either(converted: Converted, no_dask: None) -> None:
    with open_ready(converted) as dataset:
        assert dataset["magnitude"].chunks is None
        assert not dataset["magnitude"].variable._in_memory


def test_what_differs_from_the_declaration_is_said_all_at_once(converted: Converted) -> None:
    known = converted.descriptor.variables
    wrong = declaring(
        converted,
        depth=replace(known["depth"], units="m"),
        latitude=replace(known["latitude"], dtype="float32"),
        fault_group=replace(known["fault_group"], dims=("event",)),
        quality=None,
        energy=Variable(("event",), "float64", "J", "energy"),
    )

    with pytest.raises(ConversionError) as error:
        open_ready(wrong)

    assert {
        ("units", "depth"),
        ("dtype", "latitude"),
        ("dims", "fault_group"),
        ("unexpected", "quality"),
        ("missing", "energy"),
    } == {(problem.kind, problem.place) for problem in error.value.problems}
    assert "m declared, km in the files" in str(error.value)


def test_what_was_not_converted_names_the_command_to_type(home: Home) -> None:
    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0")

    which = "tevolop_socal --version 1.0"
    assert error.value.hint == f"sciml-data get {which} && sciml-data convert {which}"
    assert error.value.exit_code == 2


def test_what_was_fetched_has_only_to_be_converted(home: Home) -> None:
    home.dataset("tevolop_socal", "1.0").native.mkdir(parents=True)

    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0")

    assert error.value.hint == "sciml-data convert tevolop_socal --version 1.0"


def test_a_sample_that_was_not_converted_names_its_own_command(home: Home) -> None:
    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0", sample=True, sample_seed=7)

    assert error.value.hint.endswith("--version 1.0 --sample --sample-seed 7")


def test_a_view_is_made_with_its_options(converted: Converted) -> None:
    with open_ready(converted) as dataset:
        expected = fortnights(dataset, floor="reference", start="2000-01-01")

    found = open_ready(converted, view="fortnights", floor="reference", start="2000-01-01")

    xr.testing.assert_identical(expected, found)
    assert found.attrs["synthetic"] == "true"
    assert found.attrs["floor"] == "reference"


def test_a_view_that_does_not_exist_names_the_nearest(converted: Converted) -> None:
    with pytest.raises(CallError, match="did you mean 'fortnights'"):
        open_ready(converted, view="fortnigths")


def test_an_option_that_a_view_does_not_have_is_refused_with_those_it_has(
    converted: Converted,
) -> None:
    with pytest.raises(CallError) as error:
        open_ready(converted, view="fortnights", flor="clean")

    assert "did you mean 'floor'" in str(error.value)
    assert error.value.hint == "options of fortnights: start, end, floor"


def test_options_without_a_view_are_refused(converted: Converted) -> None:
    with pytest.raises(CallError, match="floor"):
        open_ready(converted, floor="clean")


def test_a_split_that_does_not_exist_is_refused_with_those_there_are(converted: Converted) -> None:
    with pytest.raises(CallError) as error:
        open_ready(converted, split="train")

    assert error.value.hint == "splits: all"


def test_files_of_one_split_follow_one_another(tmp_path: Path) -> None:
    pytest.importorskip("dask")
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for number, path in enumerate(paths):
        part = xr.Dataset({"x": ("scene", [number, number])}, attrs={"shard_dimension": "scene"})
        part.to_netcdf(path, engine="h5netcdf")

    with stage._open_files(paths) as dataset:
        assert dataset["x"].to_numpy().tolist() == [0, 0, 1, 1]


def test_several_files_without_dask_name_what_to_install(tmp_path: Path, no_dask: None) -> None:
    path = tmp_path / "a.nc"
    xr.Dataset({"x": ("scene", [1])}).to_netcdf(path, engine="h5netcdf")

    with pytest.raises(CallError, match="dask") as error:
        stage._open_files([path, path])

    assert "sciml-data[cluster]" in error.value.hint


def test_counts_of_samples_are_summed_over_files() -> None:
    parts = [
        {"samples_read": 3, "samples_dropped": '{"finite": 1}', "dropped_samples": "a: x"},
        {"samples_read": 4, "samples_dropped": '{"finite": 1, "label": 2}', "dropped_samples": "b"},
    ]

    together = combined_attributes(parts)

    assert together["samples_read"] == 7
    assert json.loads(together["samples_dropped"]) == {"finite": 2, "label": 2}
    assert together["dropped_samples"] == "a: x\nb"

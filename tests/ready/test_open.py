"""Opening ready files: lazily, as declared, several files as one dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, ConversionError
from sciml_data.formats.earthquake import fortnights
from sciml_data.home import Home
from sciml_data.ready import convert, open_dataset, open_ready, write_netcdf
from sciml_data.ready import open as stage
from sciml_data.ready.folder import write_manifest, write_record
from sciml_data.ready.open import combined_attributes
from sciml_data.registry.descriptor import Descriptor, Variable, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic import load_generator
from sciml_data.testing.datasets import write_unpinned


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


def declaring(converted: Converted, **variables: Variable | None) -> Converted:
    """Return the same files with some variables declared otherwise, None for not at all."""
    declared = dict(converted.descriptor.variables) | variables
    present = {name: variable for name, variable in declared.items() if variable is not None}
    return replace(converted, descriptor=replace(converted.descriptor, variables=present))


def test_a_converted_dataset_is_opened_as_declared(converted: Converted, sample_home: Path) -> None:
    with open_dataset("tevolop_socal", version="1.0", sample=True, home=sample_home) as dataset:
        assert set(converted.descriptor.variables) == set(map(str, dataset.variables))
        assert dataset.attrs["synthetic"] == "true"
        assert np.datetime64("1950-01-01") == dataset["time"].to_numpy()[0].astype("M8[D]")


def test_no_values_are_read_when_it_is_opened(converted: Converted) -> None:
    with open_ready(converted) as dataset:
        assert dataset["magnitude"].chunks is not None


def test_all_differences_from_the_declaration_are_named_at_once(converted: Converted) -> None:
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


def test_a_dataset_that_was_not_fetched_needs_two_commands(home: Home) -> None:
    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0")

    which = "tevolop_socal --version 1.0"
    assert error.value.hint == f"sciml-data get {which} && sciml-data convert {which}"
    assert error.value.exit_code == 2


def test_a_fetched_dataset_needs_only_the_conversion(home: Home) -> None:
    home.dataset("tevolop_socal", "1.0").native.mkdir(parents=True)

    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0")

    assert error.value.hint == "sciml-data convert tevolop_socal --version 1.0"


def test_a_sample_that_was_not_converted_needs_its_own_command(home: Home) -> None:
    with pytest.raises(CallError) as error:
        open_dataset("tevolop_socal", version="1.0", sample=True, sample_seed=7)

    assert error.value.hint.endswith("--version 1.0 --sample --sample-seed 7")


def test_a_view_is_made_with_its_options(converted: Converted) -> None:
    with open_ready(converted) as dataset:
        expected = fortnights(dataset, floor="reference", start="2000-01-01")

    view = open_ready(converted, view="fortnights", floor="reference", start="2000-01-01")

    xr.testing.assert_identical(expected, view)
    assert view.attrs["synthetic"] == "true"
    assert view.attrs["floor"] == "reference"


def test_a_view_that_does_not_exist_names_the_nearest(converted: Converted) -> None:
    with pytest.raises(CallError, match="did you mean 'fortnights'"):
        open_ready(converted, view="fortnigths")


def test_an_option_that_a_view_does_not_have_is_refused_with_the_known_ones(
    converted: Converted,
) -> None:
    with pytest.raises(CallError) as error:
        open_ready(converted, view="fortnights", flor="clean")

    assert "did you mean 'floor'" in str(error.value)
    assert error.value.hint == "options of fortnights: start, end, floor"


def test_options_without_a_view_are_refused(converted: Converted) -> None:
    with pytest.raises(CallError, match="floor"):
        open_ready(converted, floor="clean")


def test_a_split_that_does_not_exist_is_refused_with_the_known_ones(converted: Converted) -> None:
    with pytest.raises(CallError) as error:
        open_ready(converted, split="train")

    assert error.value.hint == "splits: all"


def test_files_of_a_split_are_concatenated(tmp_path: Path) -> None:
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for number, path in enumerate(paths):
        part = xr.Dataset({"x": ("scene", [number, number])}, attrs={"shard_dimension": "scene"})
        part.to_netcdf(path, engine="h5netcdf")

    with stage._open_files(paths) as dataset:
        assert dataset["x"].to_numpy().tolist() == [0, 0, 1, 1]


def test_counts_of_samples_are_summed_over_files() -> None:
    parts = [
        {"samples_read": 3, "samples_dropped": '{"finite": 1}', "dropped_samples": "a: x"},
        {"samples_read": 4, "samples_dropped": '{"finite": 1, "label": 2}', "dropped_samples": "b"},
    ]

    combined = combined_attributes(parts)

    assert combined["samples_read"] == 7
    assert json.loads(combined["samples_dropped"]) == {"finite": 2, "label": 2}
    assert combined["dropped_samples"] == "a: x\nb"


# --- a split in many files -----------------------------------------------------------------------

FLOAT = Variable(("visit",), "float64", None, "measured")
DECLARED = {
    "measured": FLOAT,
    "place_index": Variable(("visit",), "int64", None, "where"),
    "height": replace(FLOAT, dims=("place",)),
    "name": Variable(("kind",), "S", None, "of a kind"),
}


def visits(measured: Sequence[float], **attributes: Any) -> xr.Dataset:
    variables = {
        "measured": ("visit", np.array(measured)),
        "place_index": ("visit", np.arange(len(measured))),
        "name": ("kind", np.array([b"one", b"two"])),
    }
    return xr.Dataset(variables, attrs={"shard_dimension": "visit", **attributes})


def places(height: Sequence[float]) -> xr.Dataset:
    return xr.Dataset({"height": ("place", list(height))}, attrs={"shard_dimension": "place"})


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    written = write_unpinned(tmp_path / "registry", mirrors=[{"": "https://one.example/"}])
    return replace(written, variables=DECLARED)


def ready(descriptor: Descriptor, root: Path, files: dict[str, xr.Dataset]) -> Converted:
    root.mkdir()
    for name, dataset in files.items():
        write_netcdf(dataset, root / name)
    manifest = manifest_of(root)
    write_record(root, {"splits": {"all": list(files)}})
    write_manifest(root, manifest)
    return Converted(descriptor, root, manifest, "")


def test_files_of_two_dimensions_are_opened_as_one(descriptor: Descriptor, tmp_path: Path) -> None:
    files = {
        "places-0.nc": places([10.0]),
        "places-1.nc": places([20.0, 30.0]),
        "visits-0.nc": visits([1.0, 2.0], rows_read=3, native_files="a\nb", notices="x"),
        "visits-1.nc": visits([3.0], rows_read=1, native_files="b\nc"),
    }

    with open_ready(ready(descriptor, tmp_path / "ready", files)) as dataset:
        assert dataset["measured"].values.tolist() == [1.0, 2.0, 3.0]
        assert dataset["place_index"].values.tolist() == [0, 1, 0]
        assert dataset["height"].values.tolist() == [10.0, 20.0, 30.0]
        assert dataset["name"].values.tolist() == [b"one", b"two"]
        assert dataset.attrs["rows_read"] == 4
        assert dataset.attrs["native_files"] == "a\nb\nc"
        assert dataset.attrs["notices"] == "x"
        assert "shard_dimension" not in dataset.attrs


def test_a_table_in_a_single_file_is_merged(descriptor: Descriptor, tmp_path: Path) -> None:
    table = places([10.0, 20.0])
    del table.attrs["shard_dimension"]
    files = {"places.nc": table, "visits-0.nc": visits([1.0]), "visits-1.nc": visits([])}

    with open_ready(ready(descriptor, tmp_path / "ready", files)) as dataset:
        assert dict(dataset.sizes) == {"place": 2, "visit": 1, "kind": 2}
        assert not dataset["measured"].variable._in_memory


def test_counts_in_json_are_summed_and_a_digest_that_differs_is_left_out() -> None:
    parts: list[dict[str, Any]] = [
        {
            "rows_by_source": json.dumps({"a": {"read": 2}}),
            "native_files_sha256": "1",
            "title": "t",
        },
        {"rows_by_source": json.dumps({"a": {"read": 3}, "b": {"kept": 1}})},
        {"native_files_sha256": "2", "title": "another", "rows_kept": np.int64(5)},
    ]

    combined = combined_attributes(parts)

    assert json.loads(combined["rows_by_source"]) == {"a": {"read": 5}, "b": {"kept": 1}}
    assert combined["rows_kept"] == 5
    assert combined["title"] == "t"
    assert "native_files_sha256" not in combined

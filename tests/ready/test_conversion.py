"""Conversion: the same bytes each time, no file made twice, no unfinished file visible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import (
    CallError,
    ConversionError,
    NativeFormatError,
    Problem,
    VerificationError,
)
from sciml_data.formats import Native, Shard
from sciml_data.home import DatasetFolder
from sciml_data.ready import (
    convert,
    find_converted,
    ready_folder,
    ready_problems,
    shards_of_split,
)
from sciml_data.ready.conversion import READY_FORM
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import hash_file, manifest_of
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic import load_generator
from tests.support.damage import flip


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    return load_descriptor(find_registry(), "tevolop_socal", "1.0")


@pytest.fixture(scope="module")
def sample(descriptor: Descriptor, tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """Return the synthetic sample as verified native files."""
    folder = DatasetFolder(tmp_path_factory.mktemp("sample"))
    load_generator("earthquake").write_sample(folder.native, descriptor.native, 0)
    return Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)


@pytest.fixture(scope="module")
def converted(sample: Verified) -> Converted:
    return convert(sample)


class Toy:
    """A reader of three shards of which each can be made to fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.failing: set[str] = set()

    def shards(self, native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
        if options.keys() - {"scale"}:
            raise CallError("no such option")
        names = (("a.nc", "train"), ("b.nc", "train"), ("c.nc", "test"))
        return tuple(Shard(name, split, native.paths) for name, split in names)

    def read(self, native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
        self.made.append(shard.name)
        if shard.name in self.failing:
            problems = [Problem("malformed", f"{shard.name}:1", "nonsense")]
            raise NativeFormatError(f"cannot read for {shard.name}", problems=problems)
        assert native.paths == shard.inputs
        return xr.Dataset({"x": ("row", np.arange(3) * options.get("scale", 1))})

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        raise NotImplementedError


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    reader = Toy()
    for module in ("conversion", "shards"):
        monkeypatch.setattr(f"sciml_data.ready.{module}.load_format", lambda *_: reader)
    return reader


@pytest.fixture
def toy_files(descriptor: Descriptor, tmp_path: Path) -> Verified:
    folder = DatasetFolder(tmp_path / "toy")
    folder.native.mkdir(parents=True)
    (folder.native / "text").write_text("1 2 3\n", encoding="ascii")
    return Verified(descriptor, folder, manifest_of(folder.native))


def test_converting_twice_gives_the_same_bytes(
    sample: Verified, converted: Converted, tmp_path: Path
) -> None:
    elsewhere = DatasetFolder(tmp_path)
    elsewhere.native.symlink_to(sample.root)
    verified = Verified(sample.descriptor, elsewhere, sample.manifest, is_synthetic=True)
    again = convert(verified)

    assert converted.root != again.root
    assert converted.manifest.digest == again.manifest.digest


def test_a_ready_file_has_no_creation_time(converted: Converted) -> None:
    # HDF5 file format 3.0, IV.A.1.b: bit 5 of a header's flags says that times follow
    data = (converted.root / "events.nc").read_bytes()
    root_group = data.index(b"OHDR\x02")

    assert data[root_group + 5] & 0b100000 == 0


def test_the_manifest_has_the_hash_of_every_ready_file(converted: Converted) -> None:
    assert [entry.path for entry in converted.manifest] == ["events.nc"]
    entry = converted.manifest.by_path["events.nc"]
    assert entry.hash == hash_file(converted.root / "events.nc")
    assert entry.size_bytes == (converted.root / "events.nc").stat().st_size


def test_a_ready_file_names_its_origin(sample: Verified, converted: Converted) -> None:
    with xr.open_dataset(converted.root / "events.nc", engine="h5netcdf") as dataset:
        attributes = dataset.attrs

    assert attributes["dataset"] == "tevolop_socal"
    assert attributes["dataset_version"] == "1.0"
    assert sample.manifest.digest == attributes["native_files_sha256"] == converted.native_digest
    assert attributes["sciml_data_version"] == READY_FORM
    assert json.loads(attributes["conversion_options"]) == {}
    assert attributes["synthetic"] == "true"
    assert attributes["title"].startswith("SYNTHETIC")
    assert attributes["Conventions"] == "CF-1.11, ACDD-1.3"
    assert attributes["history"].startswith("converted by sciml-data ")


def test_a_synthetic_ready_file_claims_no_place_instrument_or_maker_of_the_real_data(
    converted: Converted,
) -> None:
    with xr.open_dataset(converted.root / "events.nc", engine="h5netcdf") as dataset:
        attributes = dataset.attrs

    claims = ("geospatial_lat_resolution", "instrument", "platform", "publisher_", "creator_url")
    assert [name for name in attributes if name.startswith(claims)] == []
    assert attributes["summary"].startswith("Synthetic sample: ")
    assert attributes["creator_name"] == "sciml-data"


def test_a_real_ready_file_has_the_coverage_of_its_descriptor(
    sample: Verified, tmp_path: Path
) -> None:
    elsewhere = DatasetFolder(tmp_path)
    elsewhere.native.symlink_to(sample.root)
    made = convert(Verified(sample.descriptor, elsewhere, sample.manifest, is_synthetic=False))
    with xr.open_dataset(made.root / "events.nc", engine="h5netcdf") as dataset:
        attributes = dataset.attrs

    coverage = sample.descriptor.document["sciml"]["coverage"]
    assert attributes["id"] == "tevolop_socal/1.0"
    assert attributes["summary"] == sample.descriptor.description
    assert attributes["creator_name"].startswith("Southern California Earthquake Data Center")
    assert attributes["creator_type"] == "institution; institution"
    assert attributes["geospatial_bounds_crs"] == coverage["spatial"]["crs"]
    assert attributes["geospatial_lat_resolution"] == "0.1 degree"
    assert attributes["time_coverage_start"] > coverage["temporal"]["start"]  # that of the file
    assert attributes["time_coverage_resolution"] == "P1D"
    assert attributes["instrument"] == "seismometers"


def test_every_variable_has_a_long_name_and_every_flag_a_meaning(
    converted: Converted,
) -> None:
    with xr.open_dataset(converted.root / "events.nc", engine="h5netcdf") as dataset:
        for name, variable in dataset.variables.items():
            assert variable.attrs["long_name"], name
            if "flag_values" in variable.attrs:
                meanings = variable.attrs["flag_meanings"].split()
                assert len(meanings) == len(variable.attrs["flag_values"]), name
                assert variable.dtype == variable.attrs["flag_values"].dtype


def test_only_gzip_and_shuffle_are_used_so_that_any_hdf5_library_reads_the_file(
    converted: Converted,
) -> None:
    with h5py.File(converted.root / "events.nc") as file:
        filters = {
            plist.get_filter(place)[0]
            for dataset in file.values()
            for plist in [dataset.id.get_create_plist()]
            for place in range(plist.get_nfilters())
        }

    assert {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE} == filters


def test_existing_ready_files_are_not_made_again(toy: Toy, toy_files: Verified) -> None:
    first = convert(toy_files)
    lines: list[str] = []

    second = convert(toy_files, log=lines.append)

    assert toy.made == ["a.nc", "b.nc", "c.nc"]
    assert first == second
    assert lines == ["nothing to convert: 3 ready files found"]


def test_after_a_failure_only_the_missing_files_are_made(toy: Toy, toy_files: Verified) -> None:
    toy.failing = {"b.nc"}
    with pytest.raises(NativeFormatError):
        convert(toy_files)
    assert find_converted(toy_files.descriptor, toy_files.folder) is None
    toy.failing, toy.made = set(), []

    converted = convert(toy_files)

    assert toy.made == ["b.nc"]
    assert [entry.path for entry in converted.manifest] == ["a.nc", "b.nc", "c.nc"]


def test_a_file_that_could_not_be_made_leaves_nothing_behind(
    toy: Toy, toy_files: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_memory: int, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("sciml_data.ready.shards._copy", half)

    with pytest.raises(ConversionError, match="no space"):
        convert(toy_files)

    left = {path.name for path in ready_folder(toy_files.folder, {}).iterdir()}
    assert left == {"conversion.json", "shards.jsonl", "problems.txt"}


def test_all_shards_are_tried_and_all_problems_are_named_at_once(
    toy: Toy, toy_files: Verified
) -> None:
    toy.failing = {"a.nc", "c.nc"}

    with pytest.raises(NativeFormatError) as error:
        convert(toy_files)

    assert [problem.place for problem in error.value.problems] == ["a.nc:1", "c.nc:1"]
    assert toy.made == ["a.nc", "b.nc", "c.nc"]


def test_changed_native_files_are_converted_again(toy: Toy, toy_files: Verified) -> None:
    first = convert(toy_files)
    (toy_files.root / "text").write_text("changed\n", encoding="ascii")
    changed = Verified(toy_files.descriptor, toy_files.folder, manifest_of(toy_files.root))

    second = convert(changed)

    assert len(toy.made) == 6
    assert first.root == second.root
    assert first.native_digest != second.native_digest


def test_again_makes_every_file_again(toy: Toy, toy_files: Verified) -> None:
    convert(toy_files)
    convert(toy_files, again=True)

    assert len(toy.made) == 6


def test_each_set_of_options_has_a_folder_of_its_own(toy: Toy, toy_files: Verified) -> None:
    plain = convert(toy_files)
    scaled = convert(toy_files, options={"scale": 2})

    assert plain.root != scaled.root
    existing = find_converted(toy_files.descriptor, toy_files.folder, {"scale": 2})
    assert existing is not None
    assert dict(existing.options) == {"scale": 2}
    with xr.open_dataset(scaled.root / "a.nc", engine="h5netcdf") as dataset:
        assert dataset["x"].to_numpy().tolist() == [0, 2, 4]


def test_the_files_of_each_split_are_known(toy: Toy, toy_files: Verified) -> None:
    converted = convert(toy_files)

    assert shards_of_split(converted) == {"train": ["a.nc", "b.nc"], "test": ["c.nc"]}
    assert shards_of_split(converted, "test") == {"test": ["c.nc"]}


def test_an_executor_of_the_callers_makes_the_shards(toy: Toy, toy_files: Verified) -> None:
    with ThreadPoolExecutor(1) as executor:
        converted = convert(toy_files, workers=executor)
        still_open = executor.submit(int, "1").result()

    assert still_open == 1
    assert len(converted.manifest) == 3


def test_throughput_is_logged(toy: Toy, toy_files: Verified) -> None:
    lines: list[str] = []

    steps: list[tuple[int, int]] = []

    convert(toy_files, log=lines.append, progress=lambda *sizes: steps.append(sizes))

    (line,) = lines
    assert line.startswith("converted 6 bytes of native files into ")
    assert line.endswith("MB/s written")
    assert steps == [(0, 6), (2, 6), (4, 6), (6, 6)]  # one file that three shards share


def test_an_option_that_the_format_does_not_know_is_refused(sample: Verified) -> None:
    with pytest.raises(CallError, match="floor"):
        convert(sample, options={"floor": "clean"})


def test_native_files_out_of_format_are_named_and_nothing_is_published(
    descriptor: Descriptor, tmp_path: Path
) -> None:
    folder = DatasetFolder(tmp_path)
    (folder.native / "scedc").mkdir(parents=True)
    (folder.native / "scedc" / "2000.catalog").write_text("nonsense\n", encoding="ascii")
    verified = Verified(descriptor, folder, manifest_of(folder.native))

    with pytest.raises(NativeFormatError) as error:
        convert(verified)

    assert "scedc/2000.catalog:1" in str(error.value)
    assert find_converted(descriptor, folder) is None


@pytest.mark.usefixtures("toy")
def test_a_flipped_byte_in_any_file_is_named_or_changes_no_value_and_is_repaired(
    toy_files: Verified,
) -> None:
    """Data, lists, record, journal and stat cache: every 13th byte of each, one at a time."""
    first = convert(toy_files)
    before = {path.name: path.read_bytes() for path in first.root.iterdir()}
    data = {entry.path for entry in first.manifest}
    names = [name for name in before for _ in range(0, len(before[name]), 13)]
    offsets = [offset for content in before.values() for offset in range(0, len(content), 13)]
    step = max(1, len(names) // 300)  # most bytes are in the data, all of them alike
    assert {*data, "conversion.json", "manifest.csv"} < set(names[::step])

    for name, offset in zip(names[::step], offsets[::step], strict=True):
        flip(first.root / name, offset)
        try:
            converted = find_converted(toy_files.descriptor, toy_files.folder)
            problems = [] if converted is None else ready_problems(converted)
        except VerificationError as error:
            converted, problems = None, list(error.problems)

        if converted is not None and not problems:
            assert name not in data
            assert converted.manifest == first.manifest
        assert convert(toy_files).manifest == first.manifest
        for each in (*data, "conversion.json", "manifest.csv"):
            assert (first.root / each).read_bytes() == before[each], (name, offset, each)

"""Stacks of HDF5 groups become ready samples, and each that cannot is named and counted."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, Shard, cbed_hdf5
from sciml_data.home import DatasetFolder, Home
from sciml_data.ready import convert, find_converted, write_netcdf
from sciml_data.ready.open import declaration_problems, open_ready
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
from tests.support import native_files
from tests.support.cbed_files import ATTRIBUTES, SHAPE, SIZE, Sample, stack, write_hdf5
from tests.support.native_files import dropped, read_only_shard, reopened
from tests.support.problems import kinds_and_places

FILE = "train/batch_train_0.h5"


@pytest.fixture
def descriptor() -> Descriptor:
    return load_descriptor(find_registry(), "stemdl_cbed", "1.0")


def native_of(root: Path) -> Native:
    return native_files.native_of(root, load_descriptor(find_registry(), "stemdl_cbed", "1.0"))


def read(root: Path, samples: dict[str, Sample] | None = None, **options: Any) -> xr.Dataset:
    """Return the ready form of one file, as it comes back from the disk."""
    if samples is not None:
        write_hdf5(root / FILE, samples)
    dataset = read_only_shard(cbed_hdf5, native_of(root), **options)
    return reopened(dataset, root.parent / "ready.nc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "native"


def noted(dataset: xr.Dataset) -> dict[str, int]:
    counts: dict[str, int] = json.loads(dataset.attrs["samples_noted"])
    return counts


def texts(dataset: xr.Dataset, name: str) -> list[str]:
    return [text.decode() for text in dataset[name].values]


# --- what is sound -------------------------------------------------------------------------------


def test_a_sample_comes_with_all_that_its_group_says(root: Path, descriptor: Descriptor) -> None:
    dataset = read(root, {"sample_3_0": Sample()})

    np.testing.assert_array_equal(dataset["cbed_stack"][0], stack(sum(map(ord, "sample_3_0"))))
    assert dataset["space_group"].values.tolist() == [2]
    assert dataset["space_group"].attrs["valid_range"].tolist() == [1, 230]
    assert texts(dataset, "material") == ["mp-763064"]
    assert texts(dataset, "formula") == ["Fe8 O14 F2"]
    assert texts(dataset, "native_file") == [FILE]
    assert texts(dataset, "native_sample") == ["sample_3_0"]
    assert dataset["energy"].values.tolist() == [100]
    for name, attribute in (
        ("lattice_length", "abc_angstrom"),
        ("lattice_angle", "angles_degree"),
        ("semi_angle", "semi_angles_rad"),
        ("plane_spacing", "d_hkls_angstrom"),
        ("beam_direction", "z_dirs"),
    ):
        expected = np.float32(ATTRIBUTES[attribute]).reshape(dataset[name].shape[1:])
        np.testing.assert_array_equal(dataset[name][0], expected)
    assert declaration_problems(dataset, descriptor.variables) == []
    assert (dataset.attrs["samples_read"], dataset.attrs["samples_kept"]) == (1, 1)
    assert (dropped(dataset), noted(dataset)) == ({}, {})
    assert "notices" not in dataset.attrs


def test_intensities_beyond_float16_and_zero_corners_stay_what_they_are(root: Path) -> None:
    values = read(root, {"sample_0_0": Sample()})["cbed_stack"].values

    assert values.dtype == np.float32
    assert values.max() > np.finfo(np.float16).max
    assert np.isfinite(values).all()
    assert (values[..., 0, 0] == 0).all()


def test_samples_are_in_the_order_of_their_numbers_with_gaps_and_missing_energies(
    root: Path,
) -> None:
    names = ["sample_10_0", "sample_2_3", "sample_2_1", "sample_0_0", "sample_2_10"]

    dataset = read(root, dict.fromkeys(names, Sample()))

    ordered = ["sample_0_0", "sample_2_1", "sample_2_3", "sample_2_10", "sample_10_0"]
    assert texts(dataset, "native_sample") == ordered
    for at, name in enumerate(ordered):
        np.testing.assert_array_equal(dataset["cbed_stack"][at], stack(sum(map(ord, name))))


@pytest.mark.parametrize(
    "written",
    [np.bytes_("225"), "225", b"225", 225, np.array([b"225"])],
    ids=["bytes_", "str", "bytes", "int", "array"],
)
def test_the_label_may_be_bytes_text_or_a_number(root: Path, written: Any) -> None:
    dataset = read(root, {"sample_0_0": Sample({"space_group": written})})

    assert dataset["space_group"].values.tolist() == [225]


@pytest.mark.parametrize(
    "written",
    [np.bytes_("mp-1"), "mp-1", np.array(["mp-1"], "S8")],
    ids=["bytes_", "str", "array"],
)
def test_material_and_formula_may_be_bytes_or_text(root: Path, written: Any) -> None:
    dataset = read(root, {"sample_0_0": Sample({"material": written, "formula": written})})

    assert (texts(dataset, "material"), texts(dataset, "formula")) == (["mp-1"], ["mp-1"])


def test_vectors_of_longer_floats_and_other_shapes_come_as_numbers(root: Path) -> None:
    lengths = np.array([5.25, 5.5, 9.75], np.longdouble)
    changed = {
        "abc_angstrom": lengths,
        "angles_degree": np.array([[90, 90, 120]], np.int32),
        "energy_keV": np.array([190.0], ">f4"),
    }

    dataset = read(root, {"sample_0_0": Sample(changed)})

    assert dataset["lattice_length"].values.tolist() == [[5.25, 5.5, 9.75]]
    assert dataset["lattice_angle"].values.tolist() == [[90, 90, 120]]
    assert dataset["energy"].values.tolist() == [190]
    assert noted(dataset) == {}


def test_stacks_of_the_other_byte_order_are_read(root: Path) -> None:
    dataset = read(root, {"sample_0_0": Sample(stack=stack(7).astype(">f4"))})

    np.testing.assert_array_equal(dataset["cbed_stack"][0], stack(7))


def test_a_published_file_has_512_pixels(root: Path) -> None:
    whole = np.ones((3, 512, 512), np.float32)
    write_hdf5(root / FILE, {"sample_0_0": Sample(stack=whole), "sample_1_0": Sample()}, size=None)

    dataset = read(root)

    assert dataset["cbed_stack"].shape == (1, 3, 512, 512)
    assert dropped(dataset) == {"shape": 1}


def test_one_sample_is_one_chunk(root: Path) -> None:
    read(root, {f"sample_{number}_0": Sample() for number in range(5)})

    with h5py.File(root.parent / "ready.nc") as file:
        assert file["cbed_stack"].chunks == (1, *SHAPE)
        assert file["cbed_stack"].id.get_num_chunks() == 5


# --- what is not ---------------------------------------------------------------------------------


def _nan(values: Any) -> Any:
    values[1, 2, 3] = np.nan
    return values


def _infinite(values: Any) -> Any:
    values[2, 0, 0] = np.inf
    return values


def _negative(values: Any) -> Any:
    values[0, 4, 4] = -1e-3
    return values


def _dark(values: Any) -> Any:
    values[2] = 0
    return values


def numbered(cases: Sequence[tuple[str, Any, str]]) -> list[str]:
    return [f"{kind}-{number}" for number, (kind, _, _) in enumerate(cases)]


BAD_STACKS: list[tuple[str, Any, str]] = [
    ("finite", _nan(stack()), "1 pixels are not finite numbers, pattern 1"),
    ("finite", _infinite(stack()), "1 pixels are not finite numbers, pattern 2"),
    ("finite", np.full(SHAPE, np.nan, np.float32), "192 pixels are not finite numbers"),
    ("negative", _negative(stack()), "an intensity is -0.001, below zero"),
    ("dark", _dark(stack()), "a pattern is zero everywhere"),
    ("shape", stack()[:2], "(3, 8, 8) expected, (2, 8, 8) found"),
    ("shape", np.ones((3, 9, 8), np.float32), "(3, 8, 8) expected, (3, 9, 8) found"),
    ("shape", np.float32(1), "(3, 8, 8) expected, () found"),
    ("dtype", np.ones(SHAPE, np.float16), "float32 expected, float16 found"),
    ("dtype", np.ones(SHAPE, np.int64), "float32 expected, int64 found"),
]
BAD_ATTRIBUTES: list[tuple[str, dict[str, Any], str]] = [
    ("label", {"space_group": np.bytes_("0")}, "space_group is 0, and 1 to 230 is expected"),
    ("label", {"space_group": np.bytes_("231")}, "space_group is 231, and 1 to 230 is expected"),
    ("label", {"space_group": 0}, "space_group is 0, and 1 to 230 is expected"),
    ("label", {"space_group": 2.5}, "space_group is '2.5', and a number is expected"),
    ("label", {"space_group": "-2"}, "space_group is '-2', and a number is expected"),
    ("label", {"space_group": "Fm-3m"}, "space_group is 'Fm-3m', and a number is expected"),
    ("label", {"space_group": "²"}, "space_group is '²', and a number is expected"),
    ("label", {"space_group": None}, "has no space group"),
    ("label", {"space_group": np.bytes_(b"\xff")}, "space_group is not a number"),
    ("material", {"material": None}, "has no material"),
    ("material", {"material": ""}, "has no material"),
    ("material", {"material": 763064}, "has no material"),
]


@pytest.mark.parametrize(("kind", "bad", "said"), BAD_STACKS, ids=numbered(BAD_STACKS))
def test_a_stack_that_cannot_be_used_is_left_out_and_named(
    root: Path, kind: str, bad: Any, said: str
) -> None:
    samples = {"sample_0_0": Sample(), "sample_1_0": Sample(stack=bad), "sample_2_0": Sample()}

    dataset = read(root, samples)

    assert texts(dataset, "native_sample") == ["sample_0_0", "sample_2_0"]
    np.testing.assert_array_equal(dataset["cbed_stack"][1], stack(sum(map(ord, "sample_2_0"))))
    assert (dataset.attrs["samples_read"], dataset.attrs["samples_kept"]) == (3, 2)
    assert dropped(dataset) == {kind: 1}
    assert dataset.attrs["dropped_samples"].startswith(f"{FILE}:sample_1_0: {said}")
    assert dataset.attrs["notices"].startswith(
        f"1 of 3 samples are left out: {FILE}:sample_1_0: {said}"
    )


@pytest.mark.parametrize(("kind", "changed", "said"), BAD_ATTRIBUTES, ids=numbered(BAD_ATTRIBUTES))
def test_a_sample_without_label_or_material_is_left_out_and_named(
    root: Path, kind: str, changed: dict[str, Any], said: str
) -> None:
    dataset = read(root, {"sample_0_0": Sample(), "sample_1_0": Sample(changed)})

    assert texts(dataset, "native_sample") == ["sample_0_0"]
    assert dropped(dataset) == {kind: 1}
    assert dataset.attrs["dropped_samples"].startswith(f"{FILE}:sample_1_0: {said}")


@pytest.mark.parametrize(
    ("name", "attribute", "value", "said"),
    [
        ("formula", "formula", None, "has no formula"),
        ("energy", "energy_keV", None, "energy_keV is missing"),
        ("energy", "energy_keV", 0, "energy_keV is 0, and 20 to 1000 is expected"),
        ("energy", "energy_keV", "100", "energy_keV is not a number"),
        ("lattice_length", "abc_angstrom", np.array([5, 5, 2.5e-314]), "abc_angstrom is 5, 5, 2.5"),
        ("lattice_length", "abc_angstrom", np.array([5, np.nan, 5]), "abc_angstrom is 5, nan, 5"),
        ("lattice_length", "abc_angstrom", np.array([5.0, 5]), "abc_angstrom has the shape (2,)"),
        ("lattice_angle", "angles_degree", np.array([90, 90, 190]), "angles_degree is 90, 90, 190"),
        ("semi_angle", "semi_angles_rad", None, "semi_angles_rad is missing"),
        ("plane_spacing", "d_hkls_angstrom", np.zeros(3), "d_hkls_angstrom is 0, 0, 0"),
        ("beam_direction", "z_dirs", np.full((1, 3, 3), np.inf), "z_dirs is inf"),
    ],
)
def test_what_can_be_done_without_is_missing_and_told(
    root: Path, name: str, attribute: str, value: Any, said: str
) -> None:
    dataset = read(root, {"sample_0_0": Sample({attribute: value}), "sample_1_0": Sample()})

    missing = dataset[name].isnull() if name != "formula" else dataset[name] == b""
    assert missing[0].all()
    assert not missing[1].any()
    assert (dropped(dataset), noted(dataset)) == ({}, {name: 1})
    assert dataset.attrs["notices"].startswith(
        f"{name} of 1 samples is missing: {FILE}:sample_0_0: {said}"
    )


def test_what_lacks_of_a_sample_that_is_left_out_is_not_told_again(root: Path) -> None:
    bad = Sample({"formula": None}, _nan(stack()))

    dataset = read(root, {"sample_0_0": bad, "sample_1_0": Sample()})

    assert (dropped(dataset), noted(dataset)) == ({"finite": 1}, {})


def test_strict_stops_with_every_sample_that_would_be_left_out(root: Path) -> None:
    samples = {
        "sample_0_0": Sample({"space_group": np.bytes_("231")}),
        "sample_1_0": Sample(stack=_nan(stack())),
        "sample_2_0": Sample({"formula": None}),
    }

    with pytest.raises(NativeFormatError, match="2 of 3 samples cannot be used") as error:
        read(root, samples, strict=True)

    assert kinds_and_places(error) == [
        ("label", f"{FILE}:sample_0_0"),
        ("finite", f"{FILE}:sample_1_0"),
    ]
    assert len(read(root, samples).sample) == 1


def test_a_file_none_of_whose_samples_can_be_used_has_none(root: Path) -> None:
    dataset = read(root, {"sample_0_0": Sample(stack=_nan(stack()))})

    assert dataset["cbed_stack"].shape == (0, *SHAPE)
    assert dropped(dataset) == {"finite": 1}


def _stray_array(file: h5py.File) -> None:
    file["sample_9_9"] = np.ones(3)


def _without_stack(file: h5py.File) -> None:
    file.create_group("sample_9_9")


def _other_name(file: h5py.File) -> None:
    file.create_group("summary")


def _soft_link(file: h5py.File) -> None:
    file["sample_9_9"] = h5py.SoftLink("/sample_0_0")


def _never_written(file: h5py.File) -> None:
    file.create_group("sample_9_9").create_dataset("cbed_stack", SHAPE, np.float32)


def _group_for_a_stack(file: h5py.File) -> None:
    file.create_group("sample_9_9/cbed_stack")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("missing", _stray_array),
        ("missing", _without_stack),
        ("missing", _group_for_a_stack),
        ("name", _other_name),
        ("link", _soft_link),
        ("empty", _never_written),
    ],
)
def test_what_is_no_sample_of_this_file_is_left_out_and_named(
    root: Path, kind: str, change: Callable[[h5py.File], None]
) -> None:
    write_hdf5(root / FILE, {"sample_0_0": Sample()})
    with h5py.File(root / FILE, "a") as file:
        change(file)

    dataset = read(root)

    assert dropped(dataset) == {kind: 1}
    assert texts(dataset, "native_sample") == ["sample_0_0"]


def test_a_damaged_chunk_costs_its_sample_alone(root: Path) -> None:
    write_hdf5(root / FILE, {"sample_0_0": Sample()})
    with h5py.File(root / FILE, "a") as file:
        group = file.create_group("sample_1_0")
        for key, value in ATTRIBUTES.items():
            group.attrs[key] = value
        packed = group.create_dataset("cbed_stack", data=stack(), chunks=SHAPE, compression="gzip")
        where, length = packed.id.get_chunk_info(0).byte_offset, packed.id.get_chunk_info(0).size
    content = bytearray((root / FILE).read_bytes())
    content[where : where + length] = b"\0" * length
    (root / FILE).write_bytes(content)

    dataset = read(root)

    assert dropped(dataset) == {"unreadable": 1}
    assert texts(dataset, "native_sample") == ["sample_0_0"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _no_hdf5(path: Path) -> None:
    path.write_text("<html>not found</html>")


def _no_sample(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("summary")


@pytest.mark.parametrize("spoil", [_truncate, _empty, _no_hdf5, _no_sample])
def test_a_file_that_cannot_be_opened_stops_itself_and_no_other(
    descriptor: Descriptor, home: Home, spoil: Callable[[Path], None]
) -> None:
    folder = home.dataset("stemdl_cbed", "1.0")
    for split in ("train", "dev", "test"):
        write_hdf5(folder.native / split / f"batch_{split}_0.h5", {"sample_0_0": Sample()})
    spoil(folder.native / "dev" / "batch_dev_0.h5")

    with pytest.raises(NativeFormatError) as error:
        convert(verified(descriptor, folder))

    (problem,) = error.value.problems
    assert (problem.kind, problem.place) == ("unreadable", "dev/batch_dev_0.h5")
    made = sorted(path.name for path in folder.ready.rglob("*.nc"))
    assert made == ["test-batch_test_0.nc", "train-batch_train_0.nc"]


def test_a_file_cut_short_anywhere_is_refused(root: Path) -> None:
    content = write_hdf5(root / FILE, {f"sample_{n}_0": Sample() for n in range(3)}).read_bytes()

    for length in range(0, len(content), len(content) // 40):
        (root / FILE).write_bytes(content[:length])
        with pytest.raises(NativeFormatError, match="cannot be used"):
            read(root)


def test_a_file_that_says_it_is_huge_takes_no_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.formats.cbed_hdf5.stacks.MAX_BYTES", 2 * 4 * 3 * SIZE * SIZE)
    samples = {f"sample_{number}_0": Sample() for number in range(3)}

    assert len(read(root, dict(list(samples.items())[:2])).sample) == 2
    with pytest.raises(NativeFormatError) as error:
        read(root, samples)
    (problem,) = error.value.problems
    assert problem.kind == "unreadable"
    assert "2304 bytes" in problem.message


# --- files and splits ----------------------------------------------------------------------------


def test_each_native_file_is_a_ready_file_of_its_folders_split(root: Path) -> None:
    for path in ("train/batch_train_0.h5", "train/batch_train_1.h5", "dev/batch_dev_0.h5"):
        write_hdf5(root / path, {"sample_0_0": Sample()})

    assert cbed_hdf5.shards(native_of(root), {}) == (
        Shard("dev-batch_dev_0.nc", "dev", ("dev/batch_dev_0.h5",)),
        Shard("train-batch_train_0.nc", "train", ("train/batch_train_0.h5",)),
        Shard("train-batch_train_1.nc", "train", ("train/batch_train_1.h5",)),
    )


def test_files_that_are_none_of_the_published_ones_are_all_named(root: Path) -> None:
    write_hdf5(root / FILE, {"sample_0_0": Sample()})
    write_hdf5(root / "train/again/batch_train_0.h5", {"sample_0_0": Sample()})
    write_hdf5(root / "validation/batch_0.h5", {"sample_0_0": Sample()})
    (root / "train" / "README.txt").write_text("readme")

    with pytest.raises(NativeFormatError) as error:
        cbed_hdf5.shards(native_of(root), {})

    assert sorted((one.kind, one.place) for one in error.value.problems) == [
        ("name", "train/again/batch_train_0.h5"),
        ("name", FILE),
        ("split", "validation/batch_0.h5"),
        ("unexpected", "train/README.txt"),
    ]


def test_options_that_are_not_understood_are_said_at_once(root: Path) -> None:
    with pytest.raises(CallError) as error:
        read(root, {"sample_0_0": Sample()}, strict="yes", compresion="gzip", samples_per_shard=3)

    assert [one.place for one in error.value.problems] == [
        "compresion",
        "samples_per_shard",
        "strict",
    ]


def verified(descriptor: Descriptor, folder: DatasetFolder) -> Verified:
    return Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=False)


@pytest.fixture
def two_files(home: Home) -> DatasetFolder:
    """Return a folder in which two files use the same names, with one bad sample in each."""
    folder = home.dataset("stemdl_cbed", "1.0")
    for number in range(2):
        samples = {
            "sample_0_0": Sample({"material": f"mp-{number}", "formula": "Si8" * (1 + number)}),
            "sample_1_0": Sample({"space_group": np.bytes_("231")}),
        }
        write_hdf5(folder.native / "train" / f"batch_train_{number}.h5", samples)
    return folder


def test_names_that_come_again_in_other_files_are_told_apart(
    descriptor: Descriptor, two_files: DatasetFolder
) -> None:
    told: list[str] = []
    converted = convert(verified(descriptor, two_files), log=told.append)
    with open_ready(converted, split="train") as dataset:
        files, names, materials, formulas = (
            texts(dataset, name) for name in ("native_file", "native_sample", "material", "formula")
        )
        attributes = dict(dataset.attrs)

    assert names == ["sample_0_0", "sample_0_0"]
    assert files == ["train/batch_train_0.h5", "train/batch_train_1.h5"]
    assert materials == ["mp-0", "mp-1"]
    assert formulas == ["Si8", "Si8Si8"]
    assert (attributes["samples_read"], attributes["samples_kept"]) == (4, 2)
    assert json.loads(attributes["samples_dropped"]) == {"label": 2}
    assert [line.partition(":")[0] for line in told if "left out" in line] == [
        "train-batch_train_0.nc",
        "train-batch_train_1.nc",
    ]
    lines = attributes["dropped_samples"].splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"train/batch_train_{number}.h5:sample_1_0" for number in range(2)
    ]


def test_a_conversion_that_was_cut_goes_on_with_the_files_that_lack(
    descriptor: Descriptor, two_files: DatasetFolder
) -> None:
    whole = convert(verified(descriptor, two_files))
    before = {entry.path: entry.hash for entry in whole.manifest}
    (whole.root / "train-batch_train_1.nc").unlink()
    (whole.root / "manifest.csv").unlink()
    kept = (whole.root / "train-batch_train_0.nc").stat().st_mtime_ns
    assert find_converted(descriptor, two_files) is None

    told: list[str] = []
    again = convert(verified(descriptor, two_files), log=told.append)

    assert told[0].startswith("train-batch_train_1.nc is missing")
    assert told[1] == "1 of 2 ready files are there and are kept"
    assert {entry.path: entry.hash for entry in again.manifest} == before
    assert (whole.root / "train-batch_train_0.nc").stat().st_mtime_ns == kept


def test_compression_changes_the_bytes_and_no_value(
    descriptor: Descriptor, two_files: DatasetFolder
) -> None:
    plain = convert(verified(descriptor, two_files))
    packed = convert(verified(descriptor, two_files), options={"compression": "gzip"})

    with open_ready(plain, split="train") as one, open_ready(packed, split="train") as other:
        xr.testing.assert_equal(one, other)
    with h5py.File(packed.root / "train-batch_train_0.nc") as file:
        assert file["cbed_stack"].compression == "gzip"


def test_a_file_is_not_held_twice(root: Path) -> None:
    read(root, {"sample_0_0": Sample()})  # what is imported for it is not counted
    whole = np.ones((3, 512, 512), np.float32)
    samples = {f"sample_{number}_0": Sample(stack=whole) for number in range(20)}
    path = write_hdf5(root / FILE, samples, size=None)
    native = native_of(root)
    (shard,) = cbed_hdf5.shards(native, {})

    tracemalloc.start()
    write_netcdf(cbed_hdf5.read(native, shard, {}), root.parent / "ready.nc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.9 * path.stat().st_size < peak < 1.1 * path.stat().st_size

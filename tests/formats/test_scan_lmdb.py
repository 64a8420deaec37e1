"""STEMDL's LMDB databases of scans: what is published, and what may be wrong with it."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import NOTICES, Native, scan_lmdb
from sciml_data.formats.scan_lmdb import database as database_module
from sciml_data.formats.scan_lmdb.database import DamagedError, Database
from sciml_data.formats.scan_lmdb.layout import GENERATIONS, is_noise
from sciml_data.ready import write_netcdf
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from tests.support import native_files
from tests.support.native_files import dropped

SCAN, TARGET = (4, 32, 32), (1, 32, 32)
Values = NDArray[np.float64]


def scan_of(seed: int, shape: Sequence[int] = SCAN) -> Values:
    """Return z-scored patterns: a bright middle, noise, zero corners."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]] / shape[1] - 0.5
    beams = np.exp(-((y**2 + x**2) * 40)) * chance.uniform(0.5, 1, (shape[0], 1, 1))
    raw = beams + 0.01 * chance.random(shape)
    raw[:, np.hypot(y, x) > 0.5] = 0
    mean, std = raw.mean((1, 2), keepdims=True), raw.std((1, 2), keepdims=True)
    return np.asarray((raw - mean) / std)


def target_of(seed: int, shape: Sequence[int] = TARGET) -> Values:
    chance = np.random.default_rng([seed, 1])
    y, x = np.mgrid[: shape[1], : shape[2]] / shape[1]
    waves = np.sin(6 * np.pi * x + chance.random()) * np.sin(6 * np.pi * y)
    return np.asarray(((waves - waves.mean()) / waves.std())[None])


def head(
    scan: Sequence[int] | None = SCAN, target: Sequence[int] | None = TARGET
) -> dict[str, bytes]:
    """Return the header keys as namsa's sim_prod.py writes them."""
    values: dict[str, bytes] = {
        "input_dtype": b"float16",
        "output_dtype": b"float16",
        "output_name": b"2d_potential_",
        "input_name": b"cbed_",
        "header_entries": bytes(6),
    }
    if scan is not None and target is not None:
        values["input_shape"] = np.array(scan).tobytes()
        values["output_shape"] = np.array(target).tobytes()
    return values


def sample(number: int, **changed: Any) -> dict[str, bytes]:
    """Return the two keys of a sample."""
    scan = changed.get("scan", scan_of(number))
    target = changed.get("target", target_of(number))
    pair = {
        f"2d_potential_{number}": target.astype(np.float16).tobytes(),
        f"cbed_{number}": scan.astype(np.float16).tobytes(),
    }
    return {key: value for key, value in pair.items() if key not in changed.get("without", ())}


def write(path: Path, *parts: Mapping[str, bytes], subdir: bool = True) -> Path:
    """Write a database, and return its data file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = lmdb.open(str(path), map_size=2**28, subdir=subdir, sync=False)
    with environment.begin(write=True) as transaction:
        for part in parts:
            for key, value in part.items():
                transaction.put(key.encode(), value)
    environment.close()
    return path / "data.mdb" if subdir else path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "native"


def native_of(root: Path) -> Native:
    return native_files.native_of(root, load_descriptor(find_registry(), "stemdl_reconst_ds1"))


def read_all(root: Path, **options: Any) -> dict[str, xr.Dataset]:
    native = native_of(root)
    return {
        shard.name: scan_lmdb.read(native, shard, options)
        for shard in scan_lmdb.shards(native, options)
    }


def read_one(root: Path, **options: Any) -> xr.Dataset:
    (dataset,) = read_all(root, **options).values()
    return dataset


def test_a_database_of_samples_is_read_as_published(root: Path) -> None:
    write(root / "batch_train_0.db", head(), *[sample(number) for number in range(12)])

    dataset = read_one(root)

    assert dict(dataset.sizes) == {"sample": 12, "probe": 4, "y": 32, "x": 32, "v": 32, "u": 32}
    assert set(dataset.variables) == {"scan", "legacy_target", "native_file", "native_sample"}
    assert dataset["native_sample"].values.tolist() == [str(n).encode() for n in range(12)]
    assert dataset["native_file"].values[0] == b"batch_train_0.db/data.mdb"
    np.testing.assert_array_equal(dataset["scan"][11], scan_of(11).astype(np.float16))
    np.testing.assert_array_equal(dataset["legacy_target"][3], target_of(3)[0].astype(np.float16))
    assert dataset["scan"].dtype == np.float32
    assert dataset.attrs["samples_read"] == dataset.attrs["samples_kept"] == 12


def test_a_database_may_be_a_single_file(root: Path) -> None:
    write(root / "batch_test_7.db", head(), sample(0), subdir=False)

    assert list(read_all(root)) == ["test-batch_test_7-00000.nc"]
    assert (root / "batch_test_7.db-lock").is_file()  # and is left alone


def test_ready_files_are_of_so_many_samples(root: Path) -> None:
    write(root / "batch_train_0.db", head(), *[sample(number) for number in range(7)])
    write(root / "batch_train_1.db", head(), sample(0))

    found = read_all(root, samples_per_shard=3)

    assert {name: one.sizes["sample"] for name, one in found.items()} == {
        "train-batch_train_0-00000.nc": 3,
        "train-batch_train_0-00001.nc": 3,
        "train-batch_train_0-00002.nc": 1,
        "train-batch_train_1-00000.nc": 1,
    }


@pytest.mark.parametrize("generation", GENERATIONS[1:], ids=lambda shapes: str(shapes[0]))
@pytest.mark.parametrize("kind", ["as the head says", "no head", "the head of another"])
def test_shapes_of_each_generation_are_known(
    root: Path, generation: tuple[tuple[int, ...], tuple[int, ...]], kind: str
) -> None:
    scan, target = generation
    other = GENERATIONS[0]
    heads = {
        "as the head says": head(scan, target),
        "no head": {},
        "the head of another": head(*other),
    }
    values = {"cbed_0": np.ones(scan, np.float16).tobytes()}
    values["2d_potential_0"] = np.full(target, 2, np.float16).tobytes()
    write(root / "batch_train_0.db", heads[kind], values)

    dataset = read_one(root)

    assert dataset["scan"].shape == (1, *scan)
    assert dataset["legacy_target"].shape == target
    told = dataset.attrs.get(NOTICES, "")
    assert ("by the lengths of its values" in told) == (kind != "as the head says")


@pytest.mark.slow  # half a gigabyte
def test_the_first_generation_is_read_too(root: Path) -> None:
    scan, target = GENERATIONS[0]
    values = {"cbed_0": np.ones(scan, np.float16).tobytes()}
    values["2d_potential_0"] = np.ones(target, np.float16).tobytes()
    environment = lmdb.open(str(root.parent / "batch_train_0.db"), map_size=2**30, sync=False)
    with environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    environment.close()
    root.mkdir()
    (root.parent / "batch_train_0.db").rename(root / "batch_train_0.db")

    assert read_one(root)["scan"].shape == (1, *scan)


def test_a_zero_filled_header_entries_counts_nothing(root: Path) -> None:
    write(root / "batch_train_0.db", head(), sample(0), sample(1), sample(2))

    assert read_one(root).sizes["sample"] == 3  # entries less 6, halved, would say 3.5


def test_numbers_are_in_order_and_may_have_gaps(root: Path) -> None:
    write(root / "batch_train_0.db", head(), *[sample(number) for number in (10, 2, 0, 100)])

    dataset = read_one(root)

    assert dataset["native_sample"].values.tolist() == [b"0", b"2", b"10", b"100"]
    assert "97 of the numbers 0 to 100 are not there" in dataset.attrs[NOTICES]


def test_what_cannot_be_used_is_left_out_named_and_counted(root: Path) -> None:
    half_nan, infinite = scan_of(1), target_of(2)
    half_nan[0, :3], infinite[0, 0, 0] = np.nan, np.inf
    write(
        root / "batch_train_0.db",
        head(),
        sample(0),
        sample(1, scan=half_nan),
        sample(2, target=infinite),
        sample(3, without=["2d_potential_3"]),
        sample(4, without=["cbed_4"]),
        sample(5) | {"cbed_5": b"cut"},
        sample(6),
    )

    dataset = read_one(root)

    assert dataset["native_sample"].values.tolist() == [b"0", b"6"]
    assert dropped(dataset) == {"finite": 2, "missing": 2, "length": 1}
    assert (dataset.attrs["samples_read"], dataset.attrs["samples_kept"]) == (7, 2)
    for line in (
        "cbed_1: 96 of 4096 numbers are not finite",
        "2d_potential_2: 1 of 1024 numbers are not finite",
        "2d_potential_3: the sample has no target",
        "cbed_4: the sample has no input",
        "cbed_5: 8192 bytes expected (4 x 32 x 32, float16), 3 found",
    ):
        assert f"batch_train_0.db/data.mdb:{line}" in dataset.attrs["dropped_samples"]
    assert "5 of 7 samples are left out" in dataset.attrs[NOTICES]


def test_strict_stops_at_what_is_left_out_otherwise(root: Path) -> None:
    write(root / "batch_train_0.db", head(), sample(0), sample(1, without=["cbed_1"]))

    with pytest.raises(NativeFormatError, match="1 of 2 samples cannot be used"):
        read_all(root, strict=True)


def test_a_ready_file_of_which_nothing_is_left_is_written_and_opened(
    root: Path, tmp_path: Path
) -> None:
    write(
        root / "batch_train_0.db",
        head(),
        *[sample(number, without=[f"cbed_{number}"]) for number in range(2)],
        *[sample(number) for number in (2, 3)],
    )
    paths = []
    for name, dataset in read_all(root, samples_per_shard=2).items():
        paths.append(tmp_path / name)
        write_netcdf(dataset, paths[-1])

    together = xr.open_mfdataset(paths, engine="h5netcdf", combine="nested", concat_dim="sample")

    assert together["scan"].shape == (2, *SCAN)
    np.testing.assert_array_equal(together["scan"][0], scan_of(2).astype(np.float16))
    together.close()


def test_noise_that_upstream_put_in_place_of_samples_is_told_from_samples(root: Path) -> None:
    chance = np.random.default_rng(0)  # as scan_lmdb.py draws it
    noise = chance.uniform(-1, 1, SCAN), chance.uniform(0, 1, TARGET)
    write(
        root / "batch_train_0.db",
        head(),
        sample(0),
        sample(1, scan=noise[0], target=noise[1]),
        sample(2),
    )

    dataset = read_one(root)

    assert dataset["native_sample"].values.tolist() == [b"0", b"2"]
    assert dropped(dataset) == {"noise": 1}
    assert read_one(root, noise="keep").sizes["sample"] == 3


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_found_whatever_the_chance_and_nothing_z_scored_is_taken_for_it(seed: int) -> None:
    chance = np.random.default_rng(seed)
    shape = (1, 32, 32)

    assert is_noise(chance.uniform(-1, 1, shape).astype(np.float16).astype(np.float32), "input")
    assert is_noise(chance.uniform(0, 1, shape).astype(np.float16).astype(np.float32), "target")
    assert not is_noise(scan_of(seed).astype(np.float32), "input")
    assert not is_noise(target_of(seed).astype(np.float32), "target")
    z_scored = chance.uniform(-1, 1, shape).astype(np.float32) * np.float32(3**0.5)
    assert not is_noise(z_scored, "input")  # white, but z-scored as what is published


def test_a_truncated_database_is_named_and_stops_no_other(root: Path) -> None:
    samples = [sample(number) for number in range(40)]
    path = write(root / "batch_train_0.db", head(), *samples)
    write(root / "batch_train_1.db", head(), sample(0))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    native = native_of(root)
    broken, whole = scan_lmdb.shards(native, {})

    with pytest.raises(NativeFormatError) as error:
        scan_lmdb.read(native, broken, {})

    (problem,) = error.value.problems
    assert (problem.kind, problem.place) == ("truncated", "batch_train_0.db/data.mdb")
    assert f"the file has {path.stat().st_size}" in problem.message
    assert scan_lmdb.read(native, whole, {}).sizes["sample"] == 1


def test_a_page_that_lies_beyond_the_file_ends_the_process_that_reads_it_and_no_other(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is cut after its head was looked at: the system answers with SIGBUS."""
    numbers = [*range(5), *range(6, 12), 5]  # what is written last lies last in the file
    path = write(root / "batch_train_0.db", head(), *[sample(number) for number in numbers])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 2 * 4096)
    monkeypatch.setattr(database_module, "head_problem", lambda _path: None)

    dataset = read_one(root)

    assert dataset["native_sample"].values.tolist() == [b"%d" % n for n in range(12) if n != 5]
    assert dropped(dataset) == {"unreadable": 1}
    assert "cbed_5: a damaged page ended the process it read: SIGBUS" in dataset.attrs[NOTICES]
    np.testing.assert_array_equal(dataset["scan"][-1], scan_of(11).astype(np.float16))


@pytest.mark.parametrize("seed", range(12))
def test_damaged_pages_end_in_a_named_error_or_in_values(root: Path, seed: int) -> None:
    path = write(root / "batch_train_0.db", head(), *[sample(number) for number in range(20)])
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)  # noqa: S311 (damage, no secrets)
    page = 4096
    # Branches and leaves, by the flags of the page.
    tables = [
        at
        for at in range(0, len(content), page)
        if content[at + 10] in {1, 2} and not content[at + 11]
    ]
    for _ in range(20):
        at = chance.choice(tables)
        content[at + 16 + chance.randrange(64)] = chance.randrange(256)  # where its nodes are
        content[at + page - 1 - chance.randrange(600)] = chance.randrange(256)  # and nodes
    path.write_bytes(content)

    with Database(path) as damaged:
        try:
            keys = damaged.keys()
        except DamagedError:
            return
        for key in keys:
            with contextlib.suppress(DamagedError):
                damaged.value(key)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is too short for an LMDB database"),
        (b"PK" + bytes(8190), "is not an LMDB database"),
        (bytes(16) + struct.pack("<II", 0xBEEFC0DE, 999) + bytes(8200), "of format 999"),
        (bytes(16) + struct.pack("<II", 0xBEEFC0DE, 1) + bytes(8200), "pages of 0 bytes"),
    ],
)
def test_what_is_no_database_is_named(root: Path, content: bytes, what: str) -> None:
    place = root / "batch_train_0.db"
    place.mkdir(parents=True)
    (place / "data.mdb").write_bytes(content)
    native = native_of(root)

    (shard,) = scan_lmdb.shards(native, {})
    with pytest.raises(NativeFormatError) as error:
        scan_lmdb.read(native, shard, {})

    assert what in error.value.problems[0].message


def test_a_file_as_long_as_its_map_is_whole(root: Path) -> None:
    """Upstream wrote through a map of 100 GB, which makes a file of that length."""
    path = root / "batch_train_0.db"
    path.parent.mkdir()
    environment = lmdb.open(str(path), map_size=10**10, writemap=True, map_async=True)
    with environment.begin(write=True) as transaction:
        for key, value in (head() | sample(0)).items():
            transaction.put(key.encode(), value)
    environment.close()
    assert (path / "data.mdb").stat().st_size == 10**10

    assert read_one(root).sizes["sample"] == 1


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"input_shape": b"\x00" * 24}, "input_shape is [0, 0, 0]"),
        ({"input_shape": np.array([4, 32]).tobytes()}, "three lengths expected"),
        ({"input_dtype": b"object"}, "input_dtype is 'object', float16 or float32 expected"),
        ({"input_name": b"\x80\x04pickle."}, "a word expected"),
        ({"input_shape": np.array([4, 32, 31]).tobytes()}, "its values 8192 and 2048 bytes"),
    ],
)
def test_a_head_that_cannot_be_is_named(root: Path, changed: dict[str, bytes], what: str) -> None:
    write(root / "batch_train_0.db", head() | changed, sample(0))
    native = native_of(root)

    (shard,) = scan_lmdb.shards(native, {})
    with pytest.raises(NativeFormatError) as error:
        scan_lmdb.read(native, shard, {})

    assert what in error.value.problems[0].message


def test_other_names_and_types_of_the_head_are_followed(root: Path) -> None:
    names = {"input_name": b"image-", "output_name": b"label-", "input_dtype": b"float32"}
    scan = scan_of(0).astype(np.float32)
    values = {"image-0": scan.tobytes(), "label-0": target_of(0).astype(np.float16).tobytes()}
    write(root / "batch_train_0.db", head() | names, values)

    np.testing.assert_array_equal(read_one(root)["scan"][0], scan)


def test_keys_that_nobody_knows_are_told_and_left(root: Path) -> None:
    strangers = {"cbed_007": b"1", "cbed_-1": b"1", "notes": b"1"}
    write(root / "batch_train_0.db", head(), sample(0), strangers)

    dataset = read_one(root)

    assert dataset.sizes["sample"] == 1
    assert "3 keys are not known and left: 'cbed_-1', 'cbed_007'" in dataset.attrs[NOTICES]


def test_databases_of_other_shapes_are_not_mixed(root: Path) -> None:
    write(root / "batch_train_0.db", head(), sample(0))
    write(root / "batch_train_1.db", head(), sample(0))
    other = {"cbed_0": scan_of(0, (9, 32, 32)).astype(np.float16).tobytes()}
    write(root / "batch_train_2.db", head((9, 32, 32)), sample(0) | other)

    with pytest.raises(NativeFormatError) as error:
        scan_lmdb.shards(native_of(root), {})

    assert [problem.place for problem in error.value.problems] == ["batch_train_2.db/data.mdb"]
    assert list(read_all(root, databases="batch_train_2*")) == ["train-batch_train_2-00000.nc"]


def test_a_file_that_is_in_no_split_is_named(root: Path) -> None:
    write(root / "batch_train_0.db", head(), sample(0))
    (root / "README.txt").write_text("what is this?")

    with pytest.raises(NativeFormatError) as error:
        scan_lmdb.shards(native_of(root), {})

    assert [problem.place for problem in error.value.problems] == ["README.txt"]


@pytest.mark.parametrize(
    "options",
    [
        {"stict": True},
        {"strict": 1},
        {"samples_per_shard": -1},
        {"samples_per_shard": True},
        {"databases": 3},
        {"compression": "zip"},
        {"noise": "drop"},
    ],
)
def test_options_that_there_are_not_are_refused(root: Path, options: dict[str, Any]) -> None:
    root.mkdir()
    with pytest.raises(CallError, match="1 of 1 conversion options cannot be used"):
        scan_lmdb.shards(native_of(root), options)


def test_what_a_sample_says_of_itself_is_kept_where_it_is_sound(root: Path) -> None:
    meta = {
        "material": "syn-062-001",
        "formula": "Fe8 O14",
        "space_group": 62,
        "energy_keV": 200,
        "pixel_size_angstrom": 0.125,
        "diffraction_pixel_size_per_angstrom": 0.04,
        "semi_angle_rad": 0.004,
        "abc_angstrom": [4.0, 5.0, 6.0],
        "angles_degree": [90.0, 90.0, 90.0],
    }
    wrong = {"material": 7, "space_group": 231, "energy_keV": "x", "abc_angstrom": [1.0, 2.0]}
    volts = np.full(TARGET, 7, np.float32).tobytes()
    write(
        root / "batch_train_0.db",
        head(),
        sample(0) | {"meta_0": json.dumps(meta).encode(), "potential_0": volts},
        sample(1) | {"meta_1": json.dumps(wrong).encode(), "potential_1": b"short"},
        sample(2) | {"meta_2": b"\x80\x04\x95."},
        sample(3),
    )

    dataset = read_one(root)

    assert dataset.sizes["sample"] == 4
    assert dataset["material"].values.tolist() == [b"syn-062-001", b"", b"", b""]
    assert dataset["space_group"].values.tolist() == [62, 0, 0, 0]
    np.testing.assert_array_equal(dataset["energy"], [200, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(dataset["lattice_length"][0], [4, 5, 6])
    assert np.isnan(dataset["lattice_length"][1:]).all()
    assert (dataset["potential"][0] == 7).all()
    assert np.isnan(dataset["potential"][1:]).all()
    assert "electron_density" not in dataset
    assert json.loads(dataset.attrs["samples_noted"]) == {"meta": 1, "potential": 1}


def test_without_lmdb_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "batch_train_0.db", head(), sample(0))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(CallError) as error:
        scan_lmdb.shards(native_of(root), {})

    assert "sciml-data[stemdl]" in error.value.hint


def test_the_native_folder_is_not_written_to(root: Path) -> None:
    write(root / "batch_train_0.db", head(), sample(0))
    shutil.rmtree(root / "batch_train_0.db/lock.mdb", ignore_errors=True)
    (root / "batch_train_0.db/lock.mdb").unlink()

    read_one(root)

    assert [path.name for path in (root / "batch_train_0.db").iterdir()] == ["data.mdb"]

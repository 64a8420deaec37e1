"""The simulated sample of scans, from the simulation to the opened dataset."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from numpy.typing import NDArray

from sciml_data import adopt_dataset, convert_dataset, get_dataset, open_dataset, verify_dataset
from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats.scan_lmdb.layout import is_noise
from sciml_data.home import Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Fetched
from sciml_data.synthetic import make_sample
from sciml_data.synthetic.scan_lmdb import DEFAULTS, write_sample

SMALL = {
    "groups": [123, 187],  # small cells, which are simulated in seconds
    "materials": 2,
    "energies": [100, 200],
    "size": 32,
    "probes": 3,
    "view": 16,
    "databases": 2,
    "processes": 1,
}
SETTINGS = [
    f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
    for key, value in SMALL.items()
]
DATABASES = ["batch_test_0.db", "batch_train_0.db", "batch_train_1.db"]


@pytest.fixture(scope="module")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def fetched(sample_home: Path) -> Fetched:
    """Simulate a small sample; this is the only simulation of the quick tests."""
    steps: list[tuple[int, int]] = []
    fetched = make_sample(
        load_descriptor(find_registry(), "stemdl_reconst_ds1"),
        Home(sample_home),
        overrides=SETTINGS,
        progress=lambda *step: steps.append(step),
    )
    assert steps == [(number, 4) for number in range(1, 5)]
    return fetched


@pytest.fixture
def sample(fetched: Fetched) -> Path:
    """Return the native files of the small sample."""
    return fetched.root


def plain_samples(path: Path) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Read a database with the lmdb package, by the published description of its layout."""
    opened = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    with opened as environment, environment.begin() as transaction:
        content = dict(transaction.cursor())
    shapes = [np.frombuffer(content[key], "int64") for key in (b"input_shape", b"output_shape")]
    types = [np.dtype(content[key].decode()) for key in (b"input_dtype", b"output_dtype")]
    starts = [content[key].decode() for key in (b"input_name", b"output_name")]
    assert content[b"header_entries"] == bytes(6)
    assert starts == ["cbed_", "2d_potential_"]
    assert types == [np.float16, np.float16]
    count = sum(key.startswith(b"cbed_") for key in content)
    samples = {}
    for number in range(count):
        scan, target = (
            np.frombuffer(content[f"{start}{number}".encode("ascii")], dtype).reshape(shape)
            for start, dtype, shape in zip(starts, types, shapes, strict=True)
        )
        samples[number] = scan, target
    return samples


def metas(path: Path) -> list[dict[str, Any]]:
    opened = lmdb.open(str(path), readonly=True, lock=False)
    with opened as environment, environment.begin() as transaction:
        content = dict(transaction.cursor())
    count = sum(key.startswith(b"meta_") for key in content)
    return [json.loads(content[b"meta_%d" % number]) for number in range(count)]


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_its_files_are_named_as_published(sample: Path) -> None:
    assert list(hashes(sample)) == [f"{name}/data.mdb" for name in DATABASES]


@pytest.mark.parametrize("name", DATABASES)
def test_plain_lmdb_reads_what_is_published(sample: Path, name: str) -> None:
    samples = plain_samples(sample / name)

    assert len(samples) == (4 if "test" in name else 2)
    for scan, target in samples.values():
        assert scan.shape == (9, 32, 32)
        assert target.shape == (1, 16, 16)
        wide = scan.astype(np.float64)
        np.testing.assert_allclose(wide.mean((1, 2)), 0, atol=2e-3)
        np.testing.assert_allclose(wide.std((1, 2)), 1, atol=2e-3)
        np.testing.assert_allclose(target.astype(np.float64).mean(), 0, atol=2e-3)
        np.testing.assert_allclose(target.astype(np.float64).std(), 1, atol=2e-3)
        assert not is_noise(scan.astype(np.float32), "input")
        assert not is_noise(target.astype(np.float32), "target")


def test_no_material_is_in_train_and_test(sample: Path) -> None:
    materials = {name: {meta["material"] for meta in metas(sample / name)} for name in DATABASES}

    assert {name: len(names) for name, names in materials.items()} == dict(
        zip(DATABASES, (2, 1, 1), strict=True)
    )
    assert len(set.union(*materials.values())) == 4
    assert {meta["space_group"] for meta in metas(sample / "batch_test_0.db")} == {123, 187}


@pytest.mark.slow  # the simulation once more, by two processes
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(
    sample: Path, tmp_path: Path
) -> None:
    write_sample(tmp_path / "again", {"sample": {**SMALL, "processes": 2}}, 0)
    write_sample(tmp_path / "other", {"sample": SMALL}, 1)

    assert hashes(tmp_path / "again") == hashes(sample)
    assert not set(hashes(tmp_path / "other").values()) & set(hashes(sample).values())


@pytest.mark.parametrize(
    "wrong", [{"groups": [231]}, {"groups": []}, {"probes": 0}, {"view": 4}, {"databases": 0}]
)
def test_invalid_settings_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=next(iter(wrong))):
        write_sample(tmp_path / "root", {"sample": {**SMALL, **wrong}}, 0)

    assert not (tmp_path / "root").exists()


def test_its_settings_can_be_named(sample: Path) -> None:
    assert set(DEFAULTS) == set(SMALL)


def test_a_users_folder_is_adopted_verified_converted_and_opened(sample: Path) -> None:
    adopted = adopt_dataset("stemdl_reconst_ds1", sample)
    assert (adopted.root / "batch_train_0.db/data.mdb").samefile(
        sample / "batch_train_0.db/data.mdb"
    )
    verify_dataset("stemdl_reconst_ds1", full=True)

    convert_dataset("stemdl_reconst_ds1")

    with open_dataset("stemdl_reconst_ds1", split="train") as dataset:
        assert dict(dataset.sizes) == {
            "sample": 4, "probe": 9, "y": 32, "x": 32, "v": 16, "u": 16, "axis": 3,
        }  # fmt: skip
        assert (dataset.attrs["samples_read"], dataset.attrs["samples_kept"]) == (4, 4)
        plain = plain_samples(sample / "batch_train_1.db")
        np.testing.assert_array_equal(dataset["scan"][3], plain[1][0].astype(np.float32))
        np.testing.assert_array_equal(dataset["legacy_target"][3], plain[1][1][0])
        meta = metas(sample / "batch_train_1.db")[1]
        assert dataset["material"].values[3].decode() == meta["material"]
        assert dataset["space_group"].values[3] == meta["space_group"]
        assert dataset["energy"].values[3] == meta["energy_keV"]
        np.testing.assert_allclose(dataset["lattice_angle"].values[3], meta["angles_degree"])
        assert dataset["potential"].attrs["units"] == "V"
        assert float(dataset["potential"].min()) < float(dataset["potential"].max())
        assert float(dataset["electron_density"].mean()) > 0
        assert dataset["scan"].encoding["chunksizes"] == (1, 9, 32, 32)


def test_a_sample_is_made_and_converted_with_its_settings(
    fetched: Fetched, sample_home: Path
) -> None:
    again = get_dataset("stemdl_reconst_ds1", sample=True, sample_set=SETTINGS, home=sample_home)
    options = {"samples_per_shard": 3}

    convert_dataset("stemdl_reconst_ds1", sample=True, options=options, home=sample_home)

    assert again == fetched
    assert fetched.is_synthetic
    with open_dataset(
        "stemdl_reconst_ds1", sample=True, split="test", options=options, home=sample_home
    ) as dataset:
        assert dataset.sizes["sample"] == 4
        assert dataset.attrs["synthetic"] == "true"


CONVERT = """
import os, signal
from sciml_data import convert_dataset, verify_dataset
def progress(done, total):
    if done:  # 0 is the beginning; later calls follow a finished file
        os.kill(os.getpid(), signal.SIGKILL)
verify_dataset("stemdl_reconst_ds1")  # so that progress is that of the conversion alone
convert_dataset("stemdl_reconst_ds1", options={"samples_per_shard": 2}, progress=progress)
"""


@pytest.mark.slow  # a process of its own
def test_a_killed_conversion_is_resumed(sample: Path) -> None:
    adopt_dataset("stemdl_reconst_ds1", sample)
    killed = subprocess.run([sys.executable, "-c", CONVERT], check=False)
    assert killed.returncode == -signal.SIGKILL
    lines: list[str] = []

    convert_dataset("stemdl_reconst_ds1", options={"samples_per_shard": 2}, log=lines.append)

    assert lines[0] == "1 of 4 ready files are there and are kept"


def test_a_truncated_database_is_named_and_the_others_are_converted(
    sample: Path, tmp_path: Path
) -> None:
    for name in DATABASES:
        content = (sample / name / "data.mdb").read_bytes()
        (tmp_path / "mine" / name).mkdir(parents=True)
        size = len(content) // 2 if name == "batch_train_0.db" else len(content)
        (tmp_path / "mine" / name / "data.mdb").write_bytes(content[:size])
    adopt_dataset("stemdl_reconst_ds1", tmp_path / "mine")

    with pytest.raises(NativeFormatError, match="1 of 3 ready files could not be made") as error:
        convert_dataset("stemdl_reconst_ds1")

    assert [(problem.kind, problem.place) for problem in error.value.problems] == [
        ("truncated", "batch_train_0.db/data.mdb")
    ]
    others = {"databases": "*test*"}
    convert_dataset("stemdl_reconst_ds1", options=others)
    with open_dataset("stemdl_reconst_ds1", split="test", options=others) as dataset:
        assert dataset.sizes["sample"] == 4

"""Intake opens the registry's catalogue from wherever it lies, and that of a home without us."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

intake = pytest.importorskip("intake")

from sciml_data import convert_dataset, get_dataset, open_dataset  # noqa: E402 - after the skip
from sciml_data.cli import group  # noqa: E402
from sciml_data.curate.derive import write_derived  # noqa: E402
from sciml_data.errors import CallError  # noqa: E402
from sciml_data.home import Home  # noqa: E402
from sciml_data.registry.layout import REGISTRY_VARIABLE, Registry, find_registry  # noqa: E402
from sciml_data.registry.manifest import manifest_of  # noqa: E402
from sciml_data.testing.datasets import change_descriptor  # noqa: E402
from sciml_data.testing.server import FileServer  # noqa: E402
from tests.support.small_registry import small_registry  # noqa: E402

# Intake 2.0.9 says this of every parameter of a catalogue; nothing of ours can be done about it.
pytestmark = pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning")
LENGTHS = {"1.0": {"train": 5, "test": 2}, "1.1": {"train": 6, "test": 2, "extra": 3}}


def describe(version: str) -> Callable[[dict[str, Any]], None]:
    """Return what makes the descriptor of the small registry one of HDF5 files."""
    splits = LENGTHS[version]

    def change(document: dict[str, Any]) -> None:
        document["version"] = version
        document["sciml"].pop("sample", None)
        document["sciml"] |= {
            "native": {
                "reader": "hdf5_arrays",
                "arrays": {
                    split: {"height": {"file": f"{split}.h5", "key": "height"}} for split in splits
                },
            },
            "splits": {split: [f"{split}.h5"] for split in splits} | {"everything": ["**"]},
            "variables": {
                "time": {"dims": ["time"], "dtype": "int64", "long_name": "hour"},
                "height": {"dims": ["time"], "dtype": "float64", "long_name": "height"},
            },
        }

    return change


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return a registry with two versions of a dataset; the newer has one split more."""
    root = tmp_path_factory.mktemp("curated")
    registry = small_registry(root / "registry")
    older = registry.package("waves", "1.0")
    text = (older / "datapackage.json").read_text()
    for version, splits in LENGTHS.items():
        raw, folder = root / f"raw-{version}", older.with_name(version)
        raw.mkdir()
        folder.mkdir(exist_ok=True)
        for split, length in splits.items():
            with h5py.File(raw / f"{split}.h5", "w") as file:
                file["height"] = np.arange(length) + float(version)
        (folder / "manifest.csv").write_text(manifest_of(raw).dump())
        (folder / "datapackage.json").write_text(text)
        change_descriptor(folder, describe(version))
    write_derived(registry)
    return registry


@pytest.fixture(scope="module")
def filled(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with both versions converted."""
    home = tmp_path_factory.mktemp("filled")
    for version in LENGTHS:
        mirror = f"file:{registry.root.parent / f'raw-{version}'}"
        where: dict[str, Any] = {"version": version, "registry": registry.root, "home": home}
        get_dataset("waves", mirrors=[mirror], **where)
        convert_dataset("waves", **where)
    return home


@pytest.fixture
def at_home(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCIML_DATA_HOME", str(filled))
    return filled


def test_every_version_and_split_is_opened(registry: Registry, at_home: Path) -> None:
    waves = intake.open_catalog(str(registry.root / "catalog/sciml.yaml"))["waves"]

    for version, splits in LENGTHS.items():
        for split, length in splits.items():
            opened = waves(version=version, split=split)
            assert opened.to_dask()["height"].chunks is not None
            expected = np.arange(length) + float(version)
            np.testing.assert_array_equal(opened.read()["height"], expected)
    assert waves(split="extra").to_dask().sizes == {"time": 3}  # 1.1 is the newest


def test_a_version_or_split_that_is_none_is_an_error_that_names_all(
    registry: Registry, at_home: Path
) -> None:
    waves = intake.open_catalog(str(registry.root / "catalog/sciml.yaml"))["waves"]

    with pytest.raises(ValueError, match=r"version=1\.2 .*: 1\.0,1\.1"):
        waves(version="1.2")
    with pytest.raises(ValueError, match=r"split=everything .*: ,extra,test,train"):
        waves(split="everything")
    with pytest.raises(CallError, match="versoin"):
        waves(versoin="1.0", split="train").to_dask()


def test_a_split_of_another_version_is_an_error_that_names_its_own(
    registry: Registry, at_home: Path
) -> None:
    waves = intake.open_catalog(str(registry.root / "catalog/sciml.yaml"))["waves"]

    with pytest.raises(CallError, match="extra") as error:
        waves(version="1.0", split="extra").to_dask()
    assert error.value.hint == "splits: test, train"


def test_data_that_are_not_here_say_what_to_type(registry: Registry, home: Home) -> None:
    waves = intake.open_catalog(str(registry.root / "catalog/sciml.yaml"))["waves"]
    which = "waves --version 1.0"

    with pytest.raises(CallError) as error:
        waves(version="1.0", split="test").read()
    assert error.value.hint == f"sciml-data get {which} && sciml-data convert {which}"

    home.dataset("waves", "1.0").native.mkdir(parents=True)
    with pytest.raises(CallError) as error:
        waves(version="1.0", split="test").to_dask()
    assert error.value.hint == f"sciml-data convert {which}"


def test_the_second_form_has_an_entry_for_each_version(registry: Registry, at_home: Path) -> None:
    catalogue = intake.open_catalog(str(registry.root / "catalog/sciml.v2.yaml"))

    assert catalogue["waves-1.0"].read(split="train").sizes == {"time": 5}
    assert catalogue["waves"].to_dask(split="train").sizes == {"time": 6}
    assert catalogue["waves"].metadata["license"] == ["CC0-1.0"]


def test_a_catalogue_is_read_over_http(
    registry: Registry, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the catalogue comes from there: the registry is the one that this computer has."""
    monkeypatch.setenv(REGISTRY_VARIABLE, str(registry.root))
    with FileServer(registry.root) as server:
        catalogue = intake.open_catalog(f"{server.url}/catalog/sciml.yaml")
        found = catalogue["waves"](version="1.0", split="train").read()

    assert found.sizes == {"time": 5}
    assert catalogue["waves"].metadata["license"] == ["CC0-1.0"]


def test_a_catalogue_from_afar_whose_registry_is_not_here_says_so(registry: Registry) -> None:
    with FileServer(registry.root) as server:
        catalogue = intake.open_catalog(f"{server.url}/catalog/sciml.yaml")
        with pytest.raises(CallError, match="has no such dataset") as error:
            catalogue["waves"](split="train").to_dask()

    assert REGISTRY_VARIABLE in error.value.hint


@pytest.mark.filterwarnings("ignore:Use shutil.which:DeprecationWarning")  # Intake looks for conda
def test_intake_finds_the_catalogue_by_itself(
    registry: Registry, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(intake.cat.sciml_data) >= {"cloud_slstr_ds1", "tevolop_socal"}
    assert intake.cat.sciml_data["tevolop_socal"].metadata["license"]

    from sciml_data.integrations.intake import catalog as intake_catalog

    monkeypatch.setenv(REGISTRY_VARIABLE, str(registry.root))
    assert intake_catalog.catalog["waves"](split="train").read().sizes == {"time": 6}
    monkeypatch.setenv(REGISTRY_VARIABLE, str(at_home))
    (at_home / "datapackages").mkdir()
    with pytest.raises(CallError, match=r"has no catalog/sciml\.yaml"):
        _ = intake_catalog.catalog
    (at_home / "datapackages").rmdir()


def test_every_version_of_the_built_in_registry_that_has_a_reader_is_allowed() -> None:
    registry = find_registry()
    catalogue = intake.open_catalog(str(registry.root / "catalog/sciml.yaml"))

    for dataset in registry.datasets():
        blocks = {
            version: json.loads(
                (registry.package(dataset, version) / "datapackage.json").read_text()
            )["sciml"]
            for version in registry.versions(dataset)
        }
        readable = {version for version, one in blocks.items() if "reader" in one["native"]}
        assert (dataset in catalogue) == bool(readable)
        if readable:
            parameters = catalogue._entries[dataset].describe()["user_parameters"]
            allowed = {one["name"]: one["allowed"] for one in parameters}
            assert set(allowed["version"]) == readable


PLAIN = """
import json, sys, warnings
sys.modules["sciml_data"] = None  # as if it were not installed
warnings.simplefilter("ignore")
import intake
catalogue = intake.open_catalog(sys.argv[1])
found = {}
for name in catalogue:
    dataset = catalogue[name].to_dask()
    found[name] = [dataset["height"].chunks is not None, dataset["height"].values.tolist()]
print(json.dumps(found))
"""


def opened_without_us(address: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, address], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_catalogue_of_a_home_is_opened_without_us(registry: Registry, filled: Path) -> None:
    pytest.importorskip("intake_xarray")
    result = CliRunner().invoke(
        group, ["catalog", "--registry", str(registry.root), "--home", str(filled)]
    )
    expected = {
        f"waves-{version}-{split}": [True, (np.arange(length) + float(version)).tolist()]
        for version, splits in LENGTHS.items()
        for split, length in splits.items()
    }

    assert result.stdout == f"{filled / 'catalog.yaml'}\n"
    assert opened_without_us(str(filled / "catalog.yaml")) == expected
    with FileServer(filled) as server:
        assert opened_without_us(f"{server.url}/catalog.yaml") == expected


@pytest.mark.parametrize(
    "name",
    ["home", "a{b}%20d#é'q$X {x", "{% if a %}", "{{ a", r"a\b\n", "a*[1]?", "a::b"],
)
def test_several_files_of_a_split_follow_one_another(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home, link = tmp_path / name, tmp_path / "link"
    pytest.importorskip("intake_xarray")
    shard_bytes = "sciml_data.formats.hdf5_arrays.format.SHARD_BYTES"
    monkeypatch.setattr(shard_bytes, 16)  # two numbers in a file
    where: dict[str, Any] = {"version": "1.0", "registry": registry.root, "home": home}
    get_dataset("waves", mirrors=[f"file:{registry.root.parent / 'raw-1.0'}"], **where)
    assert len(convert_dataset("waves", **where).manifest) == 4
    words = ["catalog", "--registry", str(registry.root), "--home", str(home)]
    result = CliRunner().invoke(group, words)
    link.symlink_to(home)
    opened = link if "through a link" in result.stderr else home

    plain = intake.open_catalog(str(opened / "catalog.yaml"))["waves-1.0-train"].read()

    assert (opened == home) == name.startswith(("home", "a{b}"))

    expected = open_dataset("waves", split="train", **where)
    xr.testing.assert_equal(expected.load(), plain.load())


def test_a_home_in_which_nothing_is_converted_has_no_catalogue(
    registry: Registry, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        group, ["catalog", "--registry", str(registry.root), "--home", str(tmp_path)]
    )

    assert isinstance(result.exception, CallError)
    assert not list(tmp_path.iterdir())

"""What differs between two versions: files, descriptor, values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from sciml_data import convert_dataset, get_dataset
from sciml_data.cli import group
from sciml_data.curate.derive import write_derived
from sciml_data.curate.diff import compare_files, statistics
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import Entry, Manifest, manifest_of, read_manifest
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry


def entry(path: str, letter: str, size: int = 3) -> Entry:
    return Entry(path, size, f"sha256:{letter * 64}")


def manifest(*entries: Entry) -> Manifest:
    return Manifest(tuple(sorted(entries)))


def test_files_are_added_removed_changed_or_renamed() -> None:
    before = manifest(entry("a", "1"), entry("b", "2"), entry("c", "3"), entry("d", "4"))
    after = manifest(entry("a", "1"), entry("b", "9", 5), entry("sub/c", "3"), entry("e", "5"))

    changes = compare_files(before, after)

    assert changes.same == 1
    assert changes.changed == ("b",)
    assert changes.renamed == (("c", "sub/c"),)
    assert changes.removed == ("d",)
    assert changes.added == ("e",)
    assert (changes.bytes_before, changes.bytes_after) == (12, 14)


def test_of_two_files_with_the_same_bytes_each_is_renamed_once() -> None:
    before = manifest(entry("a", "1"), entry("b", "1"), entry("c", "1"))
    after = manifest(entry("x", "1"), entry("y", "1"))

    changes = compare_files(before, after)

    assert changes.renamed == (("a", "x"), ("b", "y"))
    assert (changes.removed, changes.added) == (("c",), ())


def test_hashes_of_two_kinds_do_not_tell_whether_bytes_differ() -> None:
    before = manifest(entry("a", "1"), entry("b", "1"))
    after = manifest(Entry("a", 3, f"md5:{'1' * 32}"), Entry("b", 4, f"md5:{'1' * 32}"))

    changes = compare_files(before, after)

    assert changes.unknown == ("a",)
    assert changes.changed == ("b",)


def test_statistics_of_numbers_times_and_text() -> None:
    numbers = xr.DataArray(np.array([1, np.nan, 4], "f4"), dims="x")
    assert statistics(numbers) == {
        "dims": ["x"], "dtype": "float32", "shape": [3],
        "count": 2, "missing": 1, "mean": 2.5, "min": 1.0, "max": 4.0,
    }  # fmt: skip
    times = xr.DataArray(np.array(["2001-01-02", "NaT"], "M8[ns]"), dims="x")
    assert (statistics(times)["missing"], statistics(times)["max"][:10]) == (1, "2001-01-02")
    assert "mean" not in statistics(times)
    assert set(statistics(xr.DataArray(np.array([b"a"]), dims="x"))) == {"dims", "dtype", "shape"}
    assert statistics(xr.DataArray(np.full(2, np.nan), dims="x"))["count"] == 0


def write_version(registry: Registry, raw: Path, version: str, heights: Any) -> None:
    """Write two HDF5 files, and a version of them that `hdf5_arrays` reads."""
    raw.mkdir(parents=True)
    for split, values in heights.items():
        with h5py.File(raw / f"{split}.h5", "w") as file:
            file["height"] = np.asarray(values, "f4")
    folder = registry.root / "datapackages/waves" / version
    if not folder.is_dir():
        shutil.copytree(registry.package("waves", "1.0"), folder)
    (folder / "manifest.csv").write_text(manifest_of(raw).dump())

    def describe(document: dict[str, Any]) -> None:
        document["version"] = version
        del document["sciml"]["sample"]
        document["sciml"] |= {
            "native": {
                "reader": "hdf5_arrays",
                "arrays": {
                    split: {"height": {"file": f"{split}.h5", "key": "height"}}
                    for split in heights
                },
            },
            "splits": {split: [f"{split}.h5"] for split in heights},
            "variables": {
                "time": {"dims": ["time"], "dtype": "int64", "long_name": "hour"},
                "height": {
                    "dims": ["time"], "dtype": "float32", "units": "m", "long_name": "height",
                },
            },
        }  # fmt: skip

    document = json.loads((folder / "datapackage.json").read_text())
    if "sample" not in document["sciml"]:
        change_descriptor(
            folder, lambda document: document["sciml"].update(sample={"description": ""})
        )
    change_descriptor(folder, describe)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = small_registry(tmp_path / "registry")
    write_version(registry, tmp_path / "raw-1.0", "1.0", {"train": [1, 2, 3], "test": [4]})
    write_version(registry, tmp_path / "raw-1.1", "1.1", {"train": [1, 2, 6], "test": [4]})
    write_derived(registry)
    return registry


def diff(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(
        group, ["diff", "waves", *arguments, "--registry", str(registry.root)]
    )


def test_a_version_that_is_not_converted_is_named_with_what_to_type(
    registry: Registry, home: Home
) -> None:
    result = diff(registry, "1.0", "1.1")
    size = read_manifest(registry.package("waves", "1.0") / "manifest.csv").total_bytes

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "changed    train.h5",
        f"same       1 file; bytes {size} -> {size}",
    ]
    assert result.stderr.splitlines() == [
        f"values were not compared: waves {version} was not converted in {home.root}; type: "
        f"sciml-data get waves --version {version} && sciml-data convert waves --version {version}"
        for version in ("1.0", "1.1")
    ]


def test_values_are_compared_where_both_are_converted(registry: Registry, tmp_path: Path) -> None:
    for version in ("1.0", "1.1"):
        raw = tmp_path / f"raw-{version}"
        get_dataset("waves", version=version, registry=registry.root, mirrors=[f"file:{raw}"])
        convert_dataset("waves", version=version, registry=registry.root)

    result = diff(registry, "1.0", "1.1")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[2:] == [
        "values     train/height: mean 2 -> 3, max 3 -> 6",
        "values     equal: 3 of 4 variables",
    ]
    document = json.loads(diff(registry, "1.0", "1.1", "--json").stdout)
    assert document["files"]["changed"] == ["train.h5"]
    assert document["values"][0]["after"]["mean"] == 3.0
    assert "--no-values" not in result.stderr
    assert json.loads(diff(registry, "1.0", "1.1", "--json", "--no-values").stdout)["values"] == []


def test_fields_that_differ_are_named(registry: Registry) -> None:
    change_descriptor(
        registry.package("waves", "1.1"),
        lambda document: (
            document.update(title="Heights at three buoys"),
            document["sciml"]["variables"]["height"].update(units="cm"),
            document["sciml"]["splits"].update(all=["**"]),
        ),
    )

    lines = diff(registry, "1.0", "1.1", "--no-values").stdout.splitlines()

    assert lines[2:] == [
        'field      title: "Heights of waves at two buoys" -> "Heights at three buoys"',
        'field      sciml.splits.all: missing -> ["**"]',
        'field      sciml.variables.height.units: "m" -> "cm"',
    ]


def test_a_version_does_not_differ_from_itself(registry: Registry) -> None:
    result = diff(registry, "1.0", "1.0", "--no-values")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("waves 1.0 and 1.0: no difference\n")


def test_the_same_version_of_two_registries_is_compared(registry: Registry, tmp_path: Path) -> None:
    other = shutil.copytree(registry.root, tmp_path / "other")
    change_descriptor(
        other / "datapackages/waves/1.0", lambda document: document.update(title="Sea waves")
    )

    result = diff(registry, "1.0", "1.0", "--other-registry", str(other))

    assert result.exit_code == 1
    assert "field      title:" in result.stdout


def test_a_version_that_nobody_pinned_has_no_files_to_compare(registry: Registry) -> None:
    folder = registry.package("waves", "1.1")
    (folder / "manifest.csv").unlink()
    change_descriptor(
        folder,
        lambda document: (
            document["sciml"].update(trust="unpinned"),
            document["resources"].clear(),
            document["resources"].append({"name": "x", "path": "https://example.org/x.csv",
                "bytes": 1, "hash": f"sha256:{'0' * 64}", "format": "csv",
                "mediatype": "text/csv"}),
        ),
    )  # fmt: skip

    result = diff(registry, "1.0", "1.1", "--no-values")

    assert "files were not compared: waves 1.1 not pinned" in result.stderr
    assert result.exit_code == 1


def test_a_version_that_is_not_there_is_a_wrong_call(registry: Registry) -> None:
    assert getattr(diff(registry, "1.0", "2.0").exception, "exit_code", None) == 2

"""Descriptors: everything that is wrong is said at once, each with its place.

`golden/<case>/` has a broken version folder of the dataset `waves` and the whole message it gives.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sciml_data.errors import DescriptorError
from sciml_data.registry.descriptor import (
    Mirror,
    check_descriptor,
    load_descriptor,
    read_descriptor,
)
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import match_paths
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import FILES, small_registry

GOLDEN = Path(__file__).parent / "golden"
BUILT_IN = [
    pytest.param(dataset, version, id=f"{dataset}-{version}")
    for dataset in find_registry().datasets()
    for version in find_registry().versions(dataset)
]


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_broken_descriptor_gives_the_whole_message(case: str, tmp_path: Path) -> None:
    expected = (GOLDEN / case / "expected.txt").read_text(encoding="utf-8")
    folder = tmp_path / "waves" / "1.0"
    shutil.copytree(GOLDEN / case, folder, ignore=shutil.ignore_patterns("expected.txt"))

    with pytest.raises(DescriptorError) as error:
        read_descriptor(folder)

    assert f"{error.value}\n" == expected


def test_a_sound_descriptor_is_read_whole(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)

    descriptor = load_descriptor(registry, "waves")

    assert (descriptor.dataset, descriptor.version, descriptor.trust) == ("waves", "1.0", "pinned")
    assert descriptor.is_pinned
    assert descriptor.manifest == FILES
    assert descriptor.variables["height"].units == "m"
    assert descriptor.splits == {"all": ("**",)}
    assert descriptor.mirrors[0].url("deep/2001.csv") == "https://example.org/waves/deep/2001.csv"
    assert descriptor.live is None


def test_a_live_version_names_its_service() -> None:
    live = load_descriptor(find_registry(), "tevolop_socal", "live").live

    assert live is not None
    assert live.base == "https://earthquake.usgs.gov/fdsnws/event/1/"
    assert live.parameters["eventtype"] == "earthquake"


def test_an_unpinned_version_needs_no_manifest(tmp_path: Path) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")
    (folder / "manifest.csv").unlink()
    (folder / "note.txt").write_text("")
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    change_descriptor(
        folder,
        lambda document: (
            document["sciml"].update(trust="unpinned"),
            document["resources"][0].update(path="note.txt", bytes=0, hash=empty),
        ),
    )

    assert check_descriptor(folder) == []


def problems_with(folder: Path, **sciml: Any) -> list[tuple[str, str]]:
    """Return kind and place of what is wrong once these keys of `sciml` are replaced."""
    change_descriptor(folder, lambda document: document["sciml"].update(sciml))
    return [(problem.kind, problem.place) for problem in check_descriptor(folder)]


def test_native_files_that_nothing_reads_have_a_format_and_promise_no_more(tmp_path: Path) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")
    native = {"format": "Rolls of paper with ink on them"}

    assert problems_with(folder, native={}) == [("schema", "$.sciml.native.reader")]
    assert problems_with(folder, native=native | {"reader": "earthquake"}) == [
        ("native", "$.sciml.variables"),
        ("native", "$.sciml.sample"),
        ("native", "$.sciml.native.reader"),
    ]
    change_descriptor(folder, lambda document: document["sciml"].pop("sample"))
    assert problems_with(folder, native=native, variables={}) == []
    assert problems_with(folder, native={"reader": "earthquake"}) == [
        ("to fill", "$.sciml.variables")
    ]


def test_arrays_and_declared_variables_are_the_same(tmp_path: Path) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")
    variable = {"dims": ["time"], "dtype": "float32", "long_name": "height"}
    array = {"file": "a.h5", "key": "height"}
    native: dict[str, Any] = {"reader": "hdf5_arrays", "arrays": {"all": {"height": array}}}
    declared = {"height": variable, "time": variable}

    assert problems_with(folder, native=native, variables=declared) == []
    assert problems_with(folder, variables=declared | {"period": variable}) == [
        ("native", "$.sciml.native.arrays.all")
    ]
    assert problems_with(folder, native=native | {"padded": {"x": "n"}}, variables=declared) == [
        ("native", "$.sciml.native.padded.x")
    ]
    native["arrays"]["all"]["period"] = array
    assert problems_with(folder, native=native, variables=declared) == [
        ("native", "$.sciml.native.arrays.all")
    ]
    assert problems_with(folder, native={"reader": "hdf5_arrays"}) == [
        ("schema", "$.sciml.native.arrays")
    ]


@pytest.mark.parametrize(("dataset", "version"), BUILT_IN)
def test_built_in_descriptors_are_sound(dataset: str, version: str) -> None:
    assert check_descriptor(find_registry().package(dataset, version)) == []


@pytest.mark.parametrize(("dataset", "version"), BUILT_IN)
@pytest.mark.filterwarnings("ignore")  # Frictionless' own
def test_frictionless_agrees_on_built_in_descriptors(dataset: str, version: str) -> None:
    frictionless = pytest.importorskip("frictionless")
    path = find_registry().package(dataset, version) / "datapackage.json"

    report = frictionless.validate(str(path))

    assert report.flatten(["type", "note"]) == []


@pytest.mark.filterwarnings("ignore")  # Frictionless' own
def test_frictionless_agrees_on_what_new_writes(tmp_path: Path) -> None:
    frictionless = pytest.importorskip("frictionless")
    path = small_registry(tmp_path).package("waves", "1.0") / "datapackage.json"

    assert frictionless.validate(str(path)).flatten(["type", "note"]) == []


def test_the_longest_prefix_of_a_mirror_wins() -> None:
    mirror = Mirror("two", {"a/": "https://one.org/", "a/b/": "https://two.org/x/"})

    assert mirror.url("a/c") == "https://one.org/c"
    assert mirror.url("a/b/c") == "https://two.org/x/c"
    assert mirror.url("b/c") is None


def test_globs_do_not_stop_at_slashes() -> None:
    paths = ["a.csv", "a/b.csv", "a/b/c.txt"]

    assert match_paths(["*.csv"], paths) == ["a.csv", "a/b.csv"]
    assert match_paths(["a/**"], paths) == ["a/b.csv", "a/b/c.txt"]
    assert match_paths([], paths) == []


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        ({"spatial": {"place": "Sea", "north": 1, "south": 2, "east": 3, "west": 4}},
         [("coverage", "$.sciml.coverage.spatial.north")]),
        ({"temporal": {"start": "2001-01-02", "end": "2001-01-01"}},
         [("coverage", "$.sciml.coverage.temporal.end")]),
        ({"spatial": {"place": "Sea", "north": 91, "south": 2, "east": 3, "west": 4}},
         [("schema", "$.sciml.coverage.spatial.north")]),
        ({"spatial": {"place": "Sea", "resolution": {"value": 1, "unit": "mile"}}},
         [("schema", "$.sciml.coverage.spatial.resolution.unit")]),
        ({"instruments": [{"name": "buoy", "bands": {"red": 0}}]},
         [("schema", "$.sciml.coverage.instruments[0].bands.red")]),
        ({"place": "Sea"}, [("schema", "$.sciml.coverage.place")]),
        ({"spatial": {"place": "Pacific", "north": 2, "south": -2, "east": -170, "west": 170}}, []),
        ({"temporal": {"start": "2001"}}, []),
    ],
)  # fmt: skip
def test_a_coverage_that_contradicts_itself_is_named(
    tmp_path: Path, coverage: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")

    assert problems_with(folder, coverage=coverage) == expected


def test_a_box_has_four_sides(tmp_path: Path) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")

    found = problems_with(folder, coverage={"spatial": {"place": "Sea", "north": 2}})

    assert {kind for kind, _ in found} == {"schema"}
    assert found

"""Every deviation of a granule is reported with its file and key; unknown options likewise."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, load_format, slstr_hdf5
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, SOLAR_IRRADIANCE, Options
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, ready_folder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.options import parse_options
from sciml_data.registry.stages import Verified
from tests.support.slstr_scenes import native_of, scene_path, write_scenes

Change = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def one(native: Native, tmp_path: Path) -> tuple[Path, str]:
    """Return a copy of the first training scene, a day, in a folder of its own: root and path."""
    place = scene_path(native, 0)
    (tmp_path / "native" / "training").mkdir(parents=True)
    shutil.copy(native.root / place, tmp_path / "native" / place)
    return tmp_path / "native", place


def problems_of(root: Path, options: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Return kind and key of everything that is said of the files in a folder."""
    native = native_of(root)
    try:
        for shard in slstr_hdf5.shards(native, options or {}):
            slstr_hdf5.read(native, shard, options or {})
    except NativeFormatError as error:
        return [(problem.kind, problem.place.rpartition(":")[2]) for problem in error.problems]
    return []


def _edit(one: tuple[Path, str], change: Change) -> None:
    with h5py.File(one[0] / one[1], "r+") as file:
        change(file)


def _put(file: h5py.File, key: str, values: NDArray[Any]) -> None:
    del file[key]
    file[key] = values


def _scaled(key: str, factor: float, shift: float = 0.0) -> Change:
    return lambda file: _put(file, key, file[key][...] * factor + shift)


def _as(key: str, dtype: str) -> Change:
    return lambda file: _put(file, key, file[key][...].astype(dtype))


def _radiance(file: h5py.File) -> None:
    _put(file, "refs", file["rads"][...].astype(np.float64))


def _swapped(file: h5py.File) -> None:
    _put(file, "refs", file["refs"][...][..., ::-1])


def _bit_14(file: h5py.File) -> None:
    file["summary"][...] = file["summary"][...] * 16384


def _delete(file: h5py.File) -> None:
    del file["summary"]


def _add(file: h5py.File) -> None:
    file["probability"] = np.zeros(3)


def _spare(file: h5py.File) -> None:
    file["bayes"][5, 5] = 17


def _hole(file: h5py.File) -> None:
    file["bts"][10:80] = np.nan


DEVIATIONS: dict[str, tuple[Change, tuple[str, str]]] = {
    "a key is missing": (_delete, ("missing", "summary")),
    "a key too many": (_add, ("unexpected", "probability")),
    "too few rows": (lambda f: _put(f, "bts", f["bts"][4:]), ("shape", "bts")),
    "too few bands": (lambda f: _put(f, "refs", f["refs"][..., :4]), ("shape", "refs")),
    "integers for kelvin": (_as("bts", "int16"), ("dtype", "bts")),
    "signed bits": (_as("bayes", "int64"), ("dtype", "bayes")),
    "radiance for reflectance": (_radiance, ("quantity", "refs")),
    "neither radiance nor reflectance": (_swapped, ("quantity", "refs")),
    "celsius for kelvin": (_scaled("bts", 1, -273.15), ("finite", "bts")),
    "packed numbers for kelvin": (_scaled("bts", 100), ("range", "bts")),
    "mostly holes": (_hole, ("finite", "bts")),
    "spare bits": (_spare, ("bits", "bayes")),
    "a summary of bits": (_bit_14, ("values", "summary")),
    "a summary of fractions": (_scaled("summary", 0.5), ("dtype", "summary")),
}


@pytest.mark.parametrize("what", DEVIATIONS)
def test_every_deviation_is_reported_with_its_key(one: tuple[Path, str], what: str) -> None:
    change, expected = DEVIATIONS[what]

    assert problems_of(one[0]) == []
    _edit(one, change)

    assert expected in problems_of(one[0])


def test_all_deviations_of_all_files_are_told_at_once_and_the_others_are_made(
    native: Native, tmp_path: Path
) -> None:
    folder = DatasetFolder(tmp_path)
    shutil.copytree(native.root, folder.native)
    changed = {scene_path(native, number): change for number, change in ((0, _delete), (1, _add))}
    for place, change in changed.items():
        _edit((folder.native, place), change)
    torn = scene_path(native, 5)
    (folder.native / torn).write_bytes(b"no HDF5")
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")

    with pytest.raises(NativeFormatError) as error:
        convert(Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True))

    assert {torn, *changed} == {
        problem.place.partition(".hdf")[0] + ".hdf" for problem in error.value.problems
    }
    assert sorted(p.kind for p in error.value.problems) == ["missing", "unexpected", "unreadable"]
    assert "3 of 7 ready files" in error.value.message
    ready = ready_folder(folder, {})
    assert len(list(ready.glob("*.nc"))) == 4
    listed = (ready / "problems.txt").read_text(encoding="utf-8").splitlines()
    assert [str(problem) for problem in error.value.problems] == listed


def test_names_that_are_no_granules_are_told_at_once_before_any_is_opened(
    one: tuple[Path, str],
) -> None:
    root, place = one
    for name in ("training/scene.hdf", "training/notes.txt", f"elsewhere/{Path(place).name}"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"")

    assert problems_of(root) == [
        ("split", f"elsewhere/{Path(place).name}"),
        ("unexpected", "training/notes.txt"),
        ("name", "training/scene.hdf"),
    ]


def test_a_granule_that_stands_twice_in_a_split_is_reported(one: tuple[Path, str]) -> None:
    root, place = one
    (root / "training" / "night").mkdir()
    shutil.copy(root / place, root / "training" / "night")

    assert {"name"} == {kind for kind, _ in problems_of(root)}


def test_a_descriptor_may_tolerate_harmless_kinds_only(one: tuple[Path, str]) -> None:
    _edit(one, _spare)
    _edit(one, _add)
    block = {"tolerates": ["bits", "unexpected", "missing"]}
    native = native_of(one[0], block)
    (shard,) = slstr_hdf5.shards(native, {})

    ready = slstr_hdf5.read(native, shard, {})
    assert ready["bayes"].values[0, 5, 5] == 17

    _edit(one, _delete)
    with pytest.raises(NativeFormatError, match="summary"):
        slstr_hdf5.read(native, shard, {})


def test_radiance_is_accepted_where_it_is_said_and_made_comparable(one: tuple[Path, str]) -> None:
    root, place = one
    with h5py.File(root / place) as file:
        radiance = file["rads"][...]
    assert ("quantity", "refs") in problems_of(root, {"refs": "radiance"})

    _edit(one, _radiance)
    native = native_of(root)
    (shard,) = slstr_hdf5.shards(native, {})
    ready = slstr_hdf5.read(native, shard, {"refs": "radiance"})

    irradiance = np.array([SOLAR_IRRADIANCE[band] for band in REFLECTIVE])
    valid = ready["valid"].values[0] == 1
    expected = (np.pi * radiance / irradiance)[valid]
    np.testing.assert_allclose(
        ready["reflectance"].values[0][valid], expected, rtol=1e-5, atol=1e-7
    )
    assert "standard_name" not in ready["reflectance"].attrs


def test_unknown_options_are_refused_with_the_nearest_all_at_once() -> None:
    wrong = {"lable": "bayes", "label": "bayse", "bayes_bits": "single_hi", "exclude": 3}

    with pytest.raises(CallError) as error:
        parse_options(Options, wrong)

    assert [problem.place for problem in error.value.problems] == [
        "lable",
        "label",
        "bayes_bits",
        "exclude",
    ]
    assert "did you mean 'label'" in str(error.value)
    assert "did you mean 'bayes'" in str(error.value)


def test_the_order_of_words_makes_no_other_options() -> None:
    assert parse_options(Options, {"bayes_bits": "dual_low,single_low"}) == parse_options(
        Options, {"bayes_bits": ["single_low", "dual_low"]}
    )


def test_the_reader_is_found_by_its_name() -> None:
    assert slstr_hdf5 is load_format("slstr_hdf5")

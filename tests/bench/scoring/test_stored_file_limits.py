"""Each reason to refuse a file of predictions has its own check, and each limit is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciml_data.bench.scoring import stored_file
from sciml_data.bench.scoring.predictions import Predictions, save_predictions
from sciml_data.bench.scoring.stored_file import file_problems
from tests.support.hostile_predictions import NOT_PREDICTIONS, edited, part_of, replaced

PARTS = ("train", "validation", "test", "later")
AXES = {"row": np.arange(62), "output": np.array(["a", "b"], dtype=object)}


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Return a sound file of four parts, each of four members."""
    path = tmp_path / "run" / "predictions.nc"
    values = np.random.default_rng(0).normal(size=(62, 2)).astype("float32")
    part = Predictions(values, values + 1, AXES)
    save_predictions(path, dict.fromkeys(PARTS, part), synthetic=False)
    return path


def reasons(path: Path) -> list[tuple[str, str]]:
    """Return (place without the name of the file, message) of each problem."""
    assert {problem.kind for problem in file_problems(path)} <= {"predictions"}
    return [
        (problem.place.removeprefix("predictions.nc"), problem.message)
        for problem in file_problems(path)
    ]


def refused(path: Path, *expected: tuple[str, str]) -> None:
    """Check that the problems of a file are at these places and mention these words."""
    found = reasons(path)
    assert sorted(place for place, _ in found) == sorted(place for place, _ in expected)
    for place, word in expected:
        assert any(word in message for where, message in found if where == place)


@pytest.mark.parametrize(
    ("name", "place", "word"),
    [
        ("text", "", "NetCDF-4"),
        ("empty", "", "NetCDF-4"),
        ("NetCDF-3", "", "NetCDF-4"),
        ("folder", "", "folder"),
        ("link", "", "link"),
        ("half a file", "", ""),
        ("signature only", "", ""),
        ("a group more", "/hidden", "not expected"),
        ("a group in a part", "/test/hidden", "not an array"),
        ("a part that is an array", "/test", "not a group"),
        ("other shape", "/test/predicted", "shape (61, 2)"),
        ("no axes", "/test/predicted", "shape ()"),
        ("texts", "/test/predicted", "type |S1"),
        ("objects", "/test/predicted", "type object"),
        ("complex", "/test/predicted", "type complex128"),
        ("a filter of others", "/test/predicted", "filters [32000]"),
        ("a text for every row", "/test/row", "bytes of text"),
        ("no parts", "", "no attribute"),
        ("parts that climb", "", "'../../x' cannot"),
        ("parts without name", "", "'' cannot"),
        ("parts that repeat", "", "twice"),
        ("parts too many", "", "more than 64"),
        ("parts that are numbers", "", "not a text"),
        ("parts that are empty", "", "not a text"),
    ],
)
def test_each_reason_is_found_by_its_own_check(
    sound: Path, name: str, place: str, word: str
) -> None:
    if name == "a text for every row":
        edited(lambda file: part_of(file).__delitem__("row"))(sound)
        edited(lambda file: part_of(file).create_dataset("row", data=np.arange(62)))(sound)
    NOT_PREDICTIONS[name](sound)

    refused(sound, (place, word))


def test_every_problem_of_a_part_is_named(sound: Path) -> None:
    NOT_PREDICTIONS["nine axes"](sound)
    refused(sound, ("/test/predicted", "more than 8 axes"), ("/test/predicted", "has shape (1, 1"))


def test_each_part_that_is_missing_or_not_named_is_a_problem(sound: Path) -> None:
    NOT_PREDICTIONS["a part more"](sound)  # `fresh` instead of `later`

    refused(sound, ("/fresh", "is missing"), ("/later", "not expected"))


def test_a_link_is_named_beside_what_is_missing(sound: Path) -> None:
    def change(file: h5py.File) -> None:
        part_of(file)["more"] = h5py.SoftLink("/test/observed")

    edited(change)(sound)

    assert ("/test/more", "is a link, which is not followed") in reasons(sound)


def test_a_coordinate_that_fits_no_axis_is_named(sound: Path) -> None:
    replaced("row", data=np.arange(61))(sound)
    refused(sound, ("/test/row", "shape (61,)"))
    replaced("row", data=np.zeros((62, 2)))(sound)
    refused(sound, ("/test/row", "shape (62, 2)"))


def test_each_axis_has_a_coordinate(sound: Path) -> None:
    edited(lambda file: part_of(file).__delitem__("row"))(sound)

    refused(sound, ("/test", "2 axes, 1 coordinates"))


def remake(path: Path, values: np.ndarray, **options: Any) -> None:
    """Write a file of one part with these values as observed and predicted."""
    with h5py.File(path, "w") as file:
        file.attrs["parts"] = "test"
        group = file.create_group("test")
        for name in ("observed", "predicted"):
            group.create_dataset(name, data=values, **options)
        for number, length in enumerate(values.shape):
            group[f"axis{number}"] = np.arange(length)


@pytest.mark.parametrize("kind", ["?", "u1", "i8", "f2", "f8"])
def test_numbers_of_up_to_eight_bytes_are_allowed(sound: Path, kind: str) -> None:
    remake(sound, np.zeros((3, 2), kind))

    # h5py stores a bool as an enumeration of small numbers, and returns it as a bool.
    assert reasons(sound) == []


def test_larger_numbers_are_refused(sound: Path) -> None:
    remake(sound, np.zeros((3, 2), "g"))

    refused(sound, ("/test/observed", "type float128"), ("/test/predicted", "type float128"))


@pytest.mark.parametrize("axes", [8, 9])
def test_arrays_have_at_most_eight_axes(sound: Path, axes: int) -> None:
    remake(sound, np.zeros((1,) * axes))

    assert bool(reasons(sound)) is (axes == 9)


def test_the_filters_of_netcdf_are_allowed(sound: Path) -> None:
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    remake(sound, np.zeros((3, 2)), **options)

    assert reasons(sound) == []


def test_a_filter_that_is_applied_twice_is_refused(sound: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((62, 2))
    for _ in range(2):
        properties.set_deflate(4)

    def change(file: h5py.File) -> None:
        group = part_of(file)
        del group["predicted"]
        space = h5py.h5s.create_simple((62, 2))
        h5py.h5d.create(group.id, b"predicted", h5py.h5t.IEEE_F32LE, space, properties)

    edited(change)(sound)

    refused(sound, ("/test/predicted", ""))  # by the check of the format, or by ours


def test_texts_in_chunks_are_refused(sound: Path) -> None:
    texts = np.array([f"row {number}" for number in range(62)], dtype=object)
    replaced("row", data=texts)(sound)
    assert reasons(sound) == []
    replaced("row", data=texts, chunks=(10,))(sound)

    refused(sound, ("/test/row", "one after another"))


@pytest.mark.parametrize(
    ("limit", "count", "words"),
    [
        ("MAX_PARTS", 4, "more than"),
        ("MAX_MEMBERS", 4, "members"),
        ("MAX_ATTRIBUTE_BYTES", 0, "not a text"),
        ("MAX_DECLARED_BYTES", 0, "are allowed"),
        ("MAX_FILE_BYTES", 0, "more than"),
    ],
)
def test_a_limit_is_reached_and_not_exceeded(
    sound: Path, monkeypatch: pytest.MonkeyPatch, limit: str, count: int, words: str
) -> None:
    with h5py.File(sound) as file:
        arrays = [each for part in PARTS for each in file[part].values()]
        attribute = file.attrs.get_id("parts").get_storage_size()
        declared = sum(each.dtype.itemsize * each.size for each in arrays)
    measured = {
        "MAX_ATTRIBUTE_BYTES": attribute,
        "MAX_DECLARED_BYTES": declared,
        "MAX_FILE_BYTES": sound.stat().st_size,
    }
    count = measured.get(limit, count)

    monkeypatch.setattr(stored_file, limit, count)
    assert reasons(sound) == []
    monkeypatch.setattr(stored_file, limit, count - 1)
    assert words in reasons(sound)[0][1]


@pytest.mark.parametrize("name", ["a-1_b.C", "x" * 100])
def test_names_of_parts_have_letters_digits_and_few_marks(tmp_path: Path, name: str) -> None:
    part = Predictions(np.zeros((62, 2)), np.zeros((62, 2)), AXES)
    path = tmp_path / "predictions.nc"
    save_predictions(path, {name: part}, synthetic=True)

    assert reasons(path) == []
    save_predictions(path, {f".{name}": part}, synthetic=True)
    refused(path, ("", "name of a part"))


def test_arrays_have_to_store_a_share_of_what_they_declare(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remake(sound, np.zeros((100, 100)), compression="gzip")
    with h5py.File(sound) as file:
        stored = file["test/observed"].id.get_storage_size()
    needed = -(-80_000 // stored)

    monkeypatch.setattr(stored_file, "MAX_RATIO", needed)
    assert reasons(sound) == []
    monkeypatch.setattr(stored_file, "MAX_RATIO", needed - 1)
    words = (f"declares 80,000 bytes and stores {stored:,}",) * 2
    refused(sound, ("/test/observed", words[0]), ("/test/predicted", words[1]))
    monkeypatch.setattr(stored_file, "SMALL_BYTES", 80_000)
    assert reasons(sound) == []


def test_an_array_may_store_just_what_it_declares(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remake(sound, np.zeros((100, 100)))

    monkeypatch.setattr(stored_file, "MAX_RATIO", 1)
    assert reasons(sound) == []

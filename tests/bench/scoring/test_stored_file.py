"""A file of predictions is opened only after everything in it was found harmless."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml_data.bench.scoring.predictions import (
    Predictions,
    load_predictions,
    save_predictions,
    value_problems,
)
from sciml_data.bench.scoring.stored_file import file_problems
from sciml_data.errors import RecordError
from tests.support.hostile_predictions import NOT_FINITE, NOT_PREDICTIONS, OUTSIDE, edited, part_of


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Return a sound file of three parts."""
    path = tmp_path / "run" / "predictions.nc"
    names = np.array([f"row {number}" for number in range(62)], dtype=object)
    values = np.random.default_rng(0).normal(size=(62, 2)).astype("float32")
    axes = {"row": names, "output": np.array(["a", "b"], dtype=object)}
    part = Predictions(values, values + 1, axes)
    save_predictions(path, dict.fromkeys(("train", "validation", "test"), part), synthetic=False)
    return path


@pytest.mark.parametrize("make", NOT_PREDICTIONS.values(), ids=NOT_PREDICTIONS)
def test_a_file_that_is_not_predictions_is_refused_by_its_name(
    sound: Path, make: Callable[[Path], None]
) -> None:
    make(sound)

    began = time.monotonic()
    problems = file_problems(sound)
    with pytest.raises(RecordError) as error:
        load_predictions(sound)

    assert problems
    assert {problem.kind for problem in problems} == {"predictions"}
    assert {problem.place.partition("/")[0] for problem in problems} == {sound.name}
    assert error.value.problems == tuple(problems)
    assert OUTSIDE not in str(error.value)
    assert time.monotonic() - began < 60  # nothing of 8 TiB was touched


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("external link", "predictions.nc/test/predicted"),
        ("external storage", "predictions.nc/test/predicted"),
        ("8 TiB declared", "predictions.nc/test/predicted"),
        ("a text for every row", "predictions.nc/test/row"),
        ("other name", "predictions.nc/test/predicted"),
        ("a group more", "predictions.nc/hidden"),
        ("texts", "predictions.nc/test/predicted"),
        ("a part more", "predictions.nc/fresh"),
    ],
)
def test_the_variable_that_is_refused_is_named(sound: Path, name: str, place: str) -> None:
    NOT_PREDICTIONS[name](sound)

    assert place in {problem.place for problem in file_problems(sound)}


@pytest.mark.parametrize("make", NOT_FINITE.values(), ids=NOT_FINITE)
def test_predictions_that_are_not_numbers_are_counted(
    sound: Path, make: Callable[[Path], None]
) -> None:
    make(sound)

    (problem,) = value_problems(sound.name, load_predictions(sound))

    assert problem.place == "predictions.nc/test/predicted"


def test_a_part_without_any_finite_prediction_is_named() -> None:
    nothing = Predictions(np.full(3, np.nan), np.full(3, np.nan), {"row": np.arange(3)})

    (problem,) = value_problems("a.nc", {"test": nothing})

    assert problem.place == "a.nc/test/predicted"


@pytest.mark.parametrize(
    ("observed", "predicted", "place", "words"),
    [
        ([1.0, 2.0, 3.0], [1.0, np.nan, np.nan], "/predicted", "2 of 3 observations"),
        ([1.0, 2.0, np.nan], [1.0, np.inf, np.nan], "/predicted", "1 of 2 observations"),
        ([1.0, 2.0, np.nan], [1.0, 2.0, np.inf], "", "1 values are infinite"),
        ([1.0, 2.0, -np.inf], [1.0, 2.0, 3.0], "", "1 values are infinite"),
        ([1.0, 2.0, np.inf], [1.0, 2.0, np.inf], "", "2 values are infinite"),
        ([1.0, 2.0, 3.0], [np.nan, np.inf, -np.inf], "/predicted", "no finite value"),
    ],
)
def test_missing_and_infinite_values_are_counted_in_their_part(
    observed: list[float], predicted: list[float], place: str, words: str
) -> None:
    part = Predictions(np.array(observed), np.array(predicted), {"row": np.arange(3)})
    sound = Predictions(np.ones(3), np.ones(3), {"row": np.arange(3)})

    (problem,) = value_problems("a.nc", {"sound": sound, "test": part})

    assert (problem.kind, problem.place) == ("predictions", f"a.nc/test{place}")
    assert words in problem.message


def test_what_no_observation_asks_for_may_be_missing() -> None:
    part = Predictions(np.array([1.0, np.nan]), np.array([2.0, np.nan]), {"row": np.arange(2)})

    assert value_problems("a.nc", {"test": part}) == []


@pytest.mark.parametrize("values", [np.zeros(3, "u1"), np.zeros((0,)), np.zeros(100_000)])
def test_whole_numbers_no_rows_and_constant_values_are_predictions(
    tmp_path: Path, values: np.ndarray
) -> None:
    part = Predictions(values, values, {"row": np.arange(len(values))})
    save_predictions(tmp_path / "a.nc", {"test": part}, synthetic=False)

    assert file_problems(tmp_path / "a.nc") == []


def test_an_array_of_fill_values_that_were_never_written_is_refused(sound: Path) -> None:
    def change(file: h5py.File) -> None:
        for name in ("observed", "predicted"):
            del part_of(file)[name]
            part_of(file).create_dataset(name, shape=(62, 2000), dtype="f8", chunks=(62, 200))
        del part_of(file)["output"]
        part_of(file).create_dataset("output", data=np.arange(2000))

    edited(change)(sound)

    assert {problem.place for problem in file_problems(sound)} == {
        "predictions.nc/test/observed",
        "predictions.nc/test/predicted",
    }


def test_flipped_bytes_are_predictions_or_a_sentence(sound: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = sound.read_bytes()
    copy = tmp_path / "flipped.nc"
    for _ in range(60):
        flipped = bytearray(content)
        for place in random.integers(0, len(content), 3):
            flipped[place] ^= int(random.integers(1, 256))
        copy.write_bytes(flipped)
        with contextlib.suppress(RecordError):  # any other error fails this test
            load_predictions(copy)
    shutil.copy(sound, copy)
    assert set(load_predictions(copy)) == {"train", "validation", "test"}

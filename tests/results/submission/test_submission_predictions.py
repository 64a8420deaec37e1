"""A submission's predictions are opened under limits, and each fault is refused by its name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sciml_data.results.submission import verification
from tests.support.hostile_predictions import NOT_FINITE, NOT_PREDICTIONS, ONE_OF_EACH, OUTSIDE
from tests.support.submissions import (
    Bench,
    change_record,
    hide,
    kinds,
    record_of,
    sha256,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FORGED = ONE_OF_EACH | NOT_FINITE


def forged(folder: Path, make: Callable[[Path], None]) -> Path:
    """Replace the predictions, and make every digest anew, as whoever forges them would."""
    path = folder / "predictions-1.nc"
    make(path)
    if path.is_file() and path.stat().st_size:
        facts = {"sha256": sha256(path), "size_bytes": path.stat().st_size}
        change_record(folder, lambda record: record["outputs"]["predictions"].update(facts))
    hide(folder)
    return folder


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_predictions_that_are_none_are_refused_by_their_name_and_never_scored(
    bench: Bench, one: Path, make: Callable[[Path], None]
) -> None:
    if make is not NOT_PREDICTIONS["device"]:  # a device has no hash
        forged(one, make)
    else:
        make(one / "predictions-1.nc")

    verdict = bench.check(one)
    # Anybody can write a verdict, so `rescore` may not rely on it.
    verification.mark(one, "submit check", {"record-1.json": (True, "no problem")})
    result = bench.call("rescore", str(one), "--home", str(bench.home))

    places = {problem["place"].partition("/")[0] for problem in verdict["problems"]}
    assert "predictions-1.nc" in places
    assert kinds(verdict) & {"predictions", "layout"}
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit) or hasattr(result.exception, "untouched")
    assert OUTSIDE not in str(verdict) + result.output + str(result.exception)


def test_predictions_of_other_parts_than_the_record_are_refused(bench: Bench, one: Path) -> None:
    change_record(one, lambda record: record["dataset"]["n_samples"].pop("test"))

    places = {problem["place"] for problem in bench.check(one)["problems"]}

    assert "predictions-1.nc/test" in places


def test_predictions_of_another_size_are_not_even_read(bench: Bench, one: Path) -> None:
    with (one / "predictions-1.nc").open("r+b") as file:
        file.truncate(1 << 43)  # 8 TiB, none of which is stored

    verdict = bench.check(one)

    messages = [p["message"] for p in verdict["problems"] if p["place"] == "predictions-1.nc"]
    assert any(f"{1 << 43:,} found" in message for message in messages)
    assert record_of(one, "record-1.json")["outputs"]["predictions"]["size_bytes"] < 1 << 20


NOT_PLAIN: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *itertools.product(("record-1.json", "manifest.csv", "README.md"), NOT_PLAIN),
        ("submission.json", "pipe"),
        ("submission.json", "link"),
    ],
)
def test_a_file_of_a_submission_that_is_not_plain_is_refused_by_its_name(
    bench: Bench, one: Path, name: str, kind: str
) -> None:
    (one / name).unlink()
    NOT_PLAIN[kind](one / name)

    verdict = bench.check(one)

    assert ("layout", name) in {(p["kind"], p["place"]) for p in verdict["problems"]}


def test_many_files_and_a_folder_with_files_are_named_once(bench: Bench, one: Path) -> None:
    (one / "deep" / "deeper").mkdir(parents=True)
    (one / "deep" / "deeper" / "submission.txt").write_text("x", encoding="utf-8")

    assert [p["place"] for p in bench.check(one)["problems"]] == ["deep"]

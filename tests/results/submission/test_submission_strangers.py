"""What strangers may send: files that lie, lead outside, or are made to be printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import xarray as xr

from sciml_data.results.submission import verification
from sciml_data.results.submission.files import parse_yaml
from sciml_data.results.submission.layout import Terms
from sciml_data.results.submission.record_checks import has_whole_history
from tests.support.submissions import (
    Bench,
    change_record,
    change_text,
    kinds,
    list_anew,
    record_of,
    write_json,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OTHER = f"sha256:{'9' * 64}"
Change = Callable[[dict[str, Any]], object]


def turned(record: dict[str, Any]) -> None:
    record["metric_definitions"][0]["lower_is_better"] ^= True


def quicker(record: dict[str, Any]) -> None:
    record["throughput"]["train_samples_per_s"] *= 2


def beyond(record: dict[str, Any]) -> None:
    next(r for r in record["metrics"] if r["metric_id"] == "explained")["score"] = 1.5


DENIED: dict[str, tuple[Change, str]] = {
    "direction": (turned, "definition"),
    "throughput": (quicker, "throughput"),
    "bounds": (beyond, "score"),
    "targets": (lambda record: record["targets"].clear(), "definition"),
    "members": (lambda record: record["split"].update(members_digest=OTHER), "split"),
    "split": (lambda record: record["split"].update(name="fifths"), "split"),
    "runner": (lambda record: record["code"].update(runner_digest=OTHER), "runner"),
    "dirty": (lambda record: record["code"].update(checkout_is_dirty=True), "commit"),
    "dataset": (lambda record: record["dataset"].update(id="other"), "dataset"),
    "version": (lambda record: record["dataset"].update(version="2.0"), "dataset"),
    "benchmark": (lambda record: record["benchmark"].update(name="tox"), "benchmark"),
    "status": (lambda record: record.update(status="aborted"), "status"),
    "synthetic": (lambda record: record.update(synthetic=True), "dataset"),
    "surprise": (lambda record: record.update(surprise=1), "unknown"),
    "predictions": (lambda record: record["outputs"].pop("predictions"), "predictions"),
}


@pytest.mark.parametrize(("change", "kind"), DENIED.values(), ids=DENIED)
def test_what_the_registry_or_the_record_itself_denies_is_refused(
    bench: Bench, one: Path, change: Change, kind: str
) -> None:
    change_record(one, change)

    assert kind in kinds(bench.check(one))


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("config.yaml", "epochs: 2", "epochs: 3", "config"),
        ("config.yaml", "division: open", "division: &a [*a]", "config"),
        ("config.yaml", "division: open", "division: [", "config"),
        ("README.md", "| explained, test |", "| explained, test | 1 |", "readme"),
        ("system.json", '"division": "open"', '"division": "closed"', "system"),
        ("VERSION.txt", "v", "w", "version"),
        ("submission.json", '"runs": 1', '"runs": 9', "terms"),
        ("submission.json", '"runs": 1', '"runs": "1"', "type"),
        ("submission.json", '"org": "lab"', '"org": "../../up"', "schema"),
        ("submission.json", '"org": "lab"', '"org": "others"', "layout"),
        ("scientific_contribution.md", "Each run", "Every run", "contribution"),
        ("README.md", "## Files", "/home/somebody/files", "path"),
        ("README.md", "## Files", "C:\\Users\\somebody", "path"),
        ("result-1.txt", '"lab"', '"others"', "log"),
    ],
)
def test_files_that_do_not_say_what_the_records_say_are_refused(
    bench: Bench, one: Path, name: str, old: str, new: str, kind: str
) -> None:
    change_text(one / name, old, new)
    list_anew(one)

    assert kind in kinds(bench.check(one))


def test_files_that_are_missing_or_too_many_are_refused(bench: Bench, one: Path) -> None:
    (one / "README.md").unlink()
    (one / "notes.txt").write_text("mine", encoding="utf-8")
    (one / "more").mkdir()
    (one / "link.nc").symlink_to(one / "config.yaml")
    (one / "scientific_contribution.pdf").write_bytes(b"not at all")

    places = {(problem["kind"], problem["place"]) for problem in bench.check(one)["problems"]}

    assert {("layout", name) for name in ("README.md", "notes.txt", "more", "link.nc")} <= places
    assert ("manifest", "README.md") in places
    assert ("contribution", "scientific_contribution.pdf") in places


def test_a_file_that_leads_outside_is_not_read(bench: Bench, one: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "swordfish"}', encoding="utf-8")
    (one / "record-1.json").unlink()
    (one / "record-1.json").symlink_to(secret)

    verdict = bench.check(one)

    assert "layout" in kinds(verdict)
    assert "swordfish" not in json.dumps(verdict)


def test_a_submission_in_another_folder_is_refused(bench: Bench, one: Path) -> None:
    moved = one.rename(one.with_name("second"))

    assert kinds(bench.check(moved)) == {"layout"}


def test_what_strangers_write_cannot_break_out_of_its_line(bench: Bench, one: Path) -> None:
    change_text(one / "submission.json", '"org": "lab"', '"org": "\\n::error::\\u001b[31mred"')

    result = bench.call("submit", "check", str(one), "--repository", str(bench.code))

    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert not any(line.startswith("::") for line in result.stdout.splitlines())


def test_the_verdict_does_not_outlive_a_change(bench: Bench, one: Path) -> None:
    accepted = bench.check(one)["state"]
    list_anew(one)
    same = verification.state_of(one)
    (one / "VERSION.txt").write_text("other\n", encoding="utf-8")
    list_anew(one)

    assert (accepted, same) == ("self_checked", "self_checked")
    assert verification.state_of(one) == "unchecked"


def test_an_unknown_repository_is_told_and_not_trusted(
    bench: Bench, one: Path, tmp_path: Path
) -> None:
    words = ("submit", "check", str(one), "--repository", str(tmp_path), "--json")
    (verdict,) = json.loads(bench.call(*words).stdout)

    assert not has_whole_history(tmp_path)
    assert verdict["accepted"]
    assert any("whole history is not here" in warning for warning in verdict["warnings"])


def test_a_folder_without_a_submission_is_a_wrong_call(bench: Bench, tmp_path: Path) -> None:
    result = bench.call("submit", "check", str(tmp_path))

    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == 2


def test_predictions_are_netcdf_that_anybody_opens(one: Path) -> None:
    with xr.open_dataset(one / "predictions-1.nc", group="test", engine="h5netcdf") as found:
        assert set(found.data_vars) == {"observed", "predicted"}


def test_a_large_document_in_a_small_yaml_is_not_read() -> None:
    from sciml_data.errors import RecordError

    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

    with pytest.raises(RecordError, match="references"):
        parse_yaml(bomb)


@pytest.mark.slow
def test_no_change_of_a_record_is_let_through_or_ends_the_check(bench: Bench, one: Path) -> None:
    random = Random(0)  # noqa: S311 - which changes are tried
    sound = record_of(one, "record-1.json")
    passed = []
    values: list[Any] = [None, 0, -1, 10**400, 1e308, "", "\x00\n", [], {}, True, [None]]
    for path in random.sample(sorted(places_in(sound), key=str), 60):
        value = random.choice(values)
        if path == ("record_digest",) or value_at(sound, path) == value:
            continue
        write_json(one / "record-1.json", sound)
        change_record(one, lambda record, path=path, value=value: put(record, path, value))  # type: ignore[misc]
        list_anew(one)
        if bench.check(one)["accepted"]:
            passed.append(path)

    assert passed == []


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a document, of the first three of each list."""
    items: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        items = list(enumerate(value[:3]))
    for key, inner in items:
        yield (*path, key)
        yield from places_in(inner, (*path, key))


def value_at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    value_at(document, path[:-1])[path[-1]] = value


def test_terms_name_every_key_of_the_rules() -> None:
    assert Terms("lab", "node-a", "first").document()["status"] == "research"

"""What is wrong with a log is found, each thing by name: by our check and by MLCommons' own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings, strategies

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.registry.layout import find_registry
from sciml_data.results.mlperf_log import check_lines, check_official, log_text, parse_lines
from sciml_data.results.mlperf_log.official import RULES, registry_rules, rule_file
from sciml_data.results.mlperf_log.submitter import APPLICATIONS, LINE_MARK
from tests.support.mllog_records import SUBMITTER, record_of, signed
from tests.support.paths import TOY_REGISTRY

BENCHMARKS = sorted(APPLICATIONS)
TOY = TOY_REGISTRY
Event = dict[str, Any]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return record_of("tevolop")


@pytest.fixture(scope="module")
def text(record: dict[str, Any]) -> str:
    return log_text(record, SUBMITTER)


def changed(text: str, key: str, change: Callable[[Event], object], *, number: int = 0) -> str:
    """Return a log with one of its lines changed."""
    events = parse_lines(text)
    change([event for event in events if event["key"] == key][number])
    return joined(events)


def joined(events: list[Event]) -> str:
    return "".join(f"{LINE_MARK}{json.dumps(event)}\n" for event in events)


def without(text: str, key: str) -> str:
    return joined([event for event in parse_lines(text) if event["key"] != key])


def kinds(text: str, record: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    return [(problem.kind, problem.place) for problem in check_lines(text, record)]


def numbered(cases: list[Any]) -> list[str]:
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


def put(*path: str | int, to: Any) -> Callable[[Event], None]:
    """Return what puts a value into an event."""

    def change(event: Event) -> None:
        inner: Any = event
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to

    return change


WRONG_LINES = [
    ("seed", put("value", to="0"), ("type", "line 12 seed value")),
    ("seed", put("value", to=True), ("type", "line 12 seed value")),
    ("seed", put("event_type", to="INTERVAL_START"), ("type", "line 12 seed event_type")),
    ("seed", put("namespace", to="GPU0"), ("type", "line 12 seed namespace")),
    ("seed", put("time_ms", to=1.786104e12), ("type", "line 12 seed time_ms")),
    ("seed", put("key", to="sed"), ("unknown", "line 12 sed")),
    ("seed", put("key", to=["seed"]), ("unknown", "line 12 ['seed']")),
    ("seed", put("metadata", to=None), ("type", "line 12 seed metadata")),
    (
        "seed",
        put("metadata", "file", to="/home/me/record.json"),
        ("path", "line 12 seed metadata.file"),
    ),
    (
        "seed",
        put("metadata", "file", to="../record.json"),
        ("path", "line 12 seed metadata.file"),
    ),
    (
        "submission_org",
        put("value", to="see /scratch/me/log"),
        ("path", "line 2 submission_org"),
    ),
    ("submission_org", put("value", to=" "), ("type", "line 2 submission_org value")),
    (
        "submission_division",
        put("value", to="closed"),
        ("type", "line 3 submission_division value"),
    ),
    ("submissiom_version", put("value", to="v2"), ("differs", "line 5 submissiom_version")),
    ("run_stop", put("metadata", "status", to="aborted"), ("type", "metadata.status")),
    ("result", put("value", to="0.9"), ("type", "result value")),
    (
        "result",
        put("value", "metrics", "test", "nnse", to="0.9"),
        ("type", "metrics.test.nnse"),
    ),
    ("epoch_start", put("metadata", "epoch_num", to=7), ("order", "epoch_start")),
    ("eval_stop", put("metadata", "epoch_num", to=7), ("pair", "eval_stop")),
    ("epoch_stop", put("time_ms", to=1), ("time", "epoch_stop time_ms")),
]


@pytest.mark.parametrize(("key", "change", "expected"), WRONG_LINES, ids=numbered(WRONG_LINES))
def test_a_line_that_is_wrong_is_named(
    text: str, key: str, change: Callable[[Event], None], expected: tuple[str, str]
) -> None:
    found = kinds(changed(text, key, change))

    kind, place = expected
    assert [kind] == [one for one, where in found if one == kind and where.endswith(place)][:1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace('"value": 0.5,', '"value": NaN,', 1), "nan"),
        (lambda text: text.replace('"value": 0.5,', '"value": 1e999,', 1), "nan"),
        (lambda text: text.replace('"value": 0.5,', '"value": 0.5, "value": 0.6,', 1), "form"),
        (lambda text: text.replace('"namespace": "", ', "", 1), "form"),
        (lambda text: "epoch 1 of 2\n" + text, "form"),
        (lambda text: text.replace("\n", "\r\n", 1), "form"),
        (lambda text: text.replace("}\n", "\n", 1), "json"),
        (lambda text: text + text, "duplicate"),
        (lambda _text: "", "form"),
    ],
    ids=["NaN", "infinite", "twice", "field", "other text", "Windows", "cut", "two runs", "empty"],
)
def test_a_text_that_is_no_log_is_named(
    text: str, change: Callable[[str], str], expected: str
) -> None:
    found = kinds(change(text))

    assert expected in {kind for kind, _ in found}


@pytest.mark.parametrize("key", ["result", "github_commit_version", "seed", "cache_clear"])
def test_a_key_that_is_missing_is_named(text: str, key: str) -> None:
    assert [("missing", key)] == kinds(without(text, key))


@pytest.mark.parametrize(
    ("moved", "before", "expected"),
    [
        ("result", "run_stop", ("order", "is before run_stop")),
        ("run_start", "init_stop", ("order", "is before init_stop")),
        ("train_samples", "init_stop", ("order", "is outside run")),
        ("epoch_stop", "epoch_start", ("pair", "nothing has started")),
        ("run_stop", "init_start", ("pair", "no run_stop follows")),
    ],
)
def test_lines_in_another_order_are_named(
    text: str, moved: str, before: str, expected: tuple[str, str]
) -> None:
    events = parse_lines(text)
    keys = [event["key"] for event in events]
    event = events.pop(keys.index(moved))
    events.insert([one["key"] for one in events].index(before), event)

    assert expected in [(one.kind, one.message) for one in check_lines(joined(events))]


def test_an_interval_that_starts_twice_is_named(text: str) -> None:
    events = [e for e in parse_lines(text) if e["key"] != "epoch_stop"]

    assert ("pair", "has not stopped since line 30") in [
        (one.kind, one.message) for one in check_lines(joined(events))
    ]


TAMPERED: dict[str, tuple[str, Callable[[Event], None]]] = {
    "value.metrics.test.nnse_averaged.mean": (
        "result",
        put("value", "metrics", "test", "nnse_averaged.mean", to=0.99),
    ),
    "value.dataset.manifest_digest": (
        "result",
        put("value", "dataset", "manifest_digest", to="sha256:" + "0" * 64),
    ),
    "value.split.name": ("result", put("value", "split", "name", to="spatial")),
    "value.run_id": ("result", put("value", "run_id", to="another")),
    "value.predictions_sha256": ("result", put("value", "predictions_sha256", to="0" * 64)),
    "value.content_digest": ("result", put("value", "content_digest", to="sha256:" + "0" * 64)),
    "value.record_digest": ("result", put("value", "record_digest", to="sha256:" + "0" * 64)),
    "value.synthetic": ("result", put("value", "synthetic", to=False)),
    "submission_github_commit_version value": (
        "submission_github_commit_version",
        put("value", to="f" * 40),
    ),
    "metadata.settings.epochs": ("config_filename", put("metadata", "settings", "epochs", to=99)),
    "metadata.synthetic": ("submission_benchmark", put("metadata", "synthetic", to=False)),
    "cache_clear value": ("cache_clear", put("value", to=True)),
    "run_stop time_ms": ("run_stop", put("time_ms", to=1_786_104_011_999)),
}


@pytest.mark.parametrize("place", TAMPERED)
def test_what_a_log_says_beside_its_record_is_named(
    text: str, record: dict[str, Any], place: str
) -> None:
    key, change = TAMPERED[place]

    found = check_lines(changed(text, key, change), record)

    named = [one for one in found if one.kind == "differs" and one.place.endswith(place)]
    assert len(named) == 1
    assert "by the record" in named[0].message


SAID = ("submission_org", "submission_status", "submission_platform")  # no record knows


def leaves(value: Any, *path: str | int) -> list[tuple[str | int, ...]]:
    """Return the paths of all values that hold no other."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[str | int, ...]] = []
    for key, inner in items:
        is_leaf = not inner or not isinstance(inner, dict | list)
        found += [(*path, key)] if is_leaf else leaves(inner, *path, key)
    return found


@settings(max_examples=25)
@given(data=strategies.data())
def test_any_value_that_is_changed_is_found_beside_the_record(
    text: str, record: dict[str, Any], data: strategies.DataObject
) -> None:
    events = parse_lines(text)
    places = [
        (number, path)
        for number, event in enumerate(events)
        for path in leaves(event)
        if event["key"] not in SAID and path[1:] not in {("file",), ("lineno",)}
    ]
    number, path = data.draw(strategies.sampled_from(places))
    other = data.draw(strategies.sampled_from([None, True, 7, 0.123, "other", [1], {"a": 1}]))
    before = json.dumps(events[number])

    put(*path, to=other)(events[number])

    assume(before != json.dumps(events[number]))
    assert check_lines(joined(events), record) != []


def test_lines_left_out_beside_the_record_are_named(text: str, record: dict[str, Any]) -> None:
    bare = without(without(text, "staging_start"), "staging_stop")

    assert kinds(bare) == []
    assert kinds(bare, record) == [("differs", "staging_start"), ("differs", "staging_stop")]


def test_the_log_of_another_run_is_named(text: str, record: dict[str, Any]) -> None:
    other = signed(record | {"run_id": "87654321-1234-4234-8234-123456789abc"})

    places = [place for _, place in kinds(text, other)]

    assert [place.rpartition(" ")[2] for place in places] == [
        "value.run_id",
        "value.record_digest",
        "value.content_digest",
    ]


def test_a_log_stays_true_when_its_record_is_rescored(text: str, record: dict[str, Any]) -> None:
    checks = {"state": "rescored", "checks": [{"name": "rescore", "ok": True, "message": "equal"}]}

    assert check_lines(text, signed(record | {"verification": checks})) == []


def test_a_record_that_no_log_can_be_made_of_is_named(text: str, record: dict[str, Any]) -> None:
    found = check_lines(text, record | {"status": "aborted", "reason": "killed"})

    assert [(one.kind, one.place) for one in found] == [("record", "record")]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_log_of_each_benchmark_passes_the_official_checker(
    benchmark: str, tmp_path: Path
) -> None:
    path = tmp_path / "result-1.txt"
    path.write_text(log_text(record_of(benchmark), SUBMITTER), encoding="utf-8")

    assert check_official(path, benchmark) == []


def official(text: str, folder: Path) -> list[tuple[str, str]]:
    path = folder / "result-1.txt"
    path.write_text(text, encoding="utf-8")
    return [(one.kind, one.place) for one in check_official(path, "tevolop")]


def test_the_official_checkers_messages_become_problems(text: str, tmp_path: Path) -> None:
    bad = changed(text, "submission_division", put("value", to="closed"))
    bad = changed(bad, "result", put("value", "metrics", "test", "nnse_averaged.mean", to=1.5))
    bad = without(bad, "submission_status")

    found = official(bad, tmp_path)

    lines = {event["key"]: number for number, event in enumerate(parse_lines(bad), start=1)}
    assert [
        ("official", "line 3 submission_division"),
        ("official", f"line {lines['result']} result"),
        ("official", "submission_status"),
    ] == found


AGAINST_RULES = [
    ("result", put("value", to="a text")),
    ("result", put("value", "metrics", "test", "another", to=0.5)),
    ("result", put("value", "name", to="uno")),
    ("submission_benchmark", put("value", to="cloudmask")),
    ("submission_benchmark", put("metadata", "benchmark", to="uno")),
    ("submission_github_commit_version", put("value", to="main")),
    ("submissiom_version", put("value", to="other")),
    ("run_stop", put("metadata", "status", to="aborted")),
    ("eval_accuracy", put("metadata", "epoch_num", to=9)),
    ("init_stop", put("time_ms", to=1_786_104_000_000 + 5 * 3_600_000)),
]


@pytest.mark.parametrize(("key", "change"), AGAINST_RULES, ids=numbered(AGAINST_RULES))
def test_the_rules_refuse_what_they_are_there_for(
    text: str, key: str, change: Callable[[Event], None], tmp_path: Path
) -> None:
    found = official(changed(text, key, change), tmp_path)

    assert ("official", True) in [(kind, place.endswith(key)) for kind, place in found]


def test_a_checker_that_breaks_off_is_a_problem(text: str, tmp_path: Path) -> None:
    found = official(text.replace('"value": "open", ', ""), tmp_path)

    assert found == [("official", "checker")]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_shipped_rules_follow_from_template_and_task(benchmark: str) -> None:
    shipped = rule_file(benchmark).read_text(encoding="utf-8")

    # `sciml-data log --rules BENCHMARK` prints what has to be there.
    assert shipped == registry_rules(find_registry(), benchmark)


def test_no_rules_are_left_over() -> None:
    assert sorted(path.stem for path in RULES.glob("*.yaml")) == sorted([*BENCHMARKS, "template"])


def test_rules_never_come_from_beside_the_log(text: str, tmp_path: Path) -> None:
    written = tmp_path / "written"
    rule = f"- BEGIN:\n    CODE: \"open({str(written)!r}, 'w')\"\n"
    (tmp_path / "tevolop.yaml").write_text(rule, encoding="utf-8")
    (tmp_path / "mlperf_logging.py").write_text(f"open({str(written)!r}, 'w')", encoding="utf-8")

    assert official(text, tmp_path) == []
    assert not written.exists()


def test_a_benchmark_of_another_registry_has_rules_made_of_its_task(tmp_path: Path) -> None:
    path = tmp_path / "result-1.txt"
    record = record_of("uno")
    record["benchmark"]["name"] = "toy"
    record["metrics"] = [{**record["metrics"][0], "metric_id": "rmse", "score": 0.5}]
    path.write_text(log_text(signed(record), SUBMITTER), encoding="utf-8")

    with pytest.raises(CallError, match="no rules are shipped"):
        check_official(path, "toy")
    assert check_official(path, "toy", registry=find_registry(TOY)) == []


def test_without_mlperf_logging_the_extra_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(CallError) as error:
        official(text, tmp_path)

    assert error.value.hint == "pip install 'sciml-data[submit]'"


# The command


def call(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(group, ["log", *map(str, words)])
    said = result.stderr + str(result.exception or "")
    return result.exit_code, result.stdout, said


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_record(folder, record_of("tevolop"))
    return folder


def test_the_command_prints_a_log(run: Path) -> None:
    code, printed, said = call(run, "--org", "Uni of Example", "--system", "node-a")

    assert (code, said) == (0, "")
    assert printed == log_text(load_record(run), SUBMITTER)


def test_the_command_writes_a_log_and_checks_it(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "result-1.txt"

    written = call(run, "--org", "Uni", "--system", "node-a", "--output", path)
    checked = call(run, "--check", path)

    assert written == (0, f"{path}\n", "")
    passed = "MLCommons' checker, the check of its lines, the run's record"
    assert checked == (0, f"result-1.txt passes {passed}\n", "")


def test_the_command_prints_each_problem_of_a_log(run: Path, tmp_path: Path) -> None:
    path, text = tmp_path / "result-1.txt", log_text(load_record(run), SUBMITTER)
    path.write_text(changed(text, "result", put("value", "run_id", to="x")), encoding="utf-8")

    code, printed, said = call(run, "--check", path)

    assert code == 1
    assert "value.run_id" in printed
    assert "result-1.txt: 1 problem\n" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "a log needs RUN and --org and --system"),
        (["x", "--org", "A", "--system", "B", "--benchmark", "uno"], "--benchmark needs --check"),
        (["--check", "nowhere.txt"], "cannot be read as a log"),
        (["--check", "nowhere.txt", "--org", "A"], "--org cannot be given with --check"),
        (["x", "--rules", "uno"], "--rules cannot be combined"),
        (["--rules", "unno"], "did you mean 'uno'"),
    ],
)
def test_a_call_that_cannot_be_is_refused(words: list[str], expected: str) -> None:
    code, printed, said = call(*words)

    assert code != 0
    assert printed == ""
    assert expected in said


def test_a_log_that_will_not_pass_is_written_with_a_word(tmp_path: Path) -> None:
    record = record_of("uno")
    record["code"]["commit"] = None
    write_record(tmp_path, record)

    code, _, said = call(tmp_path, "--org", "A", "--system", "B")

    assert code == 0
    assert "this log will be rejected: type" in said


def test_a_log_that_does_not_say_its_benchmark_is_a_problem(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result-1.txt"
    path.write_text(without(text, "submission_benchmark"), encoding="utf-8")

    code, printed, _ = call("--check", path)

    assert code == 1
    assert "name it with --benchmark NAME" in printed

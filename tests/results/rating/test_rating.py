"""The rubric of the working group is answered from files, with what proves each answer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import write_record
from sciml_data.bench.task.split import split_names
from sciml_data.bench.task.task import load_task
from sciml_data.cli import VERBS, group
from sciml_data.errors import CallError, DescriptorError
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.results.rating import QUESTIONS, Answer, Rating, rate
from tests.support.paths import ROOT, TOY_REGISTRY
from tests.support.records import sample_record
from tests.support.small_registry import small_registry

BENCHMARKS = sorted(path.name for path in (ROOT / "runners").iterdir())
CATALOGUE = ROOT / "docs" / "reference" / "catalogue"
ENTRIES = sorted(path.stem for path in CATALOGUE.glob("*.yaml"))


def rated(name: str, registry: Registry | None = None) -> Rating:
    found = registry or find_registry()
    return rate(load_task(found.runner(name)), found)


def answers(rating: Rating) -> dict[str, Answer]:
    return {question.id: answer for question, answer in rating.answers}


def call(*words: str) -> Result:
    return CliRunner().invoke(group, ["rate", *words])


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return a registry with the toy benchmark, which states little."""
    made = small_registry(tmp_path / "registry")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOY_REGISTRY / "runners", made.root / "runners", ignore=ignored)
    return made


def test_there_are_27_questions_of_30_points_in_six_categories() -> None:
    points: dict[str, int] = {}
    for question in QUESTIONS:
        points[question.category] = points.get(question.category, 0) + question.points

    assert len(QUESTIONS) == 27
    assert list(points) == [
        "software", "specification", "dataset", "metrics", "reference_solution", "documentation",
    ]  # fmt: skip
    assert set(points.values()) == {5}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_answer_has_a_reason_and_evidence_that_exists(name: str) -> None:
    for question, answer in rated(name).answers:
        assert answer.verdict in {"yes", "no", "unknown"}
        assert answer.reason, question.id
        for word in re.split(r", | ", answer.evidence):
            if re.match(r"(runners|docs)/", word) and answer.verdict == "yes":
                assert (ROOT / word).exists(), (question.id, word)
        if answer.evidence.startswith("sciml-data"):
            assert answer.evidence.split()[1] in VERBS


def test_what_is_not_so_is_answered_by_no() -> None:
    found = answers(rated("tevolop"))

    assert found["dataset.1"].verdict == "no"
    assert "persistent identifier" in found["dataset.1"].reason
    assert found["dataset.4"].verdict == "no"
    assert "licence" in found["dataset.4"].reason
    assert found["reference_solution.5"].verdict == "no"
    assert found["metrics.2"].points == 1


def test_a_benchmark_that_states_nothing_has_few_points(registry: Registry) -> None:
    found = answers(rated("toy", registry))

    for question in ("specification.1", "specification.4", "specification.5", "documentation.5"):
        assert found[question].verdict == "no"
    assert found["metrics.2"].verdict == "unknown"
    assert found["software.5"].verdict == "unknown"
    assert found["reference_solution.3"].verdict == "no"


def test_removing_what_proves_an_answer_changes_it(registry: Registry) -> None:
    runner = registry.runner("toy")
    assert answers(rated("toy", registry))["software.1"].verdict == "yes"
    shutil.rmtree(runner / "splits")
    (runner / "runner.py").unlink()
    (runner / "README.md").unlink(missing_ok=True)

    found = answers(rated("toy", registry))

    for question in ("software.1", "software.2", "software.3", "dataset.5", "documentation.1"):
        assert found[question].verdict == "no", question


def test_a_split_whose_members_were_changed_is_an_error(registry: Registry) -> None:
    runner = registry.runner("toy")
    path = runner / "splits" / f"{split_names(runner)[0]}.json"
    document = json.loads(path.read_text())
    document["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(document))

    with pytest.raises(DescriptorError):
        rated("toy", registry)


def publish(registry: Registry, **changed: Any) -> None:
    folder = registry.root / "results" / "toy" / "one"
    folder.mkdir(parents=True)
    write_record(folder, sample_record(**changed))
    (folder / "record.json").rename(folder / "record-1.json")


def test_a_published_record_answers_what_the_reference_was_run_with(registry: Registry) -> None:
    publish(registry)

    found = answers(rated("toy", registry))

    assert found["reference_solution.3"].verdict == "yes"
    assert found["reference_solution.3"].evidence == "results/toy/one/record-1.json"
    assert found["reference_solution.4"].verdict == "no"  # it has one of the two metrics
    assert "explained" in found["reference_solution.4"].reason


def test_a_published_record_says_what_memory_and_time_a_run_takes(registry: Registry) -> None:
    path = registry.runner("toy") / "task.toml"
    table = '[[system]]\ntier = "full"\ndata = "x"\nbasis = "x"\n'
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{table}disk_gib = 1\n", encoding="utf-8")
    assert answers(rated("toy", registry))["specification.1"].verdict == "no"

    publish(registry)

    found = answers(rated("toy", registry))["specification.1"]
    assert found.verdict == "yes"
    assert found.reason.endswith("0.2 GiB of memory and 0.00 hours")
    path.write_text(f"{text}\n{table}", encoding="utf-8")
    assert answers(rated("toy", registry))["specification.1"].verdict == "no"  # disk is missing


def test_a_record_of_synthetic_data_proves_nothing(registry: Registry) -> None:
    publish(registry, synthetic=True)

    assert answers(rated("toy", registry))["reference_solution.3"].verdict == "no"


def test_a_record_that_is_not_valid_proves_nothing(registry: Registry) -> None:
    publish(registry)
    path = registry.root / "results" / "toy" / "one" / "record-1.json"
    record = json.loads(path.read_text())
    for broken in ("[]", "{", json.dumps({**record, "hardware": None})):
        path.write_text(broken)

        assert answers(rated("toy", registry))["reference_solution.3"].verdict == "no"


def test_the_verb_prints_every_question_and_its_evidence() -> None:
    result = call("uno")

    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("uno: ")
    for question in QUESTIONS:
        assert question.text in result.stdout


def test_the_json_has_points_that_add_up() -> None:
    made = json.loads(call("uno", "--json").stdout)

    assert len(made["answers"]) == 27
    assert sum(made["points"].values()) == sum(answer["points"] for answer in made["answers"])
    assert made["average"] == pytest.approx(sum(made["points"].values()) / 6, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "either a benchmark or --all"), (("unno",), "did you mean 'uno'"),
     (("uno", "--all"), "either a benchmark or --all")],
)  # fmt: skip
def test_a_wrong_call_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    result = call(*words)

    assert isinstance(result.exception, CallError)
    assert said in str(result.exception)


def test_the_table_in_the_docs_is_what_the_verb_says() -> None:
    text = (CATALOGUE / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| .*\| ([0-9.]+) \|$", text, re.MULTILINE))

    lines = call("--all").stdout.splitlines()

    expected = dict(line.split() for line in lines)
    assert table == expected, "python -m tests.support.catalogue writes it again"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_entries_in_the_docs_are_what_the_export_writes(name: str) -> None:
    result = CliRunner().invoke(group, ["export", "catalogue", name])

    stored = (CATALOGUE / f"{name}.yaml").read_text(encoding="utf-8")
    assert result.stdout == stored, "python -m tests.support.catalogue writes it again"


# Of source/benchmarks-format.yaml, mlcommons-science/benchmark at 8e7fe10: a line after a key, with
# "condition" and what it asks.
CONDITION = re.compile(r"^\s*# condition: [\"']?([^\"'\n]*)")
KEY = re.compile(r"^(\s*)(?:- )?([a-z_]+):")


def conditions(text: str) -> dict[tuple[str, ...], str]:
    """Return the condition of each key of the working group's format, by its path."""
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    for line in text.replace("- date:", "  date:", 1).splitlines():
        if (condition := CONDITION.match(line)) and path:
            indent = len(line) - len(line.lstrip())
            owners = [key for depth, key in path if depth < indent]
            found[tuple(owners)] = condition[1].strip()
        elif key := KEY.match(line):
            depth = len(key[1])
            path = [*(item for item in path if item[0] < depth), (depth, key[2])]
    return found


@pytest.mark.reference
@pytest.mark.parametrize("name", ENTRIES)
def test_every_key_follows_the_format_of_the_working_group(name: str, shared: Path) -> None:
    text = (shared / "reference" / "wg_benchmarks-format.yaml").read_text(encoding="utf-8")
    (example,) = yaml.safe_load(text)
    stored = (CATALOGUE / f"{name}.yaml").read_text(encoding="utf-8")
    (entry,) = yaml.safe_load(stored)

    assert stored.isascii()
    assert list(entry) == list(example)
    assert wrong_keys(entry, example, conditions(text)) == []


@pytest.mark.reference
@pytest.mark.parametrize(
    ("path", "value"),
    [(("domain",), []), (("url",), "unknown"), (("focus",), ""), (("valid",), "yes"),
     (("ratings", "software", "rating"), 6), (("datasets", "links"), [])],
)  # fmt: skip
def test_a_broken_entry_is_found(path: tuple[str, ...], value: Any, shared: Path) -> None:
    text = (shared / "reference" / "wg_benchmarks-format.yaml").read_text(encoding="utf-8")
    (example,) = yaml.safe_load(text)
    (entry,) = yaml.safe_load((CATALOGUE / "uno.yaml").read_text(encoding="utf-8"))
    inner = entry
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    assert wrong_keys(entry, example, conditions(text))


def wrong_keys(
    entry: dict[str, Any], example: dict[str, Any], asked: dict[tuple[str, ...], str]
) -> list[str]:
    """Return the paths of keys that are missing, empty or of another type than the example's."""
    assert len(asked) > 30
    wrong = []
    for path, condition in asked.items():
        value: Any = entry
        model: Any = example
        for key in path:
            value, model = value.get(key, {}), model.get(key, {})
        number = isinstance(model, int | float) and not isinstance(model, bool)
        kinds = (int, float) if number else (type(model),)
        is_typed = isinstance(value, kinds) or (path[0] == "fair" and value == "unknown")
        if not is_typed or (condition in {"required", ">=1"} and value in ("", [], {})):
            wrong.append(".".join(path))
    if entry["url"] == "unknown":
        wrong.append("url")
    wrong += [name for name, block in entry["ratings"].items() if not 0 <= block["rating"] <= 5]
    wrong += [kind for kind in ("datasets", "results") if not entry[kind]["links"]]
    wrong += [
        link["name"]
        for kind in ("datasets", "results")
        for link in entry[kind]["links"]
        if not (link["name"] and link["url"])
    ]
    return wrong

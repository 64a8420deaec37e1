"""Benchmarks and runs as Croissant Tasks hold MLCommons' shapes, and lead to files of the site."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.task.split import split_names
from sciml_data.bench.task.task import load_task
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.home import Home
from sciml_data.metadata.addresses import registry_identity
from sciml_data.registry.layout import find_registry
from sciml_data.site import gather, site_files
from tests.support.croissant_shapes import FOLDER, violations
from tests.support.paths import ROOT
from tests.support.run_samples import written_run
from tests.support.small_registry import small_registry
from tests.support.versions import rdflib_warns

BENCHMARKS = sorted(path.name for path in (ROOT / "runners").iterdir())
SITE = registry_identity(ROOT).base_url
Node = dict[str, Any]


def export(name: str | Path, *words: str) -> Result:
    return CliRunner().invoke(group, ["export", "croissant-task", str(name), *words])


def document(name: str | Path, *words: str) -> Node:
    result = export(name, *words)
    assert result.exit_code == 0, result.exception
    made: Node = json.loads(result.stdout)
    return made


@functools.cache
def problem(benchmark: str) -> Node:
    return document(benchmark)


def nodes(of: Node, kind: str) -> list[Node]:
    return [node for node in of["@graph"] if node.get("@type") == f"croissant:{kind}"]


@pytest.fixture(params=["real", "synthetic"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    written_run(tmp_path / "run", synthetic=request.param == "synthetic")
    return tmp_path / "run"


@rdflib_warns
@pytest.mark.parametrize("name", ["valid_problem", "valid_solution"])
def test_upstream_s_own_examples_hold_the_shapes(name: str) -> None:
    assert violations((FOLDER / f"{name}.jsonld").read_text(encoding="utf-8")) == []


@rdflib_warns
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_benchmark_holds_the_shapes(benchmark: str) -> None:
    assert violations(problem(benchmark)) == []


@rdflib_warns
def test_a_run_holds_the_shapes(run: Path) -> None:
    assert violations(document(run)) == []


def without(of: Node, *names: str) -> Node:
    """Return a document without properties, in any node."""
    made = copy.deepcopy(of)
    for node in made["@graph"]:
        for name in names:
            node.pop(name, None)
    return made


@rdflib_warns
def test_a_problem_that_asks_for_nothing_breaks_the_shapes() -> None:
    broken = without(problem("hydronet"), "croissant:output", "croissant:implementation")

    assert "A TaskProblem must have at least one property" in " ".join(violations(broken))


@rdflib_warns
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("schema:isBasedOn", "must be formally linked to a TaskProblem"),
        ("croissant:evaluatedSolution", "must point to exactly one TaskSolution"),
        ("croissant:metric", "croissant:metric must be a string or a URL, and is required"),
        ("croissant:value", "croissant:value must be a QuantitativeValue"),
        ("croissant:implementation", "must conform to one or more shapes"),
    ],
)
def test_a_run_that_lacks_a_property_breaks_the_shapes(
    tmp_path: Path, name: str, message: str
) -> None:
    written_run(tmp_path / "run")
    broken = without(document(tmp_path / "run"), name)
    for node in nodes(broken, "EvaluationTask"):
        for result in node["croissant:evaluationResults"]:
            result.pop(name, None)

    assert message in " ".join(violations(broken))


def test_a_problem_has_data_splits_output_and_metrics_of_the_task() -> None:
    task, made = load_task(ROOT / "runners" / "tevolop"), problem("tevolop")
    (only,) = nodes(made, "TaskProblem")
    inputs = {item["@id"] for item in only["croissant:input"]}
    (output,) = nodes(made, "OutputSpec")
    fields = [field["schema:name"] for field in output["croissant:schema"]["croissant:field"]]

    base = f"{SITE}/benchmarks/tevolop/croissant-task.json"
    assert inputs == {
        f"{SITE}/datasets/tevolop_socal/1.0/",
        f"{SITE}/datasets/tevolop_japan/1.0/",
        *(f"{base}#split-{name}" for name in split_names(task.folder)),
    }
    assert fields == ["part", "pixel", "time", "window", "predicted"]
    metrics = {node["schema:identifier"]: node for node in nodes(made, "MetricSpec")}
    assert list(metrics) == [metric.id for metric in task.metrics]
    assert metrics["nnse_averaged"]["schema:description"] == task.metrics[0].formula
    assert metrics["nnse_averaged"]["croissant:lowerIsBetter"] is False


def test_each_variant_is_a_problem_with_its_own_data() -> None:
    made = problem("uno")
    whole, *parts = nodes(made, "TaskProblem")
    (auc,) = [part for part in parts if part["@id"].endswith("#problem-auc")]

    assert [item["@id"] for item in whole["croissant:subTask"]] == [part["@id"] for part in parts]
    assert len(parts) == len(load_task(ROOT / "runners" / "uno").variants)
    data = {item["@id"] for item in auc["croissant:input"]}
    assert f"{SITE}/datasets/uno_auc/1.0/" in data
    assert f"{SITE}/datasets/uno_dose/1.0/" not in data


def test_a_run_names_its_problem_its_scores_and_its_system(tmp_path: Path) -> None:
    record = written_run(tmp_path / "run")
    made = document(tmp_path / "run", "--org", "A Laboratory")
    (solution,), (evaluation,) = nodes(made, "TaskSolution"), nodes(made, "EvaluationTask")
    (execution,) = nodes(made, "ExecutionInfo")
    scores = {
        result["schema:name"]: result["croissant:value"]["schema:value"]
        for result in evaluation["croissant:evaluationResults"]
    }
    system = {item["schema:name"]: item["schema:value"] for item in execution["croissant:system"]}

    base = f"{SITE}/benchmarks/tevolop/croissant-task.json"
    assert solution["schema:isBasedOn"] == {"@id": f"{base}#problem"}
    assert record["record_digest"] in solution["schema:identifier"]
    assert solution["schema:creator"]["schema:name"] == "A Laboratory"
    assert scores == {"rmse.a, part test": 0.5, "rmse.b, part test": 0.125}
    assert system["processor cores that the run could use"] == 2
    (baseline,) = evaluation["croissant:evaluationResults"][0]["croissant:value"][
        "schema:valueReference"
    ]
    assert (baseline["schema:name"], baseline["schema:value"]) == ("baseline mean", 0.25)


@rdflib_warns
def test_a_score_has_its_interval_with_level_and_method(tmp_path: Path) -> None:
    record = written_run(tmp_path / "run")
    rows = [{**record["metrics"][0], "interval": {"lower": 0.4, "upper": 0.6}}]
    rows.append({**record["metrics"][1], "interval": None})
    resampling = {"confidence_level": 0.95, "method": "jackknife", "parts": {}}
    written_run(tmp_path / "run", metrics=rows, resampling=resampling)

    made = document(tmp_path / "run")

    assert violations(made) == []
    (evaluation,) = nodes(made, "EvaluationTask")
    first, second = evaluation["croissant:evaluationResults"]
    interval = first["croissant:value"]["schema:valueReference"][0]
    assert interval["schema:name"] == "95% interval"
    assert (interval["schema:minValue"], interval["schema:maxValue"]) == (0.4, 0.6)
    assert interval["schema:description"] == "jackknife"
    assert "interval" not in json.dumps(second)


def test_a_run_on_synthetic_data_does_not_name_the_dataset(tmp_path: Path) -> None:
    written_run(tmp_path / "run", synthetic=True)
    made = document(tmp_path / "run")
    (solution,) = nodes(made, "TaskSolution")

    assert "SYNTHETIC DATA" in solution["schema:name"]
    assert f"{SITE}/datasets/" not in json.dumps(made)


def identifiers(value: Any) -> set[str]:
    """Return every address of the site that a document has, of itself or of others."""
    if isinstance(value, dict):
        own = {value["@id"]} if isinstance(value.get("@id"), str) else set()
        return own.union(*map(identifiers, value.values()))
    return set().union(*map(identifiers, value)) if isinstance(value, list) else set()


def test_every_identifier_of_the_site_is_a_file_of_it_and_a_node_in_the_file(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    metrics = load_task(ROOT / "runners" / "tevolop").metrics
    definition = {
        "metric_id": metrics[0].id, "metric_name": "x", "metric_version": "1", "metric_unit": "1",
        "lower_is_better": False, "min_score": 0.0, "max_score": 1.0, "formula": "x",
    }  # fmt: skip
    row = {"metric_id": metrics[0].id, "variant": "mean", "part": "test", "score": 0.5}
    row |= {"status": "computed", "reason": None, "baselines": {}}
    split = {"name": "temporal", "strategy": "x", "seed": None, "is_headline": True}
    written_run(
        home.runs("tevolop") / "one",
        metric_definitions=[definition],
        metrics=[row],
        split={**split, "members_digest": "sha256:" + "a" * 64},
    )
    files = site_files(gather(find_registry(), home, benchmarks=["tevolop", "uno"]), home)
    documents = {
        f"{SITE}/{name}": json.loads(data)
        for name, data in files.items()
        if name.endswith("croissant-task.json")
    }
    defined = {
        address: {node["@id"] for node in made["@graph"]} | nested(made["@graph"])
        for address, made in documents.items()
    }

    assert len(documents) == 3
    used = {item for made in documents.values() for item in identifiers(made)}
    own = {address for address in used if address.startswith(f"{SITE}/")}
    assert len(own) > 60
    broken = []
    for address in own:
        page, _, fragment = address.partition("#")
        path = unquote(page.removeprefix(f"{SITE}/"))
        path += "index.html" if path.endswith("/") else ""
        if path not in files or (fragment and address not in defined[page]):
            broken.append(address)
    assert broken == []


def nested(value: Any) -> set[str]:
    """Return the identifiers of nodes that are described, not only referred to."""
    if isinstance(value, dict):
        own = {value["@id"]} if "@id" in value and "@type" in value else set()
        return own.union(*map(nested, value.values()))
    return set().union(*map(nested, value)) if isinstance(value, list) else set()


@rdflib_warns
def test_a_benchmark_of_a_registry_without_a_site_has_a_uuid(tmp_path: Path) -> None:
    registry = small_registry(tmp_path / "registry")
    toys = ROOT / "tests" / "support" / "toy_registry" / "runners"
    shutil.copytree(toys, registry.root / "runners")

    made = document("toy", "--registry", str(registry.root))

    assert violations(made) == []
    (first, *_) = nodes(made, "TaskProblem")
    assert first["@id"].startswith("urn:uuid:")
    assert SITE not in json.dumps(made)


def test_a_run_without_scores_is_not_a_solution(tmp_path: Path) -> None:
    written_run(tmp_path / "run", status="aborted", reason="stopped by a signal", metrics=[])

    assert isinstance(export(tmp_path / "run").exception, RecordError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("uno", "--org", "X"), "does not accept --org"),
        (("uno", "--version", "1"), "does not accept --version"),
        (("unno",), "did you mean 'uno'"),
        (("uno", "--to", "absent/x.json"), "no such folder"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    result = export(*words)

    assert isinstance(result.exception, CallError)
    assert said in str(result.exception)


def test_equal_benchmarks_give_equal_documents_in_a_file(tmp_path: Path) -> None:
    result = export("uno", "--to", str(tmp_path / "task.json"))

    assert result.stdout == ""
    assert (tmp_path / "task.json").read_text(encoding="utf-8") == export("uno").stdout

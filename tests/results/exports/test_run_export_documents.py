"""A run's scores as an Every Eval Ever document and as an entry of the catalogue."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.results.exports.catalogue import to_yaml
from sciml_data.results.rating.questions import RUBRIC
from tests.support.run_samples import written_run

# Of eval.schema.json 0.3.0, https://github.com/evaleval/every_eval_ever at 9bce413.
REQUIRED = {
    "": (
        "schema_version",
        "evaluation_id",
        "retrieved_timestamp",
        "source_metadata",
        "model_info",
        "eval_library",
        "evaluation_results",
    ),
    "source_metadata": ("source_type", "source_organization_name", "evaluator_relationship"),
    "model_info": ("name", "id", "additional_details"),
    "eval_library": ("name", "version"),
}
RESULT_REQUIRED = ("evaluation_name", "source_data", "metric_config", "score_details")
# Of source/benchmarks-format.yaml, mlcommons-science/benchmark at 8e7fe10: field -> type.
CATALOGUE_TYPES = {
    **dict.fromkeys(
        ("date", "version", "last_updated", "expired", "valid_date", "name", "url", "doi"), str
    ),
    **dict.fromkeys(("focus", "summary", "licensing", "type", "solutions", "notes"), str),
    **dict.fromkeys(("domain", "keywords", "task_types", "ai_capability_measured"), list),
    **dict.fromkeys(("metrics", "models", "ml_motif", "ml_task", "cite"), list),
    **dict.fromkeys(("contact", "datasets", "results", "fair", "ratings"), dict),
    "valid": bool,
}


def export(form: str, run: Path, *words: str) -> Result:
    return CliRunner().invoke(group, ["export", form, str(run), *words])


def document(run: Path, *words: str) -> dict[str, Any]:
    result = export("every-eval-ever", run, *words)
    assert result.exit_code == 0, result.exception
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def entry(run: Path) -> dict[str, Any]:
    result = export("catalogue", run)
    assert result.exit_code == 0, result.exception
    assert result.stdout.isascii()
    (made,) = yaml.safe_load(result.stdout)
    assert isinstance(made, dict)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    written_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A run on synthetic data."""
    written_run(tmp_path / "sample", synthetic=True)
    return tmp_path / "sample"


def test_every_field_that_every_eval_ever_requires_is_there(run: Path) -> None:
    made = document(run, "--org", "A Laboratory")

    for place, names in REQUIRED.items():
        assert set(names) <= set(made[place] if place else made)
    assert {"deployment_type", "model_availability"} <= set(
        made["model_info"]["additional_details"]
    )
    assert made["schema_version"] == "0.3.0"
    assert made["source_metadata"]["source_organization_name"] == "A Laboratory"
    for result in made["evaluation_results"]:
        assert set(RESULT_REQUIRED) <= set(result)
        assert {"lower_is_better", "min_score", "max_score"} <= set(result["metric_config"])


def test_a_score_has_its_metric_bounds_and_baselines(run: Path) -> None:
    first, second = document(run)["evaluation_results"]

    assert first["metric_config"]["metric_id"] == "tevolop.rmse.a"
    assert first["metric_config"]["lower_is_better"] is True
    assert (first["metric_config"]["min_score"], first["metric_config"]["max_score"]) == (
        0.0,
        "Infinity",
    )
    assert first["score_details"] == {"score": 0.5, "details": {"baseline mean": "0.25"}}
    assert second["score_details"] == {"score": 0.125, "details": {}}


def test_additional_details_are_texts_as_the_schema_asks(run: Path) -> None:
    made = document(run)

    def values(node: Any) -> list[Any]:
        if isinstance(node, dict):
            own = list(node.get("additional_details", {}).values())
            return own + [one for inner in node.values() for one in values(inner)]
        return [one for inner in node for one in values(inner)] if isinstance(node, list) else []

    found = values(made)
    assert len(found) > 10
    assert {str} == {type(one) for one in found}


def test_synthetic_data_have_no_public_source(run: Path, sample: Path) -> None:
    real = document(run)["evaluation_results"][0]["source_data"]
    made = document(sample)

    assert real["source_type"] == "url"
    assert real["url"] == ["https://sciml-data.github.io/sciml-data/datasets/tevolop_socal/1.0/"]
    assert made["evaluation_results"][0]["source_data"]["source_type"] == "other"
    assert made["source_metadata"]["additional_details"]["synthetic"] == "true"


def test_a_score_that_could_not_be_computed_is_left_out(tmp_path: Path) -> None:
    record = written_run(tmp_path / "run")
    failed = {**record["metrics"][0], "score": None, "status": "failed", "reason": "no spread"}
    written_run(tmp_path / "run", metrics=[failed, record["metrics"][1]])

    (only,) = document(tmp_path / "run")["evaluation_results"]

    assert only["metric_config"]["metric_id"] == "tevolop.rmse.b"


@pytest.mark.skipif(
    importlib.util.find_spec("every_eval_ever") is None,
    reason="every-eval-ever is not installed; it needs Python 3.12",
)
@pytest.mark.filterwarnings("ignore")
def test_the_published_schema_and_models_accept_both(run: Path, sample: Path) -> None:
    import importlib.resources

    import jsonschema

    types = importlib.import_module("every_eval_ever.eval_types")
    files = importlib.resources.files("every_eval_ever")
    schema = json.loads((files / "schemas" / "eval.schema.json").read_text(encoding="utf-8"))
    for made in (document(run), document(sample)):
        assert list(jsonschema.Draft7Validator(schema).iter_errors(made)) == []
        assert types.EvaluationLog.model_validate(made)


def test_the_catalogue_entry_has_every_field_in_its_type(run: Path, sample: Path) -> None:
    for made in (entry(run), entry(sample)):
        assert {name: type(value) for name, value in made.items()} == CATALOGUE_TYPES


def test_facts_of_the_benchmark_are_stated_and_ratings_have_reasons(run: Path) -> None:
    made = entry(run)

    assert made["doi"] == "unknown"
    assert made["domain"] == ["Climate & Earth Science"]
    assert made["contact"]["email"] == "science-chairs@mlcommons.org"
    assert list(made["ratings"]) == list(RUBRIC)
    for block in made["ratings"].values():
        assert 0 <= block["rating"] <= 5
        assert block["reason"].count("?") >= 2


def test_a_real_run_is_a_result_with_its_digest(run: Path) -> None:
    made = entry(run)

    result = made["results"]["links"][-1]
    record = json.loads((run / "record.json").read_text())
    assert "rmse.a: test 0.5" in result["name"]
    assert record["record_digest"] in result["name"]
    assert made["solutions"] == str(len(made["results"]["links"]))
    assert made["fair"] == {"reproducible": "unknown", "benchmark_ready": True}


def test_a_synthetic_run_is_no_result(sample: Path) -> None:
    made = entry(sample)

    assert "record sha256" not in str(made["results"])
    assert "no result" in made["notes"]


def test_only_a_run_that_was_reproduced_is_called_reproducible(tmp_path: Path) -> None:
    written_run(tmp_path / "run", verification={"state": "reproduced", "checks": []})

    assert entry(tmp_path / "run")["fair"]["reproducible"] is True


LEAVES = st.text(max_size=20) | st.booleans() | st.integers()
FIELDS = st.sampled_from("abcdef")
ENTRIES = st.dictionaries(
    FIELDS, LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(FIELDS, LEAVES, max_size=3)
)


@given(st.lists(ENTRIES | st.dictionaries(FIELDS, st.lists(ENTRIES, max_size=2)), min_size=1))
@example([{"text": "first: line\n  second\n\nfourth", "after": "- no list"}])
@example([{"blanks": "  begins\nends\n", "tab": "a\n\tb", "line": "a\r\nb"}])
@example([{"letters": "Öl\nzwei", "far": "\U00010000", "quote": '"#"', "word": "yes"}])
def test_yaml_is_ascii_and_is_read_back_as_it_was(value: Any) -> None:
    text = to_yaml(value)

    assert text.isascii()
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize("form", ["every-eval-ever", "catalogue"])
def test_a_run_without_scores_has_no_document(form: str, tmp_path: Path) -> None:
    written_run(tmp_path / "run", status="aborted", reason="stopped by a signal", metrics=[])

    result = export(form, tmp_path / "run")

    assert isinstance(result.exception, RecordError)
    assert result.stdout == ""


def test_a_document_is_written_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    result = export("every-eval-ever", run, "--to", str(tmp_path / "eval.json"))

    assert result.stdout == ""
    assert json.loads((tmp_path / "eval.json").read_text()) == document(run)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("catalogue", "RUN", "--org", "X"), "catalogue does not accept --org"),
        (
            ("every-eval-ever", "RUN", "--with-predictions", "--version", "1"),
            "every-eval-ever does not accept --version",
        ),
        (("croissant", "tevolop_socal", "--org", "X"), "croissant does not accept --org"),
        (("run-creat", "RUN"), "did you mean 'run-crate'"),
        (("catalogue", "RUN", "--to", "absent/x.yaml"), "no such folder"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(run: Path, words: tuple[str, ...], said: str) -> None:
    form, name, *rest = words

    result = export(form, run if name == "RUN" else Path(name), *rest)

    assert isinstance(result.exception, CallError)
    assert said in str(result.exception)


def test_the_help_tells_forms_of_a_dataset_from_forms_of_a_run() -> None:
    said = " ".join(CliRunner().invoke(group, ["export", "--help"]).stdout.split())

    assert "FORM of a dataset ID: croissant" in said
    assert "FORM of a RUN: run-crate, mlflow" in said


@pytest.mark.parametrize("base_url", ["", "https://data.example.org"])
def test_a_run_on_the_data_of_another_registry_names_that_registry_or_no_address(
    tmp_path: Path, base_url: str
) -> None:
    run, registry = tmp_path / "run", tmp_path / "registry"
    written_run(run)
    package = registry / "datapackages" / "tevolop_socal" / "1.0"
    package.mkdir(parents=True)
    (package / "datapackage.json").write_text("{}")
    if base_url:
        (registry / "registry.toml").write_text(f'base_url = "{base_url}"')
    words = ("--registry", str(registry))

    source = document(run, *words)["evaluation_results"][0]["source_data"]
    assert export("run-crate", run, "--to", str(tmp_path / "crate"), *words).exit_code == 0
    crate = (tmp_path / "crate" / "ro-crate-metadata.json").read_text(encoding="utf-8")

    page = f"{base_url}/datasets/tevolop_socal/1.0/" if base_url else None
    assert source.get("url") == ([page] if page else None)
    assert "github.io" not in crate
    assert page is None or page in crate

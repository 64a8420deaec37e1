"""Whatever reads records accepts external predictions, and marks them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sciml_data
from sciml_data import LoadedBenchmark, Run
from sciml_data.cli import group
from tests.support.croissant_shapes import violations
from tests.support.external import table_of
from tests.support.versions import rdflib_warns

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def water(place: Path) -> LoadedBenchmark:
    return sciml_data.load_benchmark("hydronet", sample=True, home=place)


@pytest.fixture(scope="module")
def run(water: LoadedBenchmark, place: Path) -> Run:
    return sciml_data.score(water, table_of(water), model="forest", home=place)


def call(place: Path, *words: str) -> Result:
    return CliRunner().invoke(group, [*words, "--home", str(place)])


def test_show_marks_it_and_prints_no_duration(run: Run, place: Path) -> None:
    result = call(place, "show", run.id[:8])

    assert result.exit_code == 0, result.output
    assert "EXTERNAL PREDICTIONS" in result.stdout
    assert "samples/s" not in result.stdout


def test_a_board_has_its_row_with_a_remark(run: Run, place: Path) -> None:
    board = sciml_data.board([run], benchmark="hydronet", home=place)
    (row,) = (row for row in board.rows if row.metric.is_headline)

    assert row.made_by.model == "forest"
    assert any("external predictions" in remark for remark in row.remarks)
    assert row.costs.time_to_train_s is None
    for format_ in ("markdown", "csv", "json", "html"):
        assert "forest" in board.to_text(format_)
    assert "forest" in board._repr_html_()
    assert "forest" in call(place, "board", "--benchmark", "hydronet").stdout


@rdflib_warns
def test_it_is_a_solution_of_croissant_tasks(run: Run, place: Path) -> None:
    result = call(place, "export", "croissant-task", run.id[:8])

    assert result.exit_code == 0, result.output
    assert violations(result.stdout) == []
    assert "external predictions" in result.stdout


def test_seeds_of_a_model_are_repeats(run: Run, water: LoadedBenchmark, place: Path) -> None:
    table = table_of(water)
    table["predicted"] += 0.01
    other = sciml_data.score(water, table, model="forest", seed=1, home=place)

    result = call(place, "aggregate", str(run.folder), str(other.folder))

    assert result.exit_code == 0, result.output
    assert "forest" in call(place, "show", str(run.folder), str(other.folder)).stdout


@pytest.mark.parametrize("form", ["every-eval-ever", "catalogue"])
def test_documents_describe_it(form: str, run: Run, place: Path) -> None:
    text = sciml_data.export(run, form, home=place)

    assert "hydronet" in text
    if form == "every-eval-ever":
        assert json.loads(text)["source_metadata"]["additional_details"]["training"] == "external"


def test_a_run_crate_describes_it(run: Run, place: Path, tmp_path: Path) -> None:
    sciml_data.export(run, "run-crate", to=tmp_path / "crate.zip", home=place)

    with zipfile.ZipFile(tmp_path / "crate.zip") as crate:
        assert "another program predicted" in crate.read("ro-crate-metadata.json").decode()


def test_a_site_shows_it(run: Run, place: Path, tmp_path: Path) -> None:
    pytest.importorskip("rdflib")
    words = ("site", "build", str(run.folder), "--to", str(tmp_path), "--benchmark", "hydronet")

    result = call(place, *words, "--org", "lab", "--system", "none")

    assert result.exit_code == 0, result.output
    (page,) = (path for path in tmp_path.rglob("index.html") if run.id in str(path))
    text = page.read_text()
    assert "External predictions" in text
    assert "sciml-data score hydronet predictions.nc --model forest" in text


def test_a_submission_is_packed_checked_and_scored_again(
    run: Run, place: Path, tmp_path: Path
) -> None:
    pytest.importorskip("mlperf_logging")
    pytest.importorskip("fpdf")
    names = ("--org", "lab", "--system", "node-a", "--descriptor", "first")

    packed = call(
        place, "submit", "pack", str(run.folder), *names, "--to", str(tmp_path), "--allow-dirty"
    )
    assert packed.exit_code == 0, packed.output
    folder = Path(packed.stdout.strip())
    assert not list(folder.glob("result-*"))
    assert "external predictions" in (folder / "README.md").read_text()

    checked = CliRunner().invoke(group, ["submit", "check", str(folder), "--json"])
    verdict = json.loads(checked.stdout)
    verdict = verdict[0] if isinstance(verdict, list) else verdict
    assert [each for each in verdict["problems"] if each["kind"] != "commit"] == []
    assert any("external predictions" in warning for warning in verdict["warnings"])

    scored = call(place, "rescore", str(folder))
    assert scored.exit_code == 0, scored.output
    assert "0 differ" in scored.output


def test_a_log_is_refused_in_words(run: Run, place: Path) -> None:
    result = call(place, "log", str(run.folder), "--org", "lab", "--system", "node-a")

    assert result.exit_code != 0
    assert "nothing was trained" in str(result.exception)


def test_it_cannot_be_resumed(run: Run, place: Path) -> None:
    result = call(place, "run", "hydronet", "--resume", str(run.folder))

    assert "nothing can be resumed" in str(result.exception)


def test_a_run_of_the_home_is_found_and_shown_in_a_notebook(run: Run, place: Path) -> None:
    found = sciml_data.load_run(run.id[:8], home=place)

    assert found.folder == run.folder
    assert set(found.predictions) == {"train", "validation", "test"}
    assert "external" in found._repr_html_()
    assert "SYNTHETIC" in found._repr_html_()
    assert "EXTERNAL PREDICTIONS" in repr(found)

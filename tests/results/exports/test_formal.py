"""A benchmark in the working group's formal model: seven headings, each filled from what exists."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import write_record
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.task import load_task
from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from sciml_data.results.exports import BenchmarkRequest, export_benchmark
from sciml_data.site import gather, site_files
from tests.support.paths import ROOT
from tests.support.records import sample_record
from tests.support.site_samples import site_content, site_registry

BENCHMARKS = sorted(path.name for path in (ROOT / "runners").iterdir())
CELL_END = re.compile(r"(?<!\\)[|]")  # not an escaped one
HEADINGS = [
    "Infrastructure (I)", "Dataset (D)", "Task and workflow (T, W)", "Metrics (M)",
    "Constraints (C)", "Results (R)", "Version (V)",
]  # fmt: skip


def export(name: str, *words: str) -> Result:
    return CliRunner().invoke(group, ["export", "formal", name, *words])


def sections(text: str) -> dict[str, str]:
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return {name: body.strip() for name, _, body in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_exactly_the_seven_headings_and_text_under_each(name: str) -> None:
    result = export(name)

    assert result.exit_code == 0, result.exception
    found = sections(result.stdout)
    assert list(found) == HEADINGS
    assert min(map(len, found.values())) > 50
    rows = [line for line in result.stdout.splitlines() if line.startswith("|")]
    for line, after in pairwise(rows):
        if after.startswith("| ---"):
            assert len(CELL_END.findall(line)) == len(CELL_END.findall(after))


def test_the_parts_are_those_of_the_task() -> None:
    task, found = load_task(ROOT / "runners" / "uno"), sections(export("uno").stdout)

    for name in split_names(task.folder):
        assert load_split(task.folder, name).digest in found["Dataset (D)"]
    for metric in task.metrics:
        assert f"`{metric.id}`" in found["Metrics (M)"]
    assert "`uno_dose` 1.0" in found["Dataset (D)"]
    assert "0.0054" in found["Constraints (C)"]
    assert task.about["output"]["meaning"] in found["Task and workflow (T, W)"]
    assert re.search(r"sha256:[0-9a-f]{64}", found["Version (V)"])


def test_what_nobody_states_is_said_to_be_missing(tmp_path: Path) -> None:
    registry = site_registry(tmp_path / "registry")

    text = export_benchmark("formal", BenchmarkRequest(load_task(registry.runner("toy")), registry))

    found = sections(text)
    assert "Memory, disk and hours of a run: not stated." in found["Infrastructure (I)"]
    assert "No record of a run on real data is published" in found["Results (R)"]


def test_a_published_record_is_a_row_with_its_interval(tmp_path: Path) -> None:
    registry = site_registry(tmp_path / "registry")
    folder = registry.root / "results" / "toy" / "one"
    folder.mkdir(parents=True)
    record = sample_record()
    first = {**record["metrics"][0], "interval": {"lower": 0.4, "upper": 0.6}}
    resampling = {"confidence_level": 0.95, "method": "jackknife", "parts": {}}
    write_record(
        folder, {**record, "metrics": [first, record["metrics"][1]], "resampling": resampling}
    )

    text = export_benchmark("formal", BenchmarkRequest(load_task(registry.runner("toy")), registry))

    assert "| `rmse.a` | test | 0.5 | 0.4 to 0.6 |" in sections(text)["Results (R)"]


def test_the_site_has_the_page_and_its_text(tmp_path: Path) -> None:
    content, home = site_content(tmp_path)
    files = site_files(content, home)
    html = files["benchmarks/toy/formal.html"].decode()

    assert re.findall(r"<h2>([^<]+)</h2>", html) == HEADINGS
    assert files["benchmarks/toy/formal.md"].decode().startswith("# ")
    assert 'href="formal.html"' in files["benchmarks/toy/index.html"].decode()
    assert files["benchmarks/toy/catalogue.yaml"].isascii()


def test_the_page_of_a_built_in_benchmark_is_the_export(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    files = site_files(gather(find_registry(), home, benchmarks=["hydronet"]), home)

    assert files["benchmarks/hydronet/formal.md"].decode() == export("hydronet").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [(("unno",), "did you mean 'uno'"), (("latest",), "is a format of benchmarks"),
     (("uno", "--org", "X"), "does not accept --org")],
)  # fmt: skip
def test_a_wrong_call_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    result = export(*words)

    assert isinstance(result.exception, CallError)
    assert said in str(result.exception)

"""Submissions as MLPerf packages, checked by MLPerf's own programs."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.monitoring import machine
from sciml_data.errors import CallError, RecordError
from tests.support.submissions import FOLDER, Bench

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.skipif(
        importlib.util.find_spec("mlperf_logging") is None, reason="mlperf-logging is not installed"
    ),
]


@pytest.fixture(scope="module")
def three(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a tree with a submission of three runs."""
    root = tmp_path_factory.mktemp("three")
    bench.pack(root)
    return root


def check(bench: Bench, root: Path, to: Path) -> dict[str, dict[str, Any]]:
    result = bench.call("submit", "mlperf", str(root), "--to", str(to), "--json")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    (programs,) = json.loads(result.stdout).values()
    found = {program["program"]: program for program in programs}
    assert result.exit_code == int(any(p["passed"] is False for p in programs))
    return found


def test_mlperfs_programs_accept_and_count_our_runs(
    bench: Bench, three: Path, tmp_path: Path
) -> None:
    programs = check(bench, three, tmp_path)
    assert {name: program["passed"] for name, program in programs.items()} == {
        "system_desc_checker": True,
        "package_checker": True,
        "result_summarizer": True,
    }
    assert not [m for p in programs.values() for m in p["messages"] if "Skipping" in m]
    (row,) = programs["result_summarizer"]["rows"]
    assert row["toy"] > 0  # minutes to train: the olympic mean of three
    assert row["host_processors_count"] == machine._topology()["host_processors_per_node"]
    logs = sorted(path.name for path in tmp_path.rglob("result_*.txt"))
    assert logs == ["result_0.txt", "result_1.txt", "result_2.txt"]


def test_one_run_has_no_olympic_mean(bench: Bench, packed: Path, tmp_path: Path) -> None:
    summary = check(bench, packed, tmp_path)["result_summarizer"]
    assert summary["rows"][0]["toy"] is None
    assert "needs 3 runs" in summary["messages"][-1]


def test_a_log_that_breaks_the_rules_fails(bench: Bench, three: Path, tmp_path: Path) -> None:
    from sciml_data.registry.layout import Registry
    from sciml_data.results.submission import run_programs, write_package

    (package,) = write_package([three / FOLDER], tmp_path)
    for log in package.folder.rglob("result_*.txt"):
        text = log.read_text(encoding="utf-8")
        log.write_text("".join(x for x in text.splitlines(True) if "run_stop" not in x))
    results = {r.program: r for r in run_programs(package, Registry(bench.registry))}
    assert results["package_checker"].passed is False
    assert any("do not comply" in message for message in results["package_checker"].messages)


def test_a_system_description_without_a_field_fails(
    bench: Bench, three: Path, tmp_path: Path
) -> None:
    from sciml_data.registry.layout import Registry
    from sciml_data.results.submission import run_programs, write_package

    (package,) = write_package([three / FOLDER], tmp_path)
    (path,) = package.folder.glob("systems/*.json")
    fields = json.loads(path.read_text(encoding="utf-8"))
    del fields["cooling"]
    path.write_text(json.dumps(fields), encoding="utf-8")
    results = {r.program: r for r in run_programs(package, Registry(bench.registry))}
    assert results["system_desc_checker"].passed is False


def test_an_unknown_number_is_named_and_no_program_crashes(three: Path, tmp_path: Path) -> None:
    from sciml_data.registry.layout import Registry
    from sciml_data.results.submission import Package, run_programs

    package = Package(tmp_path, {}, {"node-a": ("host_processors_per_node",)})
    summary = run_programs(package, Registry(three))[-1]
    assert summary.passed is None
    assert "host_processors_per_node not known" in summary.messages[0]


def test_a_broken_submission_and_an_existing_folder_are_refused(
    bench: Bench, one: Path, three: Path, tmp_path: Path
) -> None:
    (one / "config.yaml").unlink()
    with pytest.raises(RecordError, match="not a valid submission"):
        bench_call(bench, one, tmp_path / "a")
    shutil.copytree(three / "lab", tmp_path / "b" / "lab")
    with pytest.raises(CallError, match="exists"):
        bench_call(bench, three, tmp_path / "b")


def bench_call(bench: Bench, root: Path, to: Path) -> None:
    result = bench.call("submit", "mlperf", str(root), "--to", str(to))
    assert result.exception is not None
    raise result.exception


def test_sockets_and_cores_are_those_of_the_kernel(tmp_path: Path) -> None:
    for number, (package, core) in enumerate([(0, 0), (0, 0), (0, 1), (1, 0)]):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{core}\n")
    found = machine._topology(tmp_path)
    assert found == {"host_processors_per_node": 2, "host_processor_physical_core_count": 3}
    assert machine._topology(tmp_path / "none")["host_processors_per_node"] is None

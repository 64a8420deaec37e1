"""A submission on its way: rescored, reproduced, a branch of a checkout, a pull request's check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from sciml_data import __version__
from sciml_data.bench.record.record import load_record, write_record
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.results.submission import verification
from sciml_data.results.submission.layout import VERIFICATION
from sciml_data.results.submission.pull_request import WORKFLOW_PATH, workflow_text
from tests.support.submissions import FOLDER, Bench, change_record, git, list_anew, repository

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def rescored(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a tree whose one submission of two runs was checked and rescored."""
    root = tmp_path_factory.mktemp("rescored")
    folder = bench.pack(root, runs=bench.real[:2])
    assert bench.check(folder)["accepted"]
    result = bench.call("rescore", str(folder), "--home", str(bench.home))
    assert result.exception is None, result.exception
    assert result.stdout.splitlines()[-1] == "36 scores recomputed, 0 differ from the records"
    return root


@pytest.fixture
def tree(rescored: Path, tmp_path: Path) -> Path:
    """Return the rescored submission, to be changed."""
    shutil.copytree(rescored, tmp_path / "tree")
    return tmp_path / "tree" / FOLDER


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of a repository that collects results."""
    repository(tmp_path / "results")
    return tmp_path / "results"


def compare(bench: Bench, folder: Path, run: Path, *more: str) -> Any:
    words = ["submit", "compare", str(folder), str(run), "--home", str(bench.home), *more]
    return CliRunner().invoke(group, words)


def other_run(bench: Bench, to: Path, **changes: Any) -> Path:
    """Return what a colleague's run of seed 2 would be."""
    shutil.copytree(bench.real[2], to)
    write_record(to, {**load_record(to), **changes})
    return to


def test_equal_scores_make_it_rescored(tree: Path) -> None:
    expected = {"record-1.json": "rescored", "record-2.json": "rescored"}

    assert verification.states(tree) == expected


def test_records_stay_as_they_were_submitted(bench: Bench, tree: Path) -> None:
    assert load_record(bench.real[0])["verification"]["state"] == "unchecked"
    for number in (0, 1):
        submitted = (tree / f"record-{number + 1}.json").read_bytes()
        assert submitted == (bench.real[number] / "record.json").read_bytes()


def test_a_second_check_keeps_what_rescore_found(bench: Bench, tree: Path) -> None:
    assert bench.check(tree)["state"] == "rescored"


def test_a_refusal_takes_the_state_away(bench: Bench, tree: Path) -> None:
    (tree / "notes.txt").write_text("mine", encoding="utf-8")

    assert bench.check(tree)["state"] == "unchecked"
    assert set(verification.states(tree).values()) == {"unchecked"}


def test_nothing_is_rescored_that_was_not_checked(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, runs=bench.real[:1])

    result = bench.call("rescore", str(folder), "--home", str(bench.home))

    assert isinstance(result.exception, RecordError)
    assert not (folder / "verification.json").exists()


def test_a_run_within_tolerance_makes_it_reproduced(
    bench: Bench, tree: Path, tmp_path: Path
) -> None:
    result = compare(bench, tree, other_run(bench, tmp_path / "other"), "--tolerance", "1")
    blocks = json.loads((tree / "verification.json").read_text(encoding="utf-8"))["records"]

    assert result.stdout == "reproduced\n"
    assert set(verification.states(tree).values()) == {"reproduced"}
    assert "seed 2" in blocks["record-1.json"]["checks"][-1]["message"]


def test_a_run_with_other_scores_does_not_reproduce(
    bench: Bench, tree: Path, tmp_path: Path
) -> None:
    rows = [dict(row) for row in load_record(bench.real[2])["metrics"]]
    for row in rows:
        if row["metric_id"] == "explained":
            row["score"] = -3.0

    result = compare(bench, tree, other_run(bench, tmp_path / "other", metrics=rows))

    assert result.exit_code == 1
    assert "score      test/explained" in result.stdout
    assert set(verification.states(tree).values()) == {"rescored"}


@pytest.mark.parametrize("name", ["settings", "split", "dataset"])
def test_a_run_of_something_else_does_not_reproduce(
    bench: Bench, tree: Path, tmp_path: Path, name: str
) -> None:
    value = load_record(bench.real[2])[name]
    changes = {
        "settings": {**value, "epochs": 9},
        "split": {**value, "members_digest": f"sha256:{'9' * 64}"},
        "dataset": {**value, "version": "1.1"},
    }

    result = compare(bench, tree, other_run(bench, tmp_path / "other", **{name: changes[name]}))

    assert result.exit_code == 1
    assert f"other      {name}" in result.stdout


def test_a_submitted_run_does_not_reproduce_itself(bench: Bench, tree: Path) -> None:
    assert isinstance(compare(bench, tree, bench.real[0]).exception, CallError)


def test_only_what_was_rescored_can_be_reproduced(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, runs=bench.real[:1])
    bench.check(folder)

    assert isinstance(compare(bench, folder, bench.real[2]).exception, RecordError)


def test_a_dry_run_prints_branch_and_body_and_makes_nothing(bench: Bench, tree: Path) -> None:
    words = ("submit", "pr", str(tree), "--dry-run", "--repository", str(bench.code))
    result = bench.call(*words, "--repo", "lab/results")
    block = result.stdout.split("```yaml\n")[1].split("```")[0]
    document = yaml.safe_load(block)

    assert result.exit_code == 0
    assert "submission/lab/toy/node-a/first" in result.stdout
    assert "| Measurement name | Reference model value | Submitted model value |" in result.stdout
    assert document["organisation"] == "lab"
    assert document["division"] == "open"
    assert document["runs"] == 2
    assert "gh pr create --repo lab/results" in result.stdout


def test_a_dry_run_writes_files(bench: Bench, tree: Path, tmp_path: Path) -> None:
    words = ("submit", "pr", str(tree), "--dry-run", "--to", str(tmp_path / "request"))
    result = bench.call(*words, "--repository", str(bench.code))

    assert [Path(line).name for line in result.stdout.splitlines()] == [
        "branch.txt",
        "message.txt",
        "body.md",
        "next.txt",
    ]


def test_a_branch_holds_the_tree_and_nothing_else_changes(
    bench: Bench, tree: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(monkeypatch)
    (checkout / "mine.txt").write_text("not committed", encoding="utf-8")
    before = git(checkout, "status", "--porcelain", "--branch")

    result = branch(bench, tree, checkout)
    listed = git(checkout, "ls-tree", "-r", "--name-only", "submission/lab/toy/node-a/first")

    assert result.exception is None, result.exception
    assert git(checkout, "status", "--porcelain", "--branch") == before
    assert {str(FOLDER / "record-1.json"), "README.md", WORKFLOW_PATH} <= set(listed.split())
    assert not any(name.endswith(VERIFICATION) for name in listed.split())
    assert isinstance(branch(bench, tree, checkout).exception, CallError)  # there already


def test_what_would_be_refused_becomes_no_branch(bench: Bench, tree: Path, checkout: Path) -> None:
    change_record(tree, lambda record: record["metrics"][0].update(score=0.0))

    result = branch(bench, tree, checkout)

    assert isinstance(result.exception, RecordError)
    assert git(checkout, "branch", "--list", "submission/*") == ""


def test_a_pull_requests_check_looks_at_what_changed_alone(
    bench: Bench, tree: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(monkeypatch)
    branch(bench, tree, checkout)
    git(checkout, "checkout", "--quiet", "submission/lab/toy/node-a/first")

    added = since(bench, checkout, "main")
    nothing = since(bench, checkout, "HEAD")

    assert [(one["folder"], one["accepted"]) for one in added] == [(str(FOLDER), True)]
    assert nothing == []


def test_a_pull_request_does_not_bring_its_own_verdict(
    bench: Bench, tree: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(monkeypatch)
    branch(bench, tree, checkout)
    git(checkout, "checkout", "--quiet", "submission/lab/toy/node-a/first")
    shutil.copyfile(tree / "verification.json", checkout / FOLDER / "verification.json")
    commit(checkout)

    (verdict,) = since(bench, checkout, "main")

    assert verification.state_of(tree) == "rescored"
    assert verdict["state"] == "self_checked"


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_what_was_merged_is_not_changed(
    bench: Bench, tree: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    identify(monkeypatch)
    shutil.copytree(tree.parents[3] / "lab", checkout / "lab")
    commit(checkout)
    git(checkout, "checkout", "--quiet", "-b", "later")
    if change == "edit":
        (checkout / FOLDER / "VERSION.txt").write_text("other\n", encoding="utf-8")
        list_anew(checkout / FOLDER)
    else:
        shutil.rmtree(checkout / FOLDER)
    commit(checkout)

    verdicts = since(bench, checkout, "main")

    assert "published" in {p["kind"] for one in verdicts for p in one["problems"]}


def test_the_workflow_is_yaml_that_can_only_read() -> None:
    document = yaml.safe_load(workflow_text())
    steps = document["jobs"]["check"]["steps"]

    assert document["permissions"] == {"contents": "read"}
    assert list(document[True]) == ["pull_request"]  # YAML 1.1 reads `on` as true
    assert f"sciml-data[submit]=={__version__}" in str(steps)
    assert steps[-1]["run"] == 'sciml-data submit check . --since "$BASE"'
    assert not any("${{" in step.get("run", "") for step in steps)  # nothing is pasted into a shell


@pytest.mark.parametrize(
    "words", [(), ("--dry-run", "--checkout", "."), ("--checkout", "no/such/folder")]
)
def test_wrong_calls_of_pr_make_nothing(bench: Bench, tree: Path, words: tuple[str, ...]) -> None:
    given = ("submit", "pr", str(tree), *words, "--repository", str(bench.code))

    assert isinstance(bench.call(*given).exception, CallError)


def identify(patch: pytest.MonkeyPatch) -> None:
    """Give git somebody who commits."""
    for role in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{role}_NAME", "A")
        patch.setenv(f"GIT_{role}_EMAIL", "a@example.org")


def branch(bench: Bench, folder: Path, checkout: Path) -> Any:
    words = ("submit", "pr", str(folder), "--checkout", str(checkout))
    return bench.call(*words, "--repository", str(bench.code))


def commit(checkout: Path) -> None:
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "more")


def since(bench: Bench, checkout: Path, base: str) -> list[dict[str, Any]]:
    words = ("submit", "check", str(checkout), "--since", base, "--repository", str(bench.code))
    return list(json.loads(bench.call(*words, "--json").stdout))


def test_a_site_shows_the_runs_of_a_submission_with_their_state_and_submitter(
    bench: Bench, tree: Path, tmp_path: Path
) -> None:
    from sciml_data.home import Home
    from sciml_data.registry.layout import Registry
    from sciml_data.site import gather

    runs = gather(Registry(bench.registry), Home(tmp_path), wanted=[str(tree.parents[3])]).runs

    assert [(run.organisation, run.record["verification"]["state"]) for run in runs] == [
        ("lab", "rescored")
    ] * 2
    assert {"record-1.json", "record-2.json"} == {run.path.name for run in runs}

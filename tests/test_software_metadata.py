"""What is said about this software in several files agrees; workflows and forms are sound."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sciml_data.results.submission.pull_request import workflow_text
from tests.support.paths import ROOT
from tests.support.software import (
    CITATION,
    CODEMETA,
    PACKAGE,
    WORKFLOW,
    ZENODO,
    as_text,
    code_version,
    documents,
)

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_codemeta_and_zenodo_follow_from_pyproject_and_the_citation() -> None:
    for path, document in documents().items():
        assert path.read_text(encoding="utf-8") == as_text(document), (
            f"{path.name}: python -m tests.support.software"
        )


def test_the_citation_has_the_version_of_the_package() -> None:
    assert str(yaml.safe_load(CITATION.read_text(encoding="utf-8"))["version"]) == code_version()


def test_the_workflow_of_the_published_submissions_installs_this_version() -> None:
    assert WORKFLOW.read_text(encoding="utf-8") == workflow_text()


def test_a_release_writes_its_version_everywhere(tmp_path: Path) -> None:
    written = [ROOT / PACKAGE, CITATION, CODEMETA, ZENODO, WORKFLOW]
    tools = [ROOT / "tests" / "support" / name for name in ("software.py", "paths.py")]
    for source in [ROOT / "pyproject.toml", *written, *tools]:
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())

    subprocess.run(
        [sys.executable, "-m", "tests.support.software", "9.8.7"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True,
    )  # fmt: skip

    for place in [path.relative_to(ROOT) for path in written]:
        assert "9.8.7" in (tmp_path / place).read_text(encoding="utf-8"), place


def nox_sessions() -> set[str]:
    """Return the names of all sessions of noxfile.py."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    return set(
        re.findall(r"^def (\w+)\(session: nox\.Session(?:, extra: str)?\)", noxfile, re.MULTILINE)
    )


def test_every_session_that_a_document_names_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "runners").rglob("*.md")]
    texts = [path.read_text(encoding="utf-8") for path in pages]
    lines = [line for text in texts for line in re.findall(r"nox -s ([a-z][a-z_ ]*)", text)]
    # Two spaces are before the comment of a command.
    named = {word for line in lines for word in line.split("  ")[0].split()}

    assert {"docs", "slow", "same"} <= named
    assert named - nox_sessions() == set()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_sessions_that_exist_with_few_rights(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"].values()
    named = {
        name
        for job in jobs
        for name in job.get("strategy", {}).get("matrix", {}).get("session", ())
    }
    named |= {
        word
        for line in re.findall(r"nox -s ([a-z ]+)$", text, re.MULTILINE)
        for word in line.split()
    }

    assert named - nox_sessions() == set()
    assert workflow["permissions"] == {"contents": "read"}  # jobs that need more say so
    assert all("timeout-minutes" in job for job in jobs if len(job["steps"]) > 3)


def test_only_the_upload_may_speak_for_the_project_on_pypi() -> None:
    release = yaml.safe_load((GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8"))
    publish = release["jobs"]["publish"]

    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"
    assert "attestations" in release["jobs"]["build"]["permissions"]
    assert "password" not in str(release)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_has_what_the_forge_demands(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    ids = [part["id"] for part in form["body"]]

    assert {"name", "description", "body"} <= set(form)
    assert len(ids) == len(set(ids))
    for part in form["body"]:
        assert part["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown")
        assert part["attributes"]["label"]
        assert part["type"] != "dropdown" or part["attributes"]["options"]


def test_hooks_are_local() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")

    repositories = yaml.safe_load(text)["repos"]

    assert {entry["repo"] for entry in repositories} == {"local"}
    assert {hook["language"] for entry in repositories for hook in entry["hooks"]} == {"system"}

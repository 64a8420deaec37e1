"""The GitHub workflow that gives the verdict on a pull request: shipped, and written once."""

from __future__ import annotations

from pathlib import Path

from sciml_data import __version__
from sciml_data.home import write_atomically

WORKFLOW_PATH = ".github/workflows/sciml-data-submissions.yml"


def workflow_text() -> str:
    """Return the workflow, pinned to this version of the package."""
    text = Path(__file__).with_name("workflow.yml").read_text(encoding="utf-8")
    return text.replace("{version}", __version__, 1)


def write_workflow(root: Path) -> Path:
    """Write the workflow below a repository's root where there is none, and return its path."""
    path = root / WORKFLOW_PATH
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, workflow_text())
    return path

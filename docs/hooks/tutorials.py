"""Execute the tutorials, and put outputs and pictures into their pages.

A tutorial is a Markdown file: its blocks of Python are the cells of a notebook, which JupyterLab
opens with Jupytext. `python docs/hooks/tutorials.py` executes all of them into build/tutorials/,
and fails where a cell fails. The site uses these notebooks; it executes what is missing or changed.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tutorials"
EXECUTED = ROOT / "build" / "tutorials"
MAX_CPU_S = 60  # of a tutorial; wall times on shared machines are noise


def sources() -> list[Path]:
    """Return the tutorials."""
    return sorted(path for path in FOLDER.glob("*.md") if path.name != "index.md")


def execute(source: Path) -> Path:
    """Execute a tutorial in an empty folder with an empty home; return the notebook's path.

    A notebook of the same text is used again.

    Raises:
        CellExecutionError: a cell failed.
    """
    target = EXECUTED / f"{source.stem}.ipynb"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if target.is_file() and nbformat.read(target, 4).metadata.get("source") == digest:
        return target
    notebook = jupytext.read(source)
    notebook.metadata["source"] = digest
    notebook.metadata["kernelspec"] = {
        "name": "python3", "language": "python", "display_name": "Python 3",
    }  # fmt: skip
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryDirectory() as folder:
        environment["SCIML_DATA_HOME"] = f"{folder}/home"
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook,
            timeout=10 * MAX_CPU_S,
            resources=resources,
            coalesce_streams=True,
            extra_arguments=["--log-level=40"],  # a port on loopback is no news
        )
        client.execute(env=environment)
        text = nbformat.writes(notebook).replace(folder, "/home/me/tutorial")
    EXECUTED.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Replace each tutorial by its executed form, and add its pictures and its notebook."""
    from mkdocs.structure.files import File

    for source in sources():
        uri = f"tutorials/{source.name}"
        notebook = execute(source)
        text, resources = MarkdownExporter().from_filename(str(notebook))
        for name, content in resources["outputs"].items():
            picture = f"{source.stem}-{name}"
            text = text.replace(f"]({name})", f"]({picture})")
            files.append(File.generated(config, f"tutorials/{picture}", content=content))
        download = f"tutorials/{notebook.name}"
        files.append(File.generated(config, download, abs_src_path=str(notebook)))
        text += (
            f"\n\nThis page was executed when the site was built. [Its notebook]({notebook.name}) "
            "opens in JupyterLab.\n"
        )
        EXECUTED_PAGES[uri] = text
    return files


EXECUTED_PAGES: dict[str, str] = {}  # page -> Markdown with the outputs


def on_page_read_source(page: Any, **_: Any) -> str | None:
    """Return the executed form of a tutorial, None for other pages."""
    return EXECUTED_PAGES.get(page.file.src_uri)


def cpu_seconds() -> float:
    """Return the processor time of all child processes that have ended: the kernels."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Execute every tutorial, print how long each took, and fail if one takes too much."""
    slow = []
    for source in sources():
        begin = cpu_seconds()
        execute(source)
        seconds = cpu_seconds() - begin
        slow += [source.name] if seconds > MAX_CPU_S else []
        print(f"{source.name}: {seconds:.0f} s of processor time")  # noqa: T201
    if slow:
        sys.exit(f"more than {MAX_CPU_S} s of processor time: {', '.join(slow)}")


if __name__ == "__main__":
    main()

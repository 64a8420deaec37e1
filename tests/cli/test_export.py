"""`sciml-data export`: the document on stdout, or in a file; what is wrong is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.metadata.forms import FORMS


def export(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["export", *arguments])


@pytest.mark.parametrize(
    ("form", "format_"), [(form, format_) for form, formats in FORMS.items() for format_ in formats]
)
def test_the_document_and_nothing_else_is_on_stdout(form: str, format_: str) -> None:
    if format_ == "turtle":
        pytest.importorskip("rdflib")

    result = export(form, "uno_almanac", "--format", format_)

    starts = {"json": "{\n", "xml": "<?xml ", "turtle": "@prefix "}
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(starts[format_])
    assert result.stdout.endswith("\n")
    assert not result.stdout.endswith("\n\n")


def test_a_file_is_written_and_nothing_printed(tmp_path: Path) -> None:
    place = tmp_path / "ro-crate-metadata.json"

    result = export("rocrate", "tevolop_socal", "--version", "live", "--to", str(place))

    assert (result.exit_code, result.output) == (0, "")
    root = json.loads(place.read_text())["@graph"][1]
    assert root["identifier"].endswith("/tevolop_socal/live/")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["crossant", "uno_ccle"], r"no such format: 'crossant' .did you mean 'croissant'\?"),
        (
            ["dcat", "uno_ccle", "--format", "turtel"],
            r"did you mean 'turtle'\?.; .*json, turtle",
        ),
        (["dcat", "uno_cle"], r"no dataset 'uno_cle' .did you mean 'uno_ccle'\?"),
        (["dcat", "uno_ccle", "--version", "2.0"], r"has no version '2\.0'; it has 1\.0"),
        (["dcat", "uno_ccle", "--to", "nowhere/at/all.json"], "no such folder: nowhere/at"),
    ],
)
def test_a_wrong_call_is_named_with_what_was_meant(arguments: list[str], expected: str) -> None:
    error = export(*arguments).exception

    assert isinstance(error, CallError)
    with pytest.raises(CallError, match=expected):
        raise error


def test_a_folder_is_no_file_and_the_name_of_one_is_proposed(tmp_path: Path) -> None:
    error = export("rocrate", "uno_ccle", "--to", str(tmp_path)).exception

    assert isinstance(error, CallError)
    assert error.hint == f"--to {tmp_path}/ro-crate-metadata.json"


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(pipe.read_text)
        result = export("croissant", "uno_ccle", "--to", str(pipe))
        text = reader.result(timeout=30)

    assert result.exit_code == 0
    assert json.loads(text)["name"]
    assert pipe.is_fifo()


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)

    result = export("croissant", "uno_ccle", "--to", str(link))

    assert result.exit_code == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["name"]


@pytest.mark.parametrize("form", FORMS)
def test_the_export_of_a_dataset_loads_no_benchmark_code(form: str) -> None:
    """A laboratory that only describes data has no use for the training side."""
    script = (
        "import json, sys\n"
        "from sciml_data.cli import group\n"
        f"group(['export', {form!r}, 'uno_ccle'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = json.loads(done.stderr)

    assert "sciml_data.metadata.forms" in loaded
    assert [m for m in loaded if m.startswith(("sciml_data.bench", "sciml_data.results"))] == []


def test_without_rdflib_turtle_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdflib", None)

    error = export("dcat", "uno_ccle", "--format", "turtle").exception

    assert isinstance(error, CallError)
    assert error.hint.startswith("pip install 'sciml-data[fair]'")
    assert export("dcat", "uno_ccle").exit_code == 0


@pytest.mark.parametrize(
    ("form", "name", "said"),
    [
        ("catalogue", "nosuch", "cloudmask"),  # a benchmark would do, too
        ("croissant-task", "uno_ccle", "uno"),
        ("spdx", "uno", "uno is a benchmark"),
        ("spdx", "uno_ccle", "uno_ccle is a dataset"),
    ],
)
def test_a_name_of_another_kind_is_told_what_the_format_describes(
    form: str, name: str, said: str, tmp_path: Path
) -> None:
    result = export(form, name, "--home", str(tmp_path))

    assert isinstance(result.exception, CallError)
    assert said in str(result.exception.hint)
    assert "sciml-data run BENCHMARK --sample" in str(result.exception.hint)

"""Names that Windows or macOS refuse or confuse are warned about; they stay valid on Linux."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.registry.portability import portability_warnings
from sciml_data.testing.datasets import write_dataset


@pytest.mark.parametrize(
    "path",
    ["a:b", "a*", "what?", "<a", "a>", "a|b", 'a"b', "a./b", "a /b", "a.", "CON", "x/nul.txt/a"],
)
def test_a_path_that_windows_refuses_is_warned_about(path: str) -> None:
    assert len(portability_warnings(["a/b.csv", path], "manifest.csv")) == 1


def test_paths_that_differ_in_case_are_warned_about() -> None:
    (warning,) = portability_warnings(["A/x", "a/X", "b"], "manifest.csv")

    assert "'A/x'" in warning.message
    assert "'a/X'" in warning.message


@pytest.mark.parametrize("path", ["console/a", "a.con", "com10", "nullable.csv", "a b/c.d", "é/漢"])
def test_a_path_that_every_system_takes_has_no_warning(path: str) -> None:
    assert portability_warnings([path], "manifest.csv") == []


def test_check_and_new_warn_and_accept(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"A": b"1", "a": b"2"}, mirrors=[{"": "https://example.org/"}])
    (tmp_path / "datapackages" / "tiny" / "README.md").write_text("# tiny\n")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "con.csv").write_text("x\n")

    check = CliRunner().invoke(group, ["check", "--registry", str(tmp_path)])
    arguments = ["--registry", str(tmp_path), "--files", str(raw), "--no-ask"]
    new = CliRunner().invoke(group, ["new", "other", "1.0", *arguments])

    assert check.exit_code == 0
    assert "warning: datapackages/tiny/1.0/manifest.csv: 'a' and 'A' differ" in check.stderr
    assert new.exit_code == 0, new.output
    assert "warning: datapackages/other/1.0/manifest.csv: 'con.csv' has a name" in new.stderr

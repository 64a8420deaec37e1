"""`sciml-data config` prints what is in force, and no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.config import VARIABLES
from tests.support.paths import ROOT
from tests.support.small_registry import small_registry


def settings(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(group, ["config", "--json", *words])
    assert result.exception is None, result.exception
    return dict(json.loads(result.stdout))


def test_home_runs_registry_and_mirrors_are_those_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = small_registry(tmp_path)
    monkeypatch.setenv("SCIML_DATA_HOME", f"{tmp_path / 'own'}:{tmp_path / 'shared'}")
    monkeypatch.setenv("SCIML_DATA_MIRRORS", "https://mirror.example.org/x")
    found = settings("--registry", str(registry.root), "--runs", str(tmp_path / "runs"))

    assert found["home"] == str(tmp_path / "own")
    assert found["shared_homes"] == [str(tmp_path / "shared")]
    assert found["runs"] == str(tmp_path / "runs")
    assert found["registries"][0] == str(registry.root)
    assert found["mirrors"] == ["https://mirror.example.org/x"]


def test_tokens_and_passwords_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_DATA_TOKENS", "a.example.org=secret1 b.example.org=secret2")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret3@proxy.example.org:8080")
    monkeypatch.setenv("SCIML_DATA_MIRRORS", "https://me:secret4@mirror.example.org")
    for words in ([], ["--json"]):
        output = CliRunner().invoke(group, ["config", *words]).output
        assert "secret" not in output
        assert "a.example.org=…" in output or "a.example.org=\\u2026" in output
        assert "proxy.example.org:8080" in output


def test_an_extra_names_the_packages_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml_data.cli.config._is_installed", lambda name: name != "lmdb")

    assert "lmdb" in settings()["extras"]["stemdl"]
    assert settings()["extras"]["s3"] == []
    assert re.search(r"not installed +stemdl: lmdb", CliRunner().invoke(group, ["config"]).stdout)


def test_the_page_of_settings_has_every_variable() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`([A-Z][A-Z_]{5,})`", text)) - {"PATH", "TOKEN"} == set(VARIABLES)
    used = re.findall(r'"(SCIML_DATA_[A-Z_]+)"', "".join(_sources()))
    assert set(used) - {"SCIML_DATA_SINCE", "SCIML_DATA_REQUIREMENT"} <= set(VARIABLES)


def _sources() -> list[str]:
    files = (ROOT / "sciml_data").rglob("*.py")
    return [path.read_text(encoding="utf-8") for path in files]

"""Only verbs that must run a benchmark's code run the code of a registry."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.home import Home
from tests.support.paths import ROOT
from tests.support.run_samples import written_run
from tests.support.site_samples import TOY_BENCHMARK, site_registry
from tests.support.toy import toy_source

SAFE = [
    "list",
    "check",
    "describe waves",
    "cite waves",
    "export croissant waves",
    "export datacite waves",
    "fair waves",
    "get waves --dry-run",
    "verify waves",
    "convert waves",
    "cache",
    "board",
    "aggregate one two",
    "log one",
    "export run-crate one --to {tmp}/crate",
    "site build --to {tmp}/site",
]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Return a file that exists as soon as any code of the registry's benchmark was run."""
    registry = site_registry(tmp_path / "registry")
    marker = tmp_path / "code-was-run"
    for path in (registry.root / "runners").rglob("*.py"):
        path.write_text(f"{path.read_text()}\nopen({str(marker)!r}, 'w').close()\n")
    (registry.root / "runners/toy/__init__.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    home = Home(tmp_path / "home")
    for number, name in enumerate(("one", "two")):
        identifier = f"{number}2345678-1234-4234-8234-123456789abc"
        written_run(home.runs("toy") / name, run_id=identifier, benchmark=TOY_BENCHMARK)
    return marker


def sciml(line: str, folder: Path) -> Result:
    words = line.format(tmp=folder).split()
    verb = [*words, "--registry", str(folder / "registry")]
    if words[0] in {"get", "verify", "convert", "board", "aggregate", "log", "run", "show"}:
        verb += ["--home", str(folder / "home")]
    return CliRunner().invoke(group, verb)


@pytest.mark.parametrize("line", SAFE)
def test_the_code_of_a_registry_is_not_run(marker: Path, line: str) -> None:
    sciml(line, marker.parent)

    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_and_show_run_it_and_the_documentation_says_so(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

    for line in ("run toy --set epochs=1 --name mine", "show mine"):
        result = sciml(line, marker.parent)

        assert marker.exists(), f"{line}: {result.output} {result.exception}"
        assert f"`{line.split()[0]}`" in text
        marker.unlink()
        for name in [name for name in sys.modules if name.startswith("sciml_runner_toy")]:
            del sys.modules[name]

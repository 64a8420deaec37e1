"""What a record says of software and hardware."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sciml_data.bench.monitoring import machine
from sciml_data.bench.monitoring.machine import software
from sciml_data.registry.layout import find_registry


@pytest.mark.parametrize("distribution", ["tensorflow", "tensorflow_cpu"])
def test_tensorflow_has_its_version_under_both_names_of_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distribution: str
) -> None:
    note = tmp_path / f"{distribution}-2.99.0.dist-info" / "METADATA"
    note.parent.mkdir()
    note.write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.99.0\n")
    # No other distribution is on the path.
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    libraries = software()["libraries"]

    assert libraries["tensorflow"] == "2.99.0"
    assert libraries["jax"] is None


def test_a_runner_outside_of_the_commit_makes_the_code_changed_and_is_named(
    tmp_path: Path,
) -> None:
    own = machine.code(find_registry().runner("uno"))
    shutil.copytree(find_registry().runner("uno"), tmp_path / "lab" / "runners" / "uno")
    runner = tmp_path / "lab" / "runners" / "uno"

    code = machine.code(runner)
    (tmp_path / "lab" / "registry.toml").write_text('title = "Harbour laboratory"')
    (tmp_path / "lab" / "metrics.py").write_text("def worst(observed, predicted): ...")
    titled = machine.code(runner)

    assert "registry" not in own
    assert code["registry"] == "lab"
    assert titled["registry"] == "Harbour laboratory"
    assert code["is_dirty"] is (None if code["commit"] is None else True)
    assert code["runner_digest"] == own["runner_digest"]
    assert titled["runner_digest"] != own["runner_digest"]

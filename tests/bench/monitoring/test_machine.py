"""What a record says of software and hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.bench.monitoring.machine import software


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

"""Staging: a run gets checked data, and files that were changed are made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.bench.run.staging import Sample, Source, stage
from sciml_data.bench.task.task import load_task
from sciml_data.home import Home
from sciml_data.ready import find_converted, ready_problems
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import hash_file
from tests.support.damage import DAMAGE
from tests.support.paths import ROOT

FILE = "events.nc"


def staged(home: Home, lines: list[str]) -> Source:
    """Stage the sample of a benchmark, and close it."""
    lines.clear()
    task = load_task(ROOT / "runners" / "tevolop")
    source = stage(task, find_registry(), home=home, sample=Sample(0), log=lines.append)
    source.dataset.close()  # type: ignore[union-attr]
    return source


def ready_file(home: Home) -> Path:
    (path,) = home.dataset("tevolop_socal", "1.0", sample_seed=0).ready.glob(f"*/{FILE}")
    return path


def test_changed_ready_files_are_made_again_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, lines = Home(tmp_path), list[str]()
    first = staged(home, lines)
    before = hash_file(ready_file(home))

    for damage in DAMAGE.values():
        damage(ready_file(home))

        again = staged(home, lines)

        assert hash_file(ready_file(home)) == before
        assert again.ready_digest == first.ready_digest
        assert any(FILE in line for line in lines)
        assert "they are made again from the native files" in lines

    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    converted = find_converted(
        descriptor, home.dataset("tevolop_socal", descriptor.version, sample_seed=0)
    )
    assert converted is not None
    assert ready_problems(converted, full=True) == []
    monkeypatch.setattr("sciml_data.transfer.verification.hash_like", lambda *_: "another hash")
    assert staged(home, lines).ready_digest == f"sha256:{converted.manifest.digest}"
    assert lines == []  # nothing was hashed, fetched or made


@pytest.mark.parametrize("name", ["conversion.json", "manifest.csv"])
def test_a_damaged_list_of_the_ready_files_is_written_again(tmp_path: Path, name: str) -> None:
    home, lines = Home(tmp_path), list[str]()
    first = staged(home, lines)
    ready_file(home).with_name(name).write_text("nonsense", encoding="utf-8")

    assert staged(home, lines).ready_digest == first.ready_digest
    assert any(name in line for line in lines)

"""Staging: a run gets checked data, and files that were changed are made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.runs import all_runs
from sciml_data.bench.run.execution import run_once
from sciml_data.bench.run.journal import Prepared
from sciml_data.bench.run.staging import Sample, Source, stage, unchanged_data
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training.loop import Trained, train
from sciml_data.errors import VerificationError
from sciml_data.home import Home
from sciml_data.ready import find_converted, ready_problems
from sciml_data.ready.folder import write_record
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import hash_file, manifest_of
from sciml_data.registry.stages import Converted
from sciml_data.testing.datasets import write_files
from tests.support.damage import DAMAGE, flip
from tests.support.paths import ROOT
from tests.support.toy import toy_source

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


# --- while a run reads ----------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return a source with two ready files of a few bytes, which nobody opens."""
    root = tmp_path / "ready"
    write_files(root, {"a.nc": b"a" * 100, "b.nc": b"b" * 100})
    manifest = manifest_of(root)
    write_record(root, {"splits": {"all": ["a.nc", "b.nc"]}})
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    source = replace(toy_source(), files=Converted(descriptor, root, manifest, ""))
    with unchanged_data(source):
        pass
    return source


def path_of(source: Source, name: str) -> Path:
    assert source.files is not None
    return source.files.root / name


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("failure", [OSError("HDF5"), RuntimeError("HDF5"), KeyError("x")])
def test_a_failure_in_the_middle_names_the_changed_file(
    source: Source, damage: Callable[[Path], None], failure: Exception
) -> None:
    def read() -> None:
        with unchanged_data(source):
            damage(path_of(source, "a.nc"))
            raise failure

    with pytest.raises(VerificationError) as error:
        read()

    assert [problem.place for problem in error.value.problems] == ["a.nc"]
    assert error.value.__cause__ is failure


def test_a_failure_with_unchanged_files_is_not_renamed(source: Source) -> None:
    with pytest.raises(OSError, match="memory"), unchanged_data(source):
        raise OSError("memory")


def test_a_change_is_noticed_at_the_end_even_if_nothing_failed(source: Source) -> None:
    with pytest.raises(VerificationError, match="while being read"), unchanged_data(source):
        flip(path_of(source, "b.nc"))


def test_files_that_were_removed_or_written_again_after_they_were_read_do_no_harm(
    source: Source,
) -> None:
    with unchanged_data(source):
        path_of(source, "a.nc").unlink()
        path_of(source, "b.nc").unlink()
        path_of(source, "b.nc").write_bytes(b"b" * 100)


# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_run_of_which_data_changed_is_recorded_as_failed(
    prepared: Prepared, source: Source, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_and_flip(*arguments: Any, **options: Any) -> Trained:
        flip(path_of(source, "a.nc"))
        return train(*arguments, **options)

    monkeypatch.setattr("sciml_data.bench.run.execution.train", train_and_flip)

    with pytest.raises(VerificationError, match="while being read"):
        run_once(replace(prepared, source=source), 0, home=home)

    (folder,) = all_runs(home)
    record = load_record(folder)
    assert record["status"] == "failed"
    assert "changed while being read" in record["reason"]

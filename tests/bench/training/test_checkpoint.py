"""A run's state is written whole, and is given back only to the run it belongs to."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.training.checkpoint import (
    FILE,
    PREVIOUS,
    State,
    load_state,
    remove_leftovers,
    replace_damaged,
    restore,
    save_state,
)
from sciml_data.errors import RecordError

DIGEST = "sha256:" + "1" * 64


def state(value: float = 1.0) -> State:
    return State(
        model=[np.full((2, 3), value, "float32"), np.array([7, 9], "uint32")],
        optimizer=[np.array(3, "int64")],
        best=[np.full((2, 3), value / 2, "float32")],
        progress={"epochs": 2, "curve": [{"train_loss": 0.1}]},
        settings_digest=DIGEST,
    )


class Variable:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.value: object = None

    def assign(self, value: object) -> None:
        self.value = value


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_state(tmp_path, state())

    found = load_state(tmp_path, DIGEST)

    assert found is not None
    for group in ("model", "optimizer", "best"):
        written, read = getattr(state(), group), getattr(found, group)
        assert [array.dtype for array in written] == [array.dtype for array in read]
        assert all(np.array_equal(one, other) for one, other in zip(written, read, strict=True))
    assert state().progress == found.progress


def test_there_is_no_state_before_the_first(tmp_path: Path) -> None:
    assert load_state(tmp_path / "nothing", DIGEST) is None


def test_a_new_state_replaces_the_old_one_which_is_kept_once(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        save_state(tmp_path, state(value))

    assert value_of(load_state(tmp_path, DIGEST)) == 3.0
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, PREVIOUS]
    (tmp_path / FILE).unlink()
    assert value_of(load_state(tmp_path, DIGEST)) == 2.0


def value_of(found: State | None) -> float:
    assert found is not None
    return float(found.model[0][0, 0])


def damaged_header(path: Path) -> None:
    """Declare an array of 8 TiB in the header of the first member."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(2, 3), }", b"(1<<42,)}"[:9].ljust(9), 1))


def of_pickles(path: Path) -> None:
    head = json.dumps({"settings_digest": DIGEST, "progress": {}})
    arrays: dict[str, Any] = {"model/0": np.array([object])}
    np.savez(path, head=np.array(head), checksum=np.array("0"), **arrays)


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def compressed(path: Path) -> None:
    with np.load(path) as stored:
        arrays: dict[str, Any] = dict(stored)
    np.savez_compressed(path, **arrays)


def with_a_value_changed(path: Path) -> None:
    """Change a value, and leave the zip file sound: only our checksum can notice."""
    with np.load(path) as stored:
        arrays: dict[str, Any] = dict(stored)
    arrays["model/0000"] = arrays["model/0000"] + 1
    np.savez(path, **arrays)


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.unlink()
        make(path)

    return apply


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "cut to half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not at all"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"model": [1]})),
    "pickles in it": of_pickles,
    "one array": one_array,
    "no head": lambda path: np.savez(path, checksum=np.array("0")),
    "a zip of other files": lambda path: shutil.copy(
        shutil.make_archive(str(path.parent / "other"), "zip", path.parent), path
    ),
    "compressed": compressed,
    "8 TiB declared": damaged_header,
    "another value": with_a_value_changed,
    "a folder": instead(Path.mkdir),
    "a pipe": instead(os.mkfifo),
    "a link": instead(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_a_sentence_and_the_one_before_it_is_taken(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "checkpoint"
    save_state(folder, state(1.0))
    damage(folder / FILE)
    with pytest.raises(RecordError, match="cannot be read") as error:
        load_state(folder, DIGEST)
    assert error.value.message.count(FILE) >= 1
    shutil.rmtree(folder)

    save_state(folder, state(1.0))
    save_state(folder, state(2.0))
    damage(folder / FILE)
    found = load_state(folder, DIGEST)

    assert value_of(found) == 1.0
    assert found is not None
    assert found.damage.startswith(FILE)


def test_a_damaged_state_never_becomes_the_previous_one(tmp_path: Path) -> None:
    save_state(tmp_path, state(1.0))
    save_state(tmp_path, state(2.0))
    (tmp_path / FILE).write_bytes(b"not a state")

    replace_damaged(tmp_path)
    save_state(tmp_path, state(3.0))
    (tmp_path / FILE).write_bytes(b"not a state")

    assert value_of(load_state(tmp_path, DIGEST)) == 1.0


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path = save_state(tmp_path, state())
    content = path.read_bytes()
    random = np.random.default_rng(0)
    noticed = 0
    for place in random.choice(len(content), 200, replace=False):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            found = load_state(tmp_path, DIGEST)
        except RecordError:
            noticed += 1
            continue
        assert found is not None
        assert [array.tobytes() for array in found.model] == [a.tobytes() for a in state().model]
        assert found.progress == state().progress

    assert noticed > 50


def test_without_hard_links_the_previous_state_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    save_state(tmp_path, state(1.0))
    save_state(tmp_path, state(2.0))

    assert value_of(load_state(tmp_path, DIGEST)) == 2.0
    (tmp_path / FILE).unlink()
    assert value_of(load_state(tmp_path, DIGEST)) == 1.0


def test_leftovers_of_dead_processes_are_removed_and_no_other_file(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    alive = os.getppid()
    (tmp_path / "checkpoint").mkdir()
    dead_files = [
        tmp_path / "checkpoint" / f".{FILE}.{ended.pid}",
        tmp_path / f".record.json.{ended.pid}",
        tmp_path / f".curve.jsonl.{os.getpid()}",
    ]
    old = tmp_path / f".record.json.{alive}"
    others = [
        tmp_path / f".curve.jsonl.{alive}",
        tmp_path / ".lock",
        tmp_path / "record.json",
        tmp_path / f"outputs.{ended.pid}",
    ]
    for path in (*dead_files, old, *others):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))

    removed = remove_leftovers(tmp_path)

    assert sorted(removed) == sorted([*dead_files, old])
    assert [path for path in others if not path.exists()] == []
    assert [path for path in removed if path.exists()] == []


def test_half_a_file_beside_the_state_is_not_read(tmp_path: Path) -> None:
    whole = save_state(tmp_path, state()).read_bytes()
    (tmp_path / f".{FILE}.12345").write_bytes(whole[: len(whole) // 2])

    assert load_state(tmp_path, DIGEST) is not None


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, state())

    with pytest.raises(RecordError, match="other settings"):
        load_state(tmp_path, "sha256:" + "2" * 64)


def test_values_of_another_model_are_refused_before_any_is_assigned() -> None:
    variables = [Variable((2, 3)), Variable((4,))]

    with pytest.raises(RecordError, match="of another model"):
        restore(variables, state().model)

    assert [variable.value for variable in variables] == [None, None]

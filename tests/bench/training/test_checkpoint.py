"""A run's state is written whole, and is given back only to the run it belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data.bench.training.checkpoint import FILE, State, load_state, restore, save_state
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


def test_a_new_state_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_state(tmp_path, state(1.0))
    save_state(tmp_path, state(2.0))

    found = load_state(tmp_path, DIGEST)

    assert found is not None
    assert found.model[0][0, 0] == 2.0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_half_a_file_beside_the_state_is_not_read(tmp_path: Path) -> None:
    whole = save_state(tmp_path, state()).read_bytes()
    (tmp_path / f".{FILE}.12345").write_bytes(whole[: len(whole) // 2])

    assert load_state(tmp_path, DIGEST) is not None


def test_a_state_cut_short_is_refused(tmp_path: Path) -> None:
    path = save_state(tmp_path, state())
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(RecordError, match="cannot be read"):
        load_state(tmp_path, DIGEST)


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, state())

    with pytest.raises(RecordError, match="other settings"):
        load_state(tmp_path, "sha256:" + "2" * 64)


def test_values_of_another_model_are_refused_before_any_is_assigned() -> None:
    variables = [Variable((2, 3)), Variable((4,))]

    with pytest.raises(RecordError, match="of another model"):
        restore(variables, state().model)

    assert [variable.value for variable in variables] == [None, None]

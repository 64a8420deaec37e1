"""Splits by shares of a hash: an id keeps its part, whatever else there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml_data.bench.task.shares import (
    NO_PART,
    agreed,
    mixed,
    parts_of,
    read_shares,
    units,
    words_of,
)
from sciml_data.errors import DescriptorError

IDS = [f"cell {number}" for number in range(4000)]


def members(**changed: Any) -> dict[str, Any]:
    ends = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
    made: dict[str, Any] = {
        part: {"by": ["cell"], "salt": "s", "from": low, "to": high}
        for part, (low, high) in ends.items()
    }
    made["test"] |= changed
    return made


def test_parts_hold_about_their_shares_and_everything_is_in_one() -> None:
    parts = parts_of(units(words_of(IDS, "s")), read_shares("x", members()))

    assert np.bincount(parts, minlength=3) / len(IDS) == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_an_id_keeps_its_part_when_others_come_or_go() -> None:
    few = units(words_of(IDS[10:20], "s"))

    assert few.tolist() == units(words_of(IDS, "s"))[10:20].tolist()


def test_the_words_are_those_of_sha256_and_do_not_change() -> None:
    assert words_of(["a"], "s").tolist() == [5547628836724962138]
    assert [mixed(words_of(["a"])).tolist()] != [mixed(words_of(["b"])).tolist()]


def test_another_salt_gives_other_parts() -> None:
    assert (units(words_of(IDS, "s")) != units(words_of(IDS, "t"))).all()


def test_the_order_of_words_counts_in_a_row() -> None:
    one, other = words_of(["a"]), words_of(["b"])

    assert mixed(one, other).tolist() != mixed(other, one).tolist()


def test_rows_whose_parts_differ_are_in_none() -> None:
    one, other = np.array([0, 1, 2], np.int8), np.array([0, 2, 2], np.int8)

    assert agreed(one, other).tolist() == [0, NO_PART, 2]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"from": 0.85}, "overlap"),
        ({"to": 1.5}, "share"),
        ({"salt": "t"}, "rule"),
        ({"by": ["drug"]}, "rule"),
    ],
)
def test_shares_that_cannot_be_are_refused(changed: dict[str, Any], kind: str) -> None:
    with pytest.raises(DescriptorError) as error:
        read_shares("x", members(**changed))

    assert [kind] == [problem.kind for problem in error.value.problems]

"""Splits by shares of a hash: an id keeps its part, whatever else there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml_data.bench.task.shares import (
    NO_PART,
    assign_parts,
    combine_hashes,
    common_parts,
    hash_ids,
    read_shares,
    to_unit_interval,
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
    parts = assign_parts(to_unit_interval(hash_ids(IDS, "s")), read_shares("x", members()))

    assert np.bincount(parts, minlength=3) / len(IDS) == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_an_id_keeps_its_part_when_others_come_or_go() -> None:
    few = to_unit_interval(hash_ids(IDS[10:20], "s"))

    assert few.tolist() == to_unit_interval(hash_ids(IDS, "s"))[10:20].tolist()


def test_hashes_are_those_of_sha256_and_do_not_change() -> None:
    assert hash_ids(["a"], "s").tolist() == [5547628836724962138]
    assert [combine_hashes(hash_ids(["a"])).tolist()] != [combine_hashes(hash_ids(["b"])).tolist()]


def test_another_salt_gives_other_parts() -> None:
    assert (to_unit_interval(hash_ids(IDS, "s")) != to_unit_interval(hash_ids(IDS, "t"))).all()


def test_the_order_of_hashes_matters_in_a_row() -> None:
    one, other = hash_ids(["a"]), hash_ids(["b"])

    assert combine_hashes(one, other).tolist() != combine_hashes(other, one).tolist()


def test_rows_whose_parts_differ_are_in_none() -> None:
    one, other = np.array([0, 1, 2], np.int8), np.array([0, 2, 2], np.int8)

    assert common_parts(one, other).tolist() == [0, NO_PART, 2]


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

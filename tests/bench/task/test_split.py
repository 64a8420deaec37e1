"""A stored split is the one its digest was made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.bench.task.split import load_split, members_digest, split_names, write_split
from sciml_data.errors import CallError, DescriptorError
from tests.support.paths import TOY_REGISTRY

TOY = TOY_REGISTRY / "runners" / "toy"


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


def test_a_stored_split_is_read() -> None:
    split = load_split(TOY, "thirds")

    assert split.members["train"] == [0, 203]
    assert members_digest(split.members) == split.digest
    assert split_names(TOY) == ["halves", "thirds"]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    members = {"train": ["a", "b"], "test": [3, 1]}

    write_split(tmp_path, "mine", strategy="by hand", seed=4, members=members)
    split = load_split(tmp_path, "mine")

    assert (members, "by hand", 4) == (split.members, split.strategy, split.seed)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5), st.lists(st.integers(0, 99), min_size=1), min_size=1
    )
)
def test_the_digest_sees_members_and_their_order_only(members: dict[str, Any]) -> None:
    turned = dict(reversed(members.items()))
    part, values = next(iter(members.items()))

    assert members_digest(members) == members_digest(turned)
    assert members_digest(members) != members_digest({**members, part: [*values, 100]})


def test_a_changed_member_is_found(runner: Path) -> None:
    path = runner / "splits" / "thirds.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["members"]["train"] = [0, 204]
    path.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(DescriptorError) as error:
        load_split(runner, "thirds")

    assert [problem.kind for problem in error.value.problems] == ["digest"]


def test_every_problem_of_a_split_is_said_at_once(runner: Path) -> None:
    path = runner / "splits" / "thirds.json"
    path.write_text(json.dumps({"name": "thirds", "sead": 1, "members": {}}), encoding="utf-8")

    with pytest.raises(DescriptorError) as error:
        load_split(runner, "thirds")

    assert {"unknown", "missing"} == {problem.kind for problem in error.value.problems}
    assert len(error.value.problems) == 4


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "mine", strategy="by hand", seed=None, members={"train": []})

    with pytest.raises(DescriptorError) as error:
        load_split(tmp_path, "mine")

    assert [problem.place for problem in error.value.problems] == ["mine.json: members.train"]


def test_an_unknown_split_suggests_the_nearest() -> None:
    with pytest.raises(CallError, match="did you mean 'thirds'"):
        load_split(TOY, "third")

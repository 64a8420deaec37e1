"""The split engine: rules over a table of keys, what parts share, and errors that name the gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.bench.task.split import Split
from sciml_data.bench.task.splits import (
    Division,
    Options,
    describe,
    divide,
    evenly_spaced,
    leakage,
)
from sciml_data.errors import CallError, DescriptorError, SciMLDataError

ENDS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


def split_of(members: Any, seed: int | None = None) -> Split:
    return Split("mine", "for a test", seed, members, "sha256:0")


def by_shares(*by: str, **more: Any) -> Split:
    rule = {"by": list(by), "salt": "s", **more}
    return split_of({p: {**rule, "from": low, "to": high} for p, (low, high) in ENDS.items()})


def table(count: int = 300, **columns: Any) -> pd.DataFrame:
    """Return samples with a cell and two drugs, of which the second may be missing."""
    random = np.random.default_rng(3)
    drugs = random.integers(0, 40, (count, 2))
    return pd.DataFrame(
        {
            "cell": [f"cell {number}" for number in random.integers(0, 50, count)],
            "drug_1": drugs[:, 0],
            "drug_2": np.where(random.random(count) < 0.5, -1, drugs[:, 1]),
            **columns,
        },
        index=pd.Index([f"s{number:03d}" for number in range(count)], name="row"),
    )


def shared(division: Division, keys: pd.DataFrame, kind: str) -> list[Any]:
    report = leakage(division, keys, meaning="")
    return [report[part][kind]["shared"] for part in ("validation", "test")]


@pytest.mark.parametrize("ranked", [False, True])
@given(seed=st.integers(0, 999), ids=st.integers(8, 60))
def test_an_id_is_in_one_part_wherever_the_rows_are(ranked: bool, seed: int, ids: int) -> None:  # noqa: FBT001
    random = np.random.default_rng(seed)
    names = np.concatenate([np.arange(ids), random.integers(0, ids, 40)])
    keys = pd.DataFrame(
        {"cell": [f"c{n}" for n in names]}, index=[f"s{n}" for n in range(ids + 40)]
    )
    options = Options(ranked=ranked, optional=tuple(ENDS))
    order = random.permutation(len(keys))

    first = divide(by_shares("cell"), keys, options)
    other = divide(by_shares("cell"), keys.iloc[order], options)

    assert sum(map(len, first.parts.values())) + first.left_out == len(keys)
    for part, rows in first.parts.items():
        assert set(keys.index[rows]) == set(keys.index[order[other.parts[part]]])
        outside = np.setdiff1d(np.arange(len(keys)), rows)
        assert not set(keys["cell"].iloc[rows]) & set(keys["cell"].iloc[outside])


def test_categories_text_and_numbers_divide_alike() -> None:
    text = table()
    categories = text.assign(cell=text["cell"].astype("category"))
    numbers = text.assign(drug_1=text["drug_1"].astype("int8"), drug_2=text["drug_2"].astype("i8"))

    for keys in (categories, numbers):
        for name in ("cell", "drug", "drug_pair"):
            first, other = (divide(by_shares(name), k).parts for k in (text, keys))
            assert {p: r.tolist() for p, r in first.items()} == {
                p: r.tolist() for p, r in other.items()
            }


def test_all_ids_of_a_sample_are_in_its_part_and_other_samples_are_in_none() -> None:
    keys = table(3000)
    division = divide(by_shares("cell", "drug"), keys)
    in_none = np.setdiff1d(np.arange(len(keys)), np.concatenate(list(division.parts.values())))

    assert shared(division, keys, "cell") == shared(division, keys, "drug") == [0, 0]
    assert division.left_out == len(in_none) > 0
    assert division.notes["by"] == ["cell", "drug"]


def test_a_pair_in_any_order_is_one_id() -> None:
    keys = table()
    swapped = keys.rename(columns={"drug_1": "drug_2", "drug_2": "drug_1"})
    pairs = np.flatnonzero(keys["drug_2"] >= 0)
    swapped = swapped.iloc[pairs][["drug_1", "drug_2"]]

    first = divide(by_shares("drug_pair"), keys.iloc[pairs])
    other = divide(by_shares("drug_pair"), swapped)

    assert {p: r.tolist() for p, r in first.parts.items()} == {
        p: r.tolist() for p, r in other.parts.items()
    }
    assert shared(first, keys.iloc[pairs], "drug")[0] > 0


def test_hashes_of_whole_samples_divide_them_and_are_no_ids() -> None:
    hashes = np.repeat(np.arange(150, dtype=np.uint64), 2)
    keys = table(line=hashes)
    division = divide(by_shares("line"), keys)

    for rows in division.parts.values():
        assert set(np.unique(hashes[rows], return_counts=True)[1]) == {2}
    assert "line" not in leakage(division, keys, meaning="")["test"]


def test_each_stratum_that_is_large_enough_is_in_every_part() -> None:
    keys = table(stratum=np.repeat([7, 8, 9], [140, 158, 2]))
    options = Options(ranked=True, min_units=3)
    division = divide(by_shares("row"), keys, options)

    assert division.notes["in_train_alone"] == [9]
    for part, (low, high) in ENDS.items():
        rows = division.parts[part]
        of_strata = [int((keys["stratum"].iloc[rows] == value).sum()) for value in (7, 8)]
        assert of_strata == pytest.approx([(high - low) * 140, (high - low) * 158], abs=1.5)


def test_listed_values_folders_and_names_are_the_members() -> None:
    keys = table(6, folder=["a", "a", "b", "b", "c", "c"], pixel=range(6))
    members = [
        {"train": {"folders": ["a", "b"]}, "test": {"folder": "c"}},
        {"train": {"pixels": [0, 1, 2, 3]}, "test": {"pixels": [4, 5]}},
        {"train": ["s000", "s001", "s002", "s003"], "test": "c"},
    ]

    for listed in members:
        parts = divide(split_of(listed), keys).parts
        assert [parts["train"].tolist(), parts["test"].tolist()] == [[0, 1, 2, 3], [4, 5]]


def test_periods_hold_the_samples_that_end_in_them() -> None:
    days = np.arange("2001-01-01", "2001-01-11", dtype="M8[D]")
    members = {
        "train": {"period": ["2001-01-01", "2001-01-05"]},
        "test": {"period": ["2001-01-05", "2002-01-01"]},
    }
    weeks = pd.DataFrame({"start": days, "end": days + np.timedelta64(7, "D")})
    moments = pd.DataFrame({"time": days.astype("M8[s]")})

    with pytest.raises(SciMLDataError, match="leaves train without a sample"):
        divide(split_of(members), weeks)
    parts = divide(split_of(members), moments).parts
    assert [len(parts["train"]), len(parts["test"])] == [4, 6]
    report = describe(Division(parts, 0, {}), moments)
    assert report["test"] == {
        "samples": 6,
        "time": ["2001-01-05 00:00:00", "2001-01-10 00:00:00"],
    }


def test_whole_groups_are_drawn_and_those_of_other_parts_are_left_out() -> None:
    keys = pd.DataFrame(
        {
            "orbit": np.repeat(np.arange(20), 5),
            "day": np.arange(100) // 12,
            "folder": np.where(np.arange(100) < 93, "here", "there"),
        }
    )
    members = {
        "train": {"from": "here", "by": "orbit"},
        "validation": {"from": "here", "share": 0.2},
        "test": {"from": "there"},
    }
    options = Options(coarser={"orbit": "day"})

    division = divide(split_of(members, seed=1), keys, options)
    again = divide(split_of(members, seed=1), keys, options)
    other = divide(split_of(members, seed=2), keys, options)

    assert shared(division, keys, "orbit") == [0, 0]
    assert division.notes["by"] == ["day"]
    assert division.left_out > 0
    validation = [d.parts["validation"].tolist() for d in (division, again, other)]
    assert validation[0] == validation[1] != validation[2]


def test_a_random_split_is_that_of_scikit_learn() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    keys = pd.DataFrame(index=pd.RangeIndex(97, name="file"))
    members = {"train": {"by": "file"}, "validation": {"share": 0.2}}

    parts = divide(split_of(members, seed=42), keys).parts
    train, test = selection.train_test_split(range(97), train_size=0.8, random_state=42)

    assert parts["train"].tolist() == sorted(train)
    assert parts["validation"].tolist() == sorted(test)


def test_ids_that_are_not_known_are_reported_and_cannot_be_divided_by() -> None:
    keys = table(cell="", folder=["a"] * 200 + ["b"] * 100)
    alone, within = by_shares("cell"), by_shares("cell", folder="a")

    with pytest.raises(CallError, match="does not name the cell of each row") as error:
        divide(alone, keys, Options(hint="--split row"))
    division = divide(within, keys)
    report = leakage(division, keys, meaning="")

    assert "--split row" in str(error.value)
    assert division.notes["by"] == ["row"]
    assert report["test"]["cell"] == "not known"
    assert "cell: not known, so it cannot be checked" in report["told"][1]
    assert describe(division, keys)["test"]["cell"] == "not known"


def test_the_report_counts_distinct_ids_and_samples() -> None:
    keys = pd.DataFrame({"cell": ["a", "b", "b", "b", "c"], "folder": list("xxyyy")})
    division = Division({"train": np.array([0, 1]), "test": np.array([2, 3, 4])}, 0, {})

    assert leakage(division, keys, meaning="why") == {
        "test": {"cell": {"shared": 1, "of": 2, "percent": 66.7}},
        "told": [
            "leakage: test shares with train: cell 1 of 2 (66.7 % of samples)",
            "leakage: why",
        ],
        "meaning": "why",
    }
    assert describe(division, keys) == {
        "left_out": 0,
        "train": {"samples": 2, "cell": 2, "folder": {"x": 2}},
        "test": {"samples": 3, "cell": 2, "folder": {"y": 3}},
    }


def test_the_digest_is_that_of_the_names_in_each_part() -> None:
    keys = table()
    division = divide(by_shares("cell"), keys)
    order = np.random.default_rng(1).permutation(len(keys))
    shuffled = keys.iloc[order]

    digest = describe(division, keys)["digest"]

    assert describe(divide(by_shares("cell"), shuffled), shuffled)["digest"] == digest
    assert describe(divide(by_shares("drug"), keys), keys)["digest"] != digest


def test_an_empty_part_is_named_with_counts_and_a_hint() -> None:
    keys = table(folder="train")
    members = {"train": {"folder": "train"}, "test": {"folder": "test"}}

    with pytest.raises(SciMLDataError) as error:
        divide(split_of(members), keys, Options(hint="fetch more"))

    text = str(error.value)
    assert "'mine'" in text
    assert "leaves test without a row" in text
    assert "300 in all" in text
    assert "folder: {'train': 300}" in text
    assert "fetch more" in text
    optional = divide(split_of(members), keys, Options(optional=("test",)))
    assert list(optional.parts) == ["train"]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"test": "a"}, "missing"),
        ({"train": {"period": ["2001-01-01", "2000-01-01"]}}, "period"),
        ({"train": {"by": ["cell"], "salt": "s", "from": 0.5, "to": 0.2}}, "share"),
    ],
)
def test_a_rule_that_is_not_valid_is_refused_with_its_place(members: Any, kind: str) -> None:
    with pytest.raises(DescriptorError) as error:
        divide(split_of(members), table())

    assert [problem.kind for problem in error.value.problems] == [kind]


def test_what_the_samples_lack_is_named() -> None:
    with pytest.raises(DescriptorError, match="did you mean 'cell'"):
        divide(by_shares("sell"), table())
    with pytest.raises(CallError, match="divides by planet, which this dataset does not have"):
        divide(split_of({"train": {"planet": "mars"}}), table())
    with pytest.raises(DescriptorError, match="'chance'"):
        divide(split_of({"train": {"by": "chance"}, "test": {"share": 0.2}}), table())


def test_a_source_is_held_out_by_its_hash_or_by_name() -> None:
    members = {**by_shares("cell").members, "test": {"source_salt": "s"}}
    keys = table(source=pd.Categorical(["one", "two", "three"] * 100))

    drawn = divide(split_of(members), keys)
    chosen = divide(split_of(members), keys, Options(held_out=("two",)))

    for division in (drawn, chosen):
        sources = {part: set(keys["source"].iloc[rows]) for part, rows in division.parts.items()}
        assert sources["test"] == set(division.notes["held_out"])
        assert not sources["train"] & sources["test"]
    assert chosen.notes["held_out"] == ["two"]
    with pytest.raises(CallError, match="did you mean 'two'"):
        divide(split_of(members), keys, Options(held_out=("tow",)))
    with pytest.raises(CallError, match="holds no source out"):
        divide(by_shares("cell"), keys, Options(held_out=("two",)))


def test_shares_of_listed_samples_hold_ids_out_across_sources() -> None:
    keys = table(source=pd.Categorical(["one", "two", "two"] * 100))
    rule = {"by": ["cell"], "salt": "s"}
    members = {
        "train": {"source": ["one"], **rule, "from": 0.0, "to": 0.6},
        "validation": {"source": ["one"], **rule, "from": 0.6, "to": 0.8},
        "test": {"source": ["two"], **rule, "from": 0.8, "to": 1.0},
        "test_seen": {"source": ["two"], **rule, "from": 0.0, "to": 0.6},
    }

    division = divide(split_of(members), keys)

    alone = divide(by_shares("cell"), keys)
    of_one = (keys["source"] == "one").to_numpy()
    parts = {part: set(rows.tolist()) for part, rows in division.parts.items()}
    one, two = set(np.flatnonzero(of_one).tolist()), set(np.flatnonzero(~of_one).tolist())
    whole = {part: set(rows.tolist()) for part, rows in alone.parts.items()}
    assert parts == {
        "train": whole["train"] & one,
        "validation": whole["validation"] & one,
        "test": whole["test"] & two,
        "test_seen": whole["train"] & two,
    }
    report = leakage(division, keys, meaning="")
    assert report["test"]["cell"]["shared"] == 0
    assert report["test_seen"]["cell"]["percent"] > 90


def test_parts_of_different_lists_may_not_share_samples() -> None:
    keys = table(source=pd.Categorical(["one", "two", "two"] * 100))
    rule = {"by": ["cell"], "salt": "s"}
    members = {
        "train": {"source": ["one"], **rule, "from": 0.0, "to": 0.6},
        "test": {"source": ["one", "two"], **rule, "from": 0.5, "to": 1.0},
    }

    with pytest.raises(DescriptorError) as error:
        divide(split_of(members), keys)

    assert [(problem.kind, problem.place) for problem in error.value.problems] == [
        ("overlap", "mine")
    ]


@given(count=st.integers(1, 300), limit=st.integers(1, 50), truncate=st.booleans())
def test_evenly_spaced_values_have_both_ends_and_equal_steps(
    count: int,
    limit: int,
    truncate: bool,  # noqa: FBT001
) -> None:
    chosen = evenly_spaced(np.arange(count), limit, truncate=truncate)

    assert len(chosen) == min(count, limit)
    assert chosen[0] == 0
    assert limit == 1 or chosen[-1] == count - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 2 else True


def test_a_large_table_of_codes_is_divided_without_text_for_each_row() -> None:
    count = 200_000
    codes = np.random.default_rng(0).integers(0, 1000, count)
    names = pd.Index([f"cell {number}" for number in range(1000)])
    keys = pd.DataFrame({"cell": pd.Categorical.from_codes(codes, names)})

    division = divide(by_shares("cell"), keys)

    assert keys.memory_usage(deep=True)["cell"] < 3 * count
    assert shared(division, keys, "cell") == [0, 0]

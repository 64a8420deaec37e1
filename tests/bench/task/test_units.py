"""The units of a split: by default what it divides by, or what task.toml names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sciml_data.bench.task.split import Split
from sciml_data.bench.task.splits import divide
from sciml_data.bench.task.units import Units, find_units
from sciml_data.errors import DescriptorError

ENDS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


def by_shares(*by: str) -> dict[str, Any]:
    rule = {"by": list(by), "salt": "s"}
    return {part: {**rule, "from": low, "to": high} for part, (low, high) in ENDS.items()}


def table() -> pd.DataFrame:
    random = np.random.default_rng(3)
    drugs = random.integers(0, 40, (3000, 2))
    return pd.DataFrame(
        {
            "cell": [f"cell {number}" for number in random.integers(0, 50, 3000)],
            "drug_1": drugs[:, 0],
            "drug_2": np.where(random.random(3000) < 0.5, -1, drugs[:, 1]),
            "content": random.integers(0, 9, 3000).astype(np.uint64),
            "folder": np.repeat(["train", "validation", "test"], 1000),
            "source": np.tile(["one", "two", "three"], 1000),
        },
        index=pd.Index([f"s{number:04d}" for number in range(3000)], name="row"),
    )


def units_of(members: Any, declared: Any = None, **changed: Any) -> list[Units]:
    keys, split = table().assign(**changed), Split("mine", "for a test", None, members, "sha256:0")
    division = divide(split, keys)
    test = division.parts["test"]
    coords = {"response": keys.index.to_numpy()[test], "kind": np.array(["a", "b"])}
    return find_units(declared, split, division, keys, coords)


FOLDERS = {"train": "train", "validation": "validation", "test": "test"}


def test_a_split_by_shares_has_the_ids_that_it_divides_as_units() -> None:
    (cell,) = units_of(by_shares("cell"))
    keys = table()
    division = divide(Split("mine", "", None, by_shares("cell"), ""), keys)
    names = keys["cell"].to_numpy()[division.parts["test"]]

    assert (cell.kind, cell.axis, cell.count) == ("cell", "response", len(set(names)))
    pairs = set(zip(names, cell.slots[0].tolist(), strict=True))
    assert len(pairs) == cell.count


def test_a_split_by_two_kinds_has_both_as_units() -> None:
    assert [each.kind for each in units_of(by_shares("cell", "drug"))] == ["cell", "drug"]


def test_a_row_belongs_to_each_of_its_drugs_and_a_pair_is_one_unit() -> None:
    (drug,) = units_of(by_shares("drug"))
    (pair,) = units_of(by_shares("drug_pair"))

    assert len(drug.slots) == 2
    assert (drug.slots[1] < 0).any()
    assert len(pair.slots) == 1
    assert (pair.slots[0] >= 0).all()


def test_folders_hold_out_samples() -> None:
    (sample,) = units_of(FOLDERS)

    assert (sample.kind, sample.count) == ("row", 1000)


def test_samples_with_the_same_content_are_one_unit() -> None:
    (content,) = units_of(by_shares("content"))

    assert content.count < 9


def test_task_toml_can_name_ids_a_column_or_an_axis() -> None:
    kinds = {
        name: [(each.axis, each.count) for each in units_of(FOLDERS, name)]
        for name in ("source", "kind")
    }

    assert kinds == {"source": [("response", 3)], "kind": [("kind", 2)]}


def test_samples_are_the_units_where_an_id_is_missing() -> None:
    cells = np.where(np.arange(3000) == 2500, "", "c").astype(object)
    (sample,) = units_of(FOLDERS, "cell", cell=cells)

    assert (sample.kind, sample.count) == ("response", 1000)


def test_an_unknown_unit_is_named_beside_the_known_ones() -> None:
    with pytest.raises(DescriptorError, match="cel"):
        units_of(FOLDERS, "cel")


def test_periods_have_blocks_of_half_a_year_as_units() -> None:
    days = np.datetime64("2015-01-01") + 14 * np.arange(130).astype("m8[D]")
    keys = pd.DataFrame({"start": days, "end": days + np.timedelta64(14, "D")})
    members = {"train": {"period": ["2015-01-01", "2015-03-01"]}} | {
        "test": {"period": ["2015-03-01", "2020-01-01"]}
    }
    split = Split("temporal", "for a test", None, members, "sha256:0")
    division = divide(split, keys)
    coords = {"pixel": np.arange(4), "time": days.astype("M8[ns]")}

    (block,) = find_units(None, split, division, keys, coords)
    (longer,) = find_units({"block_days": 364}, split, division, keys, coords)

    assert (block.axis, block.count, block.is_serial) == ("time", 10, True)
    assert np.bincount(block.slots[0]).tolist() == [13] * 10
    assert longer.count == 5


def test_listed_pixels_are_the_units_of_a_split_in_space() -> None:
    keys = pd.DataFrame({"pixel": np.repeat(np.arange(8), 5)})
    members = {"train": {"pixels": [0, 1, 2]}, "test": {"pixels": [3, 4, 5, 6, 7]}}
    split = Split("spatial", "for a test", None, members, "sha256:0")
    coords = {"pixel": np.arange(3, 8), "time": np.arange(5)}

    (pixel,) = find_units(None, split, divide(split, keys), keys, coords)

    assert (pixel.kind, pixel.axis, pixel.count) == ("pixel", "pixel", 5)

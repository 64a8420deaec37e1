"""A board as Markdown, CSV and JSON: every value is there, and no text of others is markup."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

import pytest

from sciml_data.errors import RecordError
from sciml_data.results.board import Row, board_rows, from_json, to_csv, to_json, to_markdown
from sciml_data.results.board.render import BOARD_SCHEMA
from sciml_data.results.board.row import PUBLISHED
from sciml_data.results.board.table import EMPTY, MEASURED_COLUMNS
from tests.support.board_samples import a_published_row, of_model


def full_board() -> list[Row]:
    """Return rows of every kind."""
    records = [
        *of_model("a", [0.2, None, 0.3]),
        *of_model("b|<b>", [0.1]),
        *of_model("c", [0.1], synthetic=True),
    ]
    rows = board_rows(records, submitters={records[3]["run_id"]: "=1+1"})
    return board_rows(records, [a_published_row(rows[0], rank=None, ranked=None)])


def test_json_is_read_as_it_was_written() -> None:
    rows = full_board()

    assert rows == from_json(to_json(rows))
    assert to_json(rows) == to_json(full_board())


def test_the_schema_of_a_board_is_one_and_lets_nobody_rank_a_sample() -> None:
    import jsonschema

    schema = json.loads(BOARD_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    rows = full_board()
    synthetic = next(at for at, row in enumerate(rows) if row.data.is_synthetic)
    published = next(at for at, row in enumerate(rows) if row.kind == PUBLISHED)

    for at in (synthetic, published):
        document = json.loads(to_json(rows))
        document["rows"][at]["rank"] = 1
        with pytest.raises(RecordError) as error:
            from_json(json.dumps(document))
        assert [f"rows/{at}/rank"] == [problem.place for problem in error.value.problems]


def flat(block: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a row by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in block.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def read_cell(cell: str, like: Any) -> Any:
    """Return the value that a cell of CSV stands for."""
    if cell == "":
        return None
    if isinstance(like, str):
        return cell.removeprefix("'")
    value = json.loads(cell)
    return value if isinstance(like, int | float | bool) else tuple(value)


def test_csv_has_every_value_of_the_rows() -> None:
    rows = full_board()

    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))

    for row, line in zip(rows, lines, strict=True):
        for name, value in flat(asdict(row)).items():
            if name == "targets":
                assert [asdict(one) for one in row.targets] == [
                    {**one, "reached_by_baselines": tuple(one["reached_by_baselines"])}
                    for one in json.loads(line[name])
                ]
            elif name in line:
                assert value == read_cell(line[name], value)
            else:  # a part that no row of the board has, such as no baseline at all
                assert value is None


def test_a_text_that_others_sent_is_no_formula_and_no_markup() -> None:
    rows = full_board()

    assert "'=1+1" in to_csv(rows)
    assert "b\\|&lt;b>" in to_markdown(rows)


def test_markdown_has_as_many_cells_in_every_line_of_a_table() -> None:
    lines = [line for line in to_markdown(full_board()).splitlines() if line[:1] == "|"]
    cells = [line.replace("\\|", "").count("|") for line in lines]

    assert {len(MEASURED_COLUMNS) + 1, 14} == set(cells)


def test_a_board_of_nothing_says_so() -> None:
    assert EMPTY in to_markdown([])
    assert from_json(to_json([])) == []

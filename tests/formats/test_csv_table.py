"""CSV files become what the descriptor says, or every wrong cell is named with its row."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, csv_table
from sciml_data.formats.columns import ROWS_PER_SHARD
from sciml_data.formats.interface import FREE_BYTES
from tests.support.native_files import native_of, reopened
from tests.support.problems import kinds_and_places

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True}},
    {"name": "x", "type": "number"},
    {"name": "at", "type": "datetime"},
    {"name": "ok", "type": "boolean"},
    {"name": "name", "type": "string"},
]
DTYPES = {"id": "int16", "x": "float32", "at": "datetime64[ns]", "ok": "float32", "name": "S"}
HEADER = "id,x,at,ok,name\n"
ROW = "1,2.5,2020-01-01T00:00:00Z,true,ä\n"


def block(fields: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    schema = {"fields": fields or FIELDS, "missingValues": ["", "NA"]}
    columns = {field["name"]: field["name"] for field in fields or FIELDS}
    return {"columns": columns, "schema": schema, **more}


def native(
    root: Path,
    content: str | bytes,
    block: Mapping[str, Any],
    dtypes: Mapping[str, str] = DTYPES,
    name: str = "a.csv",
) -> Native:
    """Return a file of some content as native files."""
    root.mkdir(exist_ok=True)
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    variables = {
        each: {"dims": ["row"], "dtype": dtype, "long_name": each} for each, dtype in dtypes.items()
    }
    return native_of(root, block=block, variables=variables)


def read(files: Native, **options: Any) -> xr.Dataset:
    made = [csv_table.read(files, shard, options) for shard in csv_table.shards(files, options)]
    return xr.concat(made, "row")


def problems(files: Native, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(NativeFormatError) as error:
        read(files, **options)
    return kinds_and_places(error)


# --- values --------------------------------------------------------------------------------------


def test_cells_are_values_of_the_declared_types(tmp_path: Path) -> None:
    files = native(tmp_path / "n", HEADER + ROW + "2,NA,,NA,\n", block())

    dataset = reopened(read(files), tmp_path / "ready.nc")

    assert dataset["id"].to_numpy().tolist() == [1, 2]
    np.testing.assert_array_equal(dataset["x"], np.array([2.5, np.nan], np.float32))
    assert dataset["at"].to_numpy().tolist()[0] == np.datetime64("2020-01-01", "ns").tolist()
    assert np.isnat(dataset["at"].to_numpy()[1])
    np.testing.assert_array_equal(dataset["ok"], [1, np.nan])
    assert [text.decode() for text in dataset["name"].to_numpy()] == ["ä", ""]
    assert {name: str(dataset[name].dtype)[:8] for name in ("id", "x")} == {
        "id": "int16", "x": "float32"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "more"),
    [
        pytest.param("a;b\n1,5;x\n", {"dialect": {"delimiter": ";"}}, id="semicolon"),
        pytest.param("a\tb\n1,5\tx\n", {"dialect": {"delimiter": "\t"}}, id="tab"),
        pytest.param("1,5;x\n", {"dialect": {"delimiter": ";", "header": False}}, id="no_header"),
        pytest.param(
            "# from the roof\na;b\n\n1,5;x\n",
            {"dialect": {"delimiter": ";", "commentChar": "#", "skipBlankRows": True}},
            id="comment",
        ),
        pytest.param(
            "a; b\n1,5; x\n", {"dialect": {"delimiter": ";", "skipInitialSpace": True}}, id="space"
        ),
        pytest.param(
            "a;b\n'1,5';'x'\n", {"dialect": {"delimiter": ";", "quoteChar": "'"}}, id="quote"
        ),
        pytest.param(
            "a;b\n1,5;x\n".encode("utf-16"),
            {"dialect": {"delimiter": ";"}, "encoding": "utf-16"},
            id="utf16",
        ),
        pytest.param(
            gzip.compress(b"a;b\n1,5;x\n"),
            {"dialect": {"delimiter": ";"}, "compression": "gz"},
            id="gzip",
        ),
    ],
)
def test_a_file_is_read_as_the_descriptor_says(
    tmp_path: Path, content: str | bytes, more: dict[str, Any]
) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "a", "type": "number", "decimalChar": ","},
        {"name": "b", "type": "string"},
    ]
    files = native(tmp_path, content, block(fields, **more), {"a": "float64", "b": "S"})

    dataset = read(files)

    assert dataset["a"].to_numpy().tolist() == [1.5]
    assert dataset["b"].to_numpy().tolist() == [b"x"]


def test_numbers_have_groups_and_words_around_them(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "a", "type": "number", "groupChar": ".", "decimalChar": ",", "bareNumber": False},
        {"name": "b", "type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
    ]
    text = 'a,b\n"1.234,5 EUR",ja\n-7 %,nein\n'
    files = native(tmp_path, text, block(fields), {"a": "float64", "b": "bool"})

    assert read(files)["a"].to_numpy().tolist() == [1234.5, -7.0]
    assert read(files)["b"].to_numpy().tolist() == [True, False]


def test_times_become_utc_and_days_stay(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "t", "type": "datetime"},
        {"name": "u", "type": "datetime", "format": "%d.%m.%Y %H:%M"},
        {"name": "d", "type": "date"},
    ]
    text = "t,u,d\n2020-07-01T12:00:00+05:00,01.07.2020 12:00,2020-07-01\n"
    dtypes = dict.fromkeys("tud", "datetime64[ns]")
    files = native(tmp_path, text, block(fields, timezone="Europe/Berlin"), dtypes)

    dataset = read(files)

    assert [str(dataset[name].to_numpy()[0])[:16] for name in "tud"] == [
        "2020-07-01T07:00", "2020-07-01T10:00", "2020-07-01T00:00",
    ]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("rows", "count"), [(1, 7), (3, 3), (7, 1), (0, 1)])
def test_a_table_is_the_same_in_any_number_of_files(
    tmp_path: Path, rows: int, count: int, *, packed: bool
) -> None:
    text = HEADER + "".join(f'{row},{row},,,"two\nlines"\n' for row in range(7))
    content = gzip.compress(text.encode()) if packed else text.encode()
    files = native(tmp_path, content, block() | ({"compression": "gz"} if packed else {}))

    assert len(csv_table.shards(files, {"rows_per_shard": rows})) == count
    assert read(files, rows_per_shard=rows)["id"].to_numpy().tolist() == list(range(7))


def test_a_file_of_another_name_is_left_native(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    files = native(tmp_path, HEADER + ROW, block(left_native={"*.txt": "notes"}))

    (shard,) = csv_table.shards(files, {})
    assert shard.inputs == ("a.csv",)


def test_memory_does_not_grow_with_the_rows_that_come_before(tmp_path: Path) -> None:
    """A small file is not counted; one that may have more rows than a ready file is."""
    files = native(tmp_path, HEADER + ROW, block())
    assert (files.root / "a.csv").stat().st_size < ROWS_PER_SHARD
    assert [shard.name for shard in csv_table.shards(files, {})] == ["all-a-00000.nc"]


# --- deviations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("row", "kind", "place"),
    [
        ("2,x,,,\n", "type", "row 3, column x"),
        ("2.5,1,,,\n", "type", "row 3, column id"),
        ("2,1,yesterday,,\n", "type", "row 3, column at"),
        ("2,1,,perhaps,\n", "type", "row 3, column ok"),
        ("2,1\n", "ragged", "row 3"),
        ("2,1,,,,,\n", "ragged", "row 3"),
        ("99999,1,,,\n", "values", "row 3, column id"),
        ("2,1e39,,,\n", "values", "row 3, column x"),
        ("2,1,1600-01-01T00:00:00Z,,\n", "values", "row 3, column at"),
        ("2,1,,,a\0b\n", "values", "row 3, column name"),
        (f"2,{'9' * 5000},,,\n", "type", "row 3, column x"),
    ],
)
def test_a_wrong_cell_is_named(
    tmp_path: Path, row: str, kind: str, place: str, *, check: bool
) -> None:
    files = native(tmp_path, HEADER + ROW + row, block())

    assert (kind, f"a.csv: {place}") in problems(files, check=check)


@pytest.mark.parametrize(
    ("row", "kind"), [(ROW, "unique"), (",1,,,\n", "constraint"), ("\n", "blank")]
)
def test_frictionless_checks_what_types_do_not_say(tmp_path: Path, row: str, kind: str) -> None:
    files = native(tmp_path, HEADER + ROW + row, block())

    assert [found for found, _ in problems(files)] == [kind]


def test_the_row_is_that_of_the_file_in_every_ready_file(tmp_path: Path) -> None:
    rows = "".join(f"{row},1,,,\n" for row in range(5))
    text = "# note\n" + HEADER + rows + "5,x,,,\n"
    files = native(tmp_path, text, block(dialect={"commentChar": "#"}))

    assert problems(files, rows_per_shard=2) == [("type", "a.csv: row 8, column x")]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("id,x,at,ok\n", {"missing"}),
        ("id,x,at,ok,name,more\n", {"unexpected"}),
        ("x,id,at,ok,name\n", {"order"}),
        ("id,x,at,ok,id\n", {"missing", "repeated"}),
        ("", {"missing"}),
    ],
)
def test_another_header_is_named(tmp_path: Path, header: str, expected: set[str]) -> None:
    files = native(tmp_path, header, block())

    assert {kind for kind, _ in problems(files)} == expected


def zip_of(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, HEADER + ROW)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "compression"),
    [
        pytest.param(b"\xff\xfe\xfa" + HEADER.encode(), None, id="not_utf8"),
        pytest.param(gzip.compress((HEADER + ROW * 99).encode())[:-9], "gz", id="cut"),
        pytest.param(HEADER.encode(), "gz", id="not_gzip"),
        pytest.param(HEADER.encode(), "zip", id="not_zip"),
        pytest.param(zip_of("a.csv", "b.csv"), "zip", id="two_members"),
        pytest.param(zip_of(), "zip", id="no_member"),
        pytest.param(HEADER.encode() + b"1," + b"9" * 200_000, None, id="huge_cell"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, compression: str | None) -> None:
    files = native(
        tmp_path, content, block() | ({"compression": compression} if compression else {})
    )

    assert problems(files) == [("unreadable", "a.csv")]


def test_a_binary_file_is_a_plain_sentence(tmp_path: Path) -> None:
    with pytest.raises(NativeFormatError) as error:
        read(native(tmp_path, b"\x87PNG\x00\xff" * 9, block()))

    assert kinds_and_places(error) == [("unreadable", "a.csv")]
    assert "codec" not in str(error.value)
    assert "utf-8" in str(error.value)


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", mtime=0) as packed:
        packed.write(HEADER.encode())
        line = b"1,1,,," + b"a" * 2**16 + b"\n"
        for _ in range(FREE_BYTES // 2**16 * 2):
            packed.write(line)
    files = native(tmp_path, bomb.getvalue(), block(compression="gz"))

    with pytest.raises(NativeFormatError, match="inflates to more than") as error:
        csv_table.shards(files, {})
    assert kinds_and_places(error) == [("unreadable", "a.csv")]


def test_a_wide_text_does_not_make_every_row_wide(tmp_path: Path) -> None:
    rows = "".join(f"{row},1,,,x\n" for row in range(9000))
    text = HEADER + rows + f"9001,1,,,{'w' * 100_000}\n"
    files = native(tmp_path, text, block())

    assert problems(files, check=False) == [("size", "a.csv: column name")]


def test_an_option_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallError) as error:
        csv_table.shards(native(tmp_path, HEADER, block()), {"rows": 3})

    assert "rows_per_shard" in str(error.value)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "frictionless", None)
    files = native(tmp_path, HEADER + ROW, block())

    with pytest.raises(CallError, match="frictionless") as error:
        csv_table.shards(files, {})
    assert "sciml-data[formats]" in error.value.hint
    assert read(files, check=False).sizes == {"row": 1}


def test_the_same_file_makes_the_same_bytes(tmp_path: Path) -> None:
    files = native(tmp_path / "n", HEADER + ROW, block())
    for name in ("one", "two"):
        reopened(read(files), tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.dumps(files.block["schema"]["fields"]) == json.dumps(FIELDS)  # not changed

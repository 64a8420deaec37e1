"""The table of docs/how-to/networks.md has the situations of the script that measures them."""

from __future__ import annotations

from situations import CLIENTS, DOCUMENT, END, SITUATIONS, START


def test_the_table_of_the_document_has_every_situation_of_the_script() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]

    assert rows[0] == ["situation", *CLIENTS]
    assert [row[0] for row in rows[2:]] == list(SITUATIONS)
    assert all(len(row) == len(CLIENTS) + 1 and all(row) for row in rows[2:])
    assert len(SITUATIONS) >= 20


def test_sciml_data_never_takes_a_wrong_file_for_the_right_one() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]

    assert not [line for line in table.splitlines() if line.strip("| ").endswith("no error")]

"""A board as HTML is sound, can be read aloud and sorted, and asks nothing of anybody."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sciml_data.results.board import Row, board_rows, to_html
from sciml_data.results.board.row import NOT_RESCORED, PUBLISHED, Publication
from sciml_data.results.board.table import EMPTY
from tests.support.board_samples import a_run, repeats

html5lib = pytest.importorskip("html5lib")
SOURCE = "https://example.org/paper"


def rows() -> list[Row]:
    """Return measured rows, one of a sample, and a published figure."""
    records = repeats([0.2, 0.3, 0.1])
    records.append(
        {**a_run(7, 0.4), "model": {**records[0]["model"], "name": "<script>x()</script>"}}
    )
    records.append(a_run(9, 0.0, synthetic=True))
    (first, *_) = board_rows(records)
    source = Publication("a paper", SOURCE, "0.1 at best", "other data")
    published = replace(
        first, kind=PUBLISHED, state=NOT_RESCORED, published=source, rank=None, ranked=None
    )
    return board_rows(records, [published])


def parse(html: str) -> Any:
    """Return the elements as a browser has them; html5lib stops at the first error."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


def parse_fragment(html: str) -> Any:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parseFragment(html)


def words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.mark.parametrize("shown", [rows(), []], ids=["rows", "nothing"])
def test_page_and_fragment_are_html_without_an_error(shown: list[Row]) -> None:
    page = parse(to_html(shown, is_page=True))
    fragment = parse_fragment(to_html(shown))

    assert page.get("lang") == "en"
    assert [words(one) for one in page.iter("h1")] == ["Board"]
    assert len(list(page.iter("main"))) == 1
    assert len(list(page.iter("tr"))) == len(list(fragment.iter("tr")))


def test_every_table_has_a_caption_and_scopes() -> None:
    tables = list(parse(to_html(rows(), is_page=True)).iter("table"))

    assert [words(one) for table in tables for one in table.iter("caption")] == [
        "toy: measured on real data",
        "toy: synthetic samples",
        "toy: published by others",
    ]
    for table in tables:
        assert {"col", "row"} == {one.get("scope") for one in table.iter("th")}
        assert {"none"} == {one.get("aria-sort") for one in table.find("thead").iter("th")}
        for line in table.find("tbody"):
            assert ["th"] + ["td"] * (len(line) - 1) == [cell.tag for cell in line]


def test_numbers_have_a_value_to_sort_by() -> None:
    first, *_ = parse(to_html(rows(), is_page=True)).iter("table")
    median = heads(first).index("Median ± std")

    assert first.find("thead")[0][median].get("data-sort") == "number"
    assert [line[median].get("data-value") for line in first.find("tbody")] == ["0.2", "0.4"]
    assert {line[median].get("class") for line in first.find("tbody")} == {"whole"}  # in one line


def heads(table: Any) -> list[str]:
    """Return the headings of a table, without the smaller text below them."""
    return [(head.text or "").strip() for head in table.find("thead")[0]]


def test_the_best_baseline_is_beside_the_score_and_what_rows_share_is_said_once() -> None:
    page = parse_fragment(to_html(rows()))
    first = next(iter(page.iter("table")))
    facts = [words(one) for one in next(iter(page.iter("dl")))]

    assert heads(first)[:3] == ["Model", "Median ± std", "Best baseline"]
    assert "Dataset" not in heads(first)
    assert facts[facts.index("Data") + 1] == "real"
    assert {"Dataset", "Manifest", "State"} <= set(facts)


def test_published_scores_are_one_table_of_models_and_measures() -> None:
    measured, *_ = board_rows(repeats([0.2]))
    source = Publication("a paper", SOURCE, "0.1 at best", "other data")
    published = [
        replace(
            measured, kind=PUBLISHED, state=NOT_RESCORED, published=source, rank=None, ranked=None,
            metric=replace(measured.metric, name=f"error of the sum, {window}", key=key),
            made_by=replace(measured.made_by, model=model),
        )
        for model in ("LSTM", "Transformer")
        for window, key in (("2 weeks", "rmse.a"), ("4 years", None))
    ]  # fmt: skip
    (table,) = parse_fragment(to_html(published)).iter("table")

    assert heads(table) == ["Model", "2 weeks", "4 years"]
    assert [words(line[0]).split()[0] for line in table.find("tbody")] == ["LSTM", "Transformer"]
    assert to_html(published).count("other data") == 1


def test_a_synthetic_row_stands_in_a_table_that_says_so() -> None:
    page = parse(to_html(rows(), is_page=True))
    captions = [words(table.find("caption")) for table in page.iter("table")]
    captions = [caption for caption in captions if "published" not in caption]
    origins = []
    for facts in page.iter("dl"):
        texts = [words(one) for one in facts]
        origins += [texts[texts.index("Data") + 1]]

    assert len(captions) == len(origins) == 2
    for caption, origin in zip(captions, origins, strict=True):
        assert caption.endswith("synthetic samples") == ("synthetic" in origin)
    assert any(words(one).startswith("SYNTHETIC DATA") for one in page.iter("strong"))


def test_anchors_are_unique_and_headings_in_order() -> None:
    page = parse(to_html(rows(), is_page=True))
    anchors = [one.get("id") for one in page.iter() if one.get("id")]
    levels = [int(one.tag[1]) for one in page.iter() if re.fullmatch(r"h[1-6]", str(one.tag))]

    assert len(anchors) == len(set(anchors))
    assert levels == [1, 2, 3, 3, 3]
    named = {one.get("aria-labelledby") for one in page.iter() if one.get("aria-labelledby")}
    assert named <= set(anchors)


def test_what_others_sent_is_text() -> None:
    html = to_html(rows(), is_page=True)

    assert list(parse(html).iter("script")) == []
    assert "&lt;script&gt;x()" in html


def test_runs_and_sources_are_links_where_they_lead_somewhere() -> None:
    plain = [one.get("href") for one in parse_fragment(to_html(rows())).iter("a")]
    addressed = parse_fragment(to_html(rows(), run_address=lambda run_id: f"runs/{run_id}.html"))

    assert plain == [SOURCE]
    assert len(list(addressed.iter("a"))) == 5 + 1


def test_a_script_as_address_is_no_link() -> None:
    html = to_html(rows(), run_address=lambda _run_id: "javascript:x()")

    assert "javascript" not in html


def test_the_page_asks_for_nothing() -> None:
    page = parse(to_html(rows(), is_page=True))

    assert [one.tag for one in page.iter() if one.get("src") or one.tag in {"link", "img"}] == []


def test_a_board_of_nothing_says_so() -> None:
    assert EMPTY in to_html([])


def test_the_same_rows_give_the_same_bytes() -> None:
    assert to_html(rows(), is_page=True) == to_html(rows(), is_page=True)

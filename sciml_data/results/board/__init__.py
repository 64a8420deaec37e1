"""From records to a board: runs put together, published figures beside them, four forms."""

from sciml_data.results.board.forms import from_json, to_csv, to_json, to_markdown
from sciml_data.results.board.html_form import to_html
from sciml_data.results.board.published import advised_runs, published_rows
from sciml_data.results.board.row import Row
from sciml_data.results.board.rows import board_rows
from sciml_data.results.board.summary import Summary, aggregate
from sciml_data.results.board.summary_forms import summary_json, summary_text

__all__ = [
    "Row",
    "Summary",
    "advised_runs",
    "aggregate",
    "board_rows",
    "from_json",
    "published_rows",
    "summary_json",
    "summary_text",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
]

from .published import PUBLISHED_NAME, advised_runs, load_published, published_rows
from .render import (
    from_json,
    summary_json,
    summary_text,
    to_csv,
    to_html,
    to_json,
    to_markdown,
)
from .row import Row
from .rows import board_rows
from .summary import Summary, aggregate
from .table import SORTS, arrange
from .text import to_text

__all__ = [
    "PUBLISHED_NAME",
    "SORTS",
    "Row",
    "Summary",
    "advised_runs",
    "aggregate",
    "arrange",
    "board_rows",
    "from_json",
    "load_published",
    "published_rows",
    "summary_json",
    "summary_text",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
    "to_text",
]

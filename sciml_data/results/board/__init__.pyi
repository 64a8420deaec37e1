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
from .rows import Row, board_rows
from .summary import Summary, aggregate

__all__ = [
    "PUBLISHED_NAME",
    "Row",
    "Summary",
    "advised_runs",
    "aggregate",
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
]

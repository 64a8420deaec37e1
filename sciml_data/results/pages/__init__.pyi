from .history import history_problems
from .pages import build_pages, page_problems, unprinted_sets
from .script_tables import script_table_problems, write_script_table
from .stored import (
    ResultSet,
    add_runs,
    load_result_set,
    result_set_names,
    stored_problems,
    write_summaries,
)

__all__ = [
    "ResultSet",
    "add_runs",
    "build_pages",
    "history_problems",
    "load_result_set",
    "page_problems",
    "result_set_names",
    "script_table_problems",
    "stored_problems",
    "unprinted_sets",
    "write_script_table",
    "write_summaries",
]

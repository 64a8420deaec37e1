from .board import Summary, aggregate, board_rows, published_rows
from .exports import ExportRequest, export_run
from .mlperf_log import Submitter, check_lines, log_text
from .submission import Terms, Verdict, check_submission, pack_runs

__all__ = [
    "ExportRequest",
    "Submitter",
    "Summary",
    "Terms",
    "Verdict",
    "aggregate",
    "board_rows",
    "check_lines",
    "check_submission",
    "export_run",
    "log_text",
    "pack_runs",
    "published_rows",
]

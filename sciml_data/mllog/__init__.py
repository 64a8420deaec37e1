"""From a record to an MLPerf log, and two checks of a log: the official one, and ours."""

from sciml_data.mllog.check import check_lines
from sciml_data.mllog.events import events_of, log_text
from sciml_data.mllog.lines import parse_lines
from sciml_data.mllog.names import application, benchmark_of
from sciml_data.mllog.official import check_official
from sciml_data.mllog.submitter import STATUSES, Submitter

__all__ = [
    "STATUSES",
    "Submitter",
    "application",
    "benchmark_of",
    "check_lines",
    "check_official",
    "events_of",
    "log_text",
    "parse_lines",
]

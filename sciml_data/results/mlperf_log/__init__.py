"""From a record to an MLPerf log, and two checks of a log: the official one, and ours."""

from sciml_data.results.mlperf_log.check import check_lines
from sciml_data.results.mlperf_log.events import events_of, log_text
from sciml_data.results.mlperf_log.lines import parse_lines
from sciml_data.results.mlperf_log.names import application, benchmark_of
from sciml_data.results.mlperf_log.official import check_official
from sciml_data.results.mlperf_log.submitter import STATUSES, Submitter

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

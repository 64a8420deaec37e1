from .check import check_lines
from .events import events_of, log_text, submission_version
from .lines import parse_lines, read_lines
from .official import check_official, registry_rules
from .submitter import STATUSES, Submitter, application, benchmark_of

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
    "read_lines",
    "registry_rules",
    "submission_version",
]

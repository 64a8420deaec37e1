from .check import Verdict, check_submission
from .collection import Board, collect, find_submissions, is_submission, make_board
from .files import read_system_file
from .layout import (
    TERMS,
    VERIFICATION,
    Terms,
    load_packed_record,
    record_name,
)
from .mlperf_package import Package, ProgramResult, run_programs, write_package
from .pack import Extras, pack_runs
from .pull_request import (
    Changes,
    PullRequest,
    changed_since,
    commit_locally,
    make_pull_request,
)
from .record_checks import runs_below
from .reproduction import TOLERANCE, Rescored, compare_run, rescore_packed
from .verification import StoredRun, packed_runs

__all__ = [
    "TERMS",
    "TOLERANCE",
    "VERIFICATION",
    "Board",
    "Changes",
    "Extras",
    "Package",
    "ProgramResult",
    "PullRequest",
    "Rescored",
    "StoredRun",
    "Terms",
    "Verdict",
    "changed_since",
    "check_submission",
    "collect",
    "commit_locally",
    "compare_run",
    "find_submissions",
    "is_submission",
    "load_packed_record",
    "make_board",
    "make_pull_request",
    "pack_runs",
    "packed_runs",
    "read_system_file",
    "record_name",
    "rescore_packed",
    "run_programs",
    "runs_below",
    "write_package",
]

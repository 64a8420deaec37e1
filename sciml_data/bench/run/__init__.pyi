from .execution import prepare, run_once
from .external import align, score_external, score_table
from .jobscript import Job, write_job_script
from .opening import Opened, open_benchmark
from .request import Request, check_names, check_outline, check_request
from .rescoring import Difference, check_outputs, rescore
from .staging import Sample, Source, stage

__all__ = [
    "Difference",
    "Job",
    "Opened",
    "Request",
    "Sample",
    "Source",
    "align",
    "check_names",
    "check_outline",
    "check_outputs",
    "check_request",
    "open_benchmark",
    "prepare",
    "rescore",
    "run_once",
    "score_external",
    "score_table",
    "stage",
    "write_job_script",
]

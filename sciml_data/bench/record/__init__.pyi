from .record import (
    ABSOLUTE_PATH,
    RECORD_NAME,
    SCHEMA_PATH,
    check_repeats,
    digest,
    load_record,
    record_digest,
    schema_problems,
    write_record,
)
from .report import run_table, spread_table
from .runs import (
    LATEST,
    OUTPUTS_FOLDER,
    PREDICTIONS_NAME,
    all_runs,
    find_run,
    named_run_folder,
    new_run_folder,
)

__all__ = [
    "ABSOLUTE_PATH",
    "LATEST",
    "OUTPUTS_FOLDER",
    "PREDICTIONS_NAME",
    "RECORD_NAME",
    "SCHEMA_PATH",
    "all_runs",
    "check_repeats",
    "digest",
    "find_run",
    "load_record",
    "named_run_folder",
    "new_run_folder",
    "record_digest",
    "run_table",
    "schema_problems",
    "spread_table",
    "write_record",
]

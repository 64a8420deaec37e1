from .drawing import draw_figures, draw_monitor
from .interface import Benchmark, Problem, RunnerModule, check_problem, load_runner
from .monitoring.machine import import_tensorflow_quietly
from .monitoring.sampler import Monitor
from .record.headline import run_headline
from .record.record import RECORD_NAME, check_repeats, load_record
from .record.report import compare_table, run_table, spread_table
from .record.runs import (
    LATEST,
    all_runs,
    as_ended,
    find_run,
    find_runs,
    named_run_folder,
    require_runs_folder,
    stored_runs,
)
from .run.execution import prepare, run_once
from .run.jobscript import (
    Job,
    describe_time,
    last_step_options,
    write_conversion_script,
    write_job_script,
)
from .run.request import Request, check_names, check_outline, check_request
from .run.rescoring import Difference, rescore
from .run.staging import Sample, Source, stage
from .samples import id_table, write_ids
from .scoring.metrics import require_functions
from .scoring.predictions import Predictions, load_predictions
from .task.settings import resolve_settings, setting_problems
from .task.settings_help import setting_rows, settings_help
from .task.split import Split, load_split, split_names, write_split
from .task.task import Task, datasets_of, load_task
from .task.variants import choose_variant
from .training.backend import is_first_worker
from .training.budget import read_duration
from .training.outline import outline_of
from .training.own_model import (
    OwnModel,
    is_own_model,
    read_own_model,
    require_same_model,
    with_own_model,
)
from .training.slurm import check_nodes, join_cluster

__all__ = [
    "LATEST",
    "RECORD_NAME",
    "Benchmark",
    "Difference",
    "Job",
    "Monitor",
    "OwnModel",
    "Predictions",
    "Problem",
    "Request",
    "RunnerModule",
    "Sample",
    "Source",
    "Split",
    "Task",
    "all_runs",
    "as_ended",
    "check_names",
    "check_nodes",
    "check_outline",
    "check_problem",
    "check_repeats",
    "check_request",
    "choose_variant",
    "compare_table",
    "datasets_of",
    "describe_time",
    "draw_figures",
    "draw_monitor",
    "find_run",
    "find_runs",
    "id_table",
    "import_tensorflow_quietly",
    "is_first_worker",
    "is_own_model",
    "join_cluster",
    "last_step_options",
    "load_predictions",
    "load_record",
    "load_runner",
    "load_split",
    "load_task",
    "named_run_folder",
    "outline_of",
    "prepare",
    "read_duration",
    "read_own_model",
    "require_functions",
    "require_runs_folder",
    "require_same_model",
    "rescore",
    "resolve_settings",
    "run_headline",
    "run_once",
    "run_table",
    "setting_problems",
    "setting_rows",
    "settings_help",
    "split_names",
    "spread_table",
    "stage",
    "stored_runs",
    "with_own_model",
    "write_conversion_script",
    "write_ids",
    "write_job_script",
    "write_split",
]

from .settings import check_settings, resolve_settings, setting_problems
from .settings_help import setting_rows, settings_help
from .shares import Shares, assign_parts, read_shares
from .split import Split, load_split, split_names, write_split
from .splits import Division, Options, describe, divide, evenly_spaced, leakage
from .task import Target, Task, Variant, datasets_of, load_task
from .variants import choose_variant, task_of

__all__ = [
    "Division",
    "Options",
    "Shares",
    "Split",
    "Target",
    "Task",
    "Variant",
    "assign_parts",
    "check_settings",
    "choose_variant",
    "datasets_of",
    "describe",
    "divide",
    "evenly_spaced",
    "leakage",
    "load_split",
    "load_task",
    "read_shares",
    "resolve_settings",
    "setting_problems",
    "setting_rows",
    "settings_help",
    "split_names",
    "task_of",
    "write_split",
]

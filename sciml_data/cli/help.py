"""The options in `--help`: in sections, where a command has many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

COMMON_COUNT = 4  # options of every command: --quiet, --verbose, --debug and --help
MAX_UNGROUPED = 10  # a list of more options is hard to search by eye
# Section -> names of its options. All other options are printed first, as "Options".
SECTIONS = {
    "Selection": (
        "version", "model", "split", "variant", "dataset", "include", "limit", "start", "end",
        "benchmark", "benchmarks",
    ),
    "Sample": ("sample", "sample_seed", "sample_set"),
    "Training": (
        "overrides", "help_settings", "seed", "seeds", "resume", "name", "monitor", "clear_cache",
        "budget", "stage_only",
    ),
    "Processes": (
        "strategy", "backend", "threads", "nodes", "ntasks_per_node", "cpus_per_task",
        "gpus_per_node", "mem", "jobs", "cluster",
    ),
    "Description": (
        "title", "description", "license_", "creators", "keywords", "citations", "sources",
    ),
    "Submitter": ("org", "system", "status", "platform", "poc_name", "poc_email"),
    "Sources and folders": (
        "mirrors", "via", "registry", "trust_code", "home", "runs_folder", "wait",
    ),
    "Output": (
        "to", "output", "format_", "as_json", "submit", "dry_run",
        "yes", "quiet", "verbose", "debug",
        "_click_default_help",
    ),
}  # fmt: skip
SECTION_OF = {name: section for section, names in SECTIONS.items() for name in names}
OPTIONS = "Options"


def write_options(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the help of all options; more than `MAX_UNGROUPED` are divided into sections."""
    options = [param for param in params if isinstance(param, click.Option)]
    sections: dict[str, list[tuple[str, str]]] = {OPTIONS: [], **{name: [] for name in SECTIONS}}
    counts = Counter(map(_section, options))
    for option in options:
        if (record := option.get_help_record(ctx)) is not None:
            # A heading for one option would be longer than the option.
            is_alone = len(options) - COMMON_COUNT <= MAX_UNGROUPED or counts[_section(option)] == 1
            sections[OPTIONS if is_alone else _section(option)].append(record)
    for section, records in sections.items():
        if records:
            with formatter.section(section):
                formatter.write_dl(records)


def _section(option: click.Option) -> str:
    return SECTION_OF.get(option.name or "", OPTIONS)

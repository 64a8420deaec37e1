"""`sciml-data log`: print the MLPerf log of a run, or check a log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, registry_option, runs_option
from sciml_data.cli.output import log_one_left_out, print_or_write
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import CallError, JsonError, Problem, SciMLDataError
from sciml_data.progress import counted


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data log latest --org "Uni of Example" --system node-a > result-1.txt
  sciml-data log latest --org Example --system node-a --status onprem --output result-1.txt
  sciml-data log --check result-1.txt
  sciml-data log latest --check result-1.txt
  sciml-data log --rules tevolop > tevolop.yaml
""",
)
@click.argument("run", required=False, shell_complete=completion.runs)
@click.option("--org", metavar="NAME", help="Organisation that submits the run.")
@click.option(
    "--system", metavar="NAME", help="Name of the system, as in the folders of the submission."
)
@click.option(
    "--status",
    metavar="STATUS",
    help="Status of the system: cloud, onprem, preview or research.  [default: research]",
)
@click.option(
    "--platform", metavar="NAME", help="MLPerf's name of the platform. Default: the system."
)
@click.option("--poc-name", metavar="NAME", help="Name of the point of contact.")
@click.option("--poc-email", metavar="ADDRESS", help="E-mail address of the point of contact.")
@click.option(
    "--output",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="File for the log. Default: stdout.",
)
@click.option(
    "--check",
    "file",
    metavar="FILE",
    type=UserPath(),
    help="Log to check; exit with 1 if it has problems.",
)
@click.option(
    "--benchmark", metavar="NAME", help="Benchmark of the checked log. Default: as the log says."
)
@click.option(
    "--rules",
    metavar="BENCHMARK",
    help="Print the rules of this benchmark for the official checker.",
)
@registry_option
@home_option
@runs_option
def command(run: str | None, **options: Any) -> None:
    """Print the MLPerf log of RUN (a path, an id or `latest`), or check a log.

    Only a successful run has a log. --check checks a log against the rules of its benchmark with
    the official checker of MLCommons, then line by line. With RUN, it also checks the log
    against the record of that run.
    """
    if options["rules"]:
        _print_rules(run, options)
    elif options["file"]:
        _check(run, options)
    else:
        _write(run, options)


def _print_rules(run: str | None, options: dict[str, Any]) -> None:
    from sciml_data.registry import find_registry
    from sciml_data.results.mlperf_log import registry_rules

    if run or options["file"]:
        raise CallError(
            "--rules cannot be combined with RUN or --check", untouched="nothing was checked"
        )
    text = registry_rules(find_registry(options["registry"]), options["rules"])
    click.echo(text, nl=False)


def _write(run: str | None, options: dict[str, Any]) -> None:
    from sciml_data.results.mlperf_log import Submitter, check_lines, log_text

    missing = [f"--{name}" for name in ("org", "system") if not options[name]]
    if run is None or missing:
        raise CallError(
            f"a log needs {' and '.join(['RUN'] * (run is None) + missing)}",
            untouched="nothing was written",
            hint="sciml-data log latest --org NAME --system NAME",
        )
    if options["benchmark"]:
        raise CallError("--benchmark needs --check", untouched="nothing was written")
    names = ("org", "system", "platform", "poc_name", "poc_email")
    submitter = Submitter(
        **{name: options[name] for name in names}, status=options["status"] or "research"
    )
    record = _record(run, options)
    text = log_text(record, submitter)
    for problem in check_lines(text, record):
        click.echo(f"this log will be rejected: {problem}", err=True)
    print_or_write(text, options["output"])
    if options["output"] is not None:
        click.echo(options["output"])


def _check(run: str | None, options: dict[str, Any]) -> None:
    """Print every problem; exit with 1 if there are any."""
    from sciml_data.home import read_small_file
    from sciml_data.results.mlperf_log import check_lines

    named = ("org", "system", "status", "platform", "poc_name", "poc_email", "output")
    if given := [f"--{name.replace('_', '-')}" for name in named if options[name]]:
        raise CallError(f"{', '.join(given)} cannot be given with --check")
    path: Path = options["file"]
    try:
        text = read_small_file(path).decode("utf-8")  # line ends as they are
    except (JsonError, UnicodeDecodeError) as error:
        reason = getattr(error, "message", str(error))
        raise CallError(f"{path} cannot be read as a log: {reason}") from error
    problems = check_lines(text, None if run is None else _record(run, options))
    problems += _official(path, text, options)
    for problem in problems:
        click.echo(problem)
    if problems:
        click.echo(f"{path.name}: {counted(len(problems), 'problem')}", err=True)
        sys.exit(1)
    passed = ["MLCommons' checker", "the check of its lines"] + ["the run's record"] * bool(run)
    click.echo(f"{path.name} passes {', '.join(passed)}")


def _official(path: Path, text: str, options: dict[str, Any]) -> list[Problem]:
    from sciml_data.registry import find_registry
    from sciml_data.results.mlperf_log import benchmark_of, check_official, read_lines

    events = [line.event for line in read_lines(text)[0]]
    try:
        benchmark = options["benchmark"] or benchmark_of(events)
    except SciMLDataError as error:
        return [Problem("official", "log", f"{error.message}: name it with {error.hint}")]
    return check_official(path, benchmark, registry=find_registry(options["registry"]))


def _record(run: str, options: dict[str, Any]) -> dict[str, Any]:
    from sciml_data.bench import find_run, load_record

    return load_record(find_run(home_of(options), run, on_left_out=log_one_left_out))

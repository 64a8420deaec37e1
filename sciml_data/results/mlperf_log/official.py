"""Run the official compliance checker of mlperf-logging, with rules for our benchmarks.

The checker keeps its queue of rule files in a module and evaluates them as Python code. So each log
gets a process, a working folder and a rule file of its own. A rule file is made from one template
and the benchmark's task. It is taken from this package, or made here from the task of a registry
(which contains code as well), never from a submission.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from string import Template

from sciml_data.bench.scoring.metrics import Metric
from sciml_data.bench.task.task import Task, load_task
from sciml_data.errors import CallError, Problem, nearest
from sciml_data.registry.layout import Registry
from sciml_data.results.mlperf_log.submitter import APPLICATIONS, STATUSES, application

RULES = Path(__file__).with_name("rules")
TEMPLATE = RULES / "template.yaml"
INDENT = " " * 10  # of the bounds in the template
NO_BOUND = "1e999"  # infinity, for Python and for JSON readers alike
MODULE = "mlperf_logging.compliance_checker"
# These options choose the parser only; every rule is in the rule file.
OPTIONS = ("--usage", "training", "--ruleset", "6.1.0", "--werror")
TIMEOUT_S = 120
SEPARATOR = re.compile(r"\n-{30}\n")  # between messages
PREFIX = re.compile(r"^(?:WARNING|ERROR|INFO) -\s+", re.MULTILINE)
IN_LINE = re.compile(r"CHECK for '(?P<key>.*)' failed in line (?P<line>\d+):")
COUNTED = re.compile(r"Required \S+ occurrence of '(?P<key>\w+)'")
FAILED_TEST = re.compile(r"^failed test: (?P<test>.*)$", re.MULTILINE)
TRIGGER = re.compile(r'^:::MLLOG .*?"key": "(?P<key>\w+)"', re.MULTILINE)
MAX_MESSAGE = 300  # characters of a message


def check_official(
    path: Path, benchmark: str, *, registry: Registry | None = None
) -> list[Problem]:
    """Return the problems that the official checker finds in a log; an empty list is a pass.

    Args:
        path: file of the log.
        benchmark: our name, such as `tevolop`; this package ships the rules of our benchmarks.
        registry: describes a benchmark without shipped rules; they are made from its task.

    Raises:
        CallError: the log does not exist, there are no rules, or mlperf-logging is not installed.
    """
    if importlib.util.find_spec("mlperf_logging") is None:
        raise CallError(
            "the official checker needs mlperf-logging, which is not installed",
            untouched="nothing was checked",
            hint="pip install 'sciml-data[submit]'",
        )
    if not path.is_file():
        raise CallError(f"no such file: {path}", untouched="nothing was checked")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if registry is None or benchmark in APPLICATIONS:
            rules = rule_file(benchmark)
        else:
            rules = folder / "rules.yaml"
            rules.write_text(registry_rules(registry, benchmark), encoding="utf-8")
        return _checked(path.resolve(), rules, folder)


def _checked(log: Path, rules: Path, folder: Path) -> list[Problem]:
    """Run the checker in an empty folder, so that it imports nothing from there (`-P`, too)."""
    output = folder / "output.log"
    words = [sys.executable, "-P", "-m", MODULE, *OPTIONS, "--config", str(rules)]
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter and fixed words, no shell
            [*words, "--log_output", str(output), str(log)],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Problem("official", "checker", f"the checker did not end within {TIMEOUT_S} s")]
    text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
    if done.returncode == 0 and text.rstrip().endswith("SUCCESS"):
        return []
    return _problems(text) or [Problem("official", "checker", _last_line(done.stderr))]


def _problems(text: str) -> list[Problem]:
    """Return a problem for each message of a failed run."""
    plain = PREFIX.sub("", re.sub(r"^INFO - .*$", "", text, flags=re.MULTILINE))
    messages = [part.strip().removesuffix("FAILED").strip() for part in SEPARATOR.split(plain)]
    return [_problem(message) for message in messages if message]


def _problem(message: str) -> Problem:
    test = FAILED_TEST.search(message)
    if match := IN_LINE.search(message):
        place = f"line {int(match['line']) + 1} {match['key']}"  # the checker counts from 0
        failure = f"fails {test['test'] if test else 'its check'}"
        return Problem("official", place, failure[:MAX_MESSAGE])
    if counted := COUNTED.search(message):
        return Problem("official", counted["key"], message.splitlines()[0][:MAX_MESSAGE])
    # The checker crashed. Its message begins with the error and the rule; the line and all of the
    # checker's state follow.
    line = TRIGGER.search(message)
    start = " ".join(message.splitlines()[:2])
    return Problem("official", line["key"] if line else "log", start[:MAX_MESSAGE])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no output"]
    return f"the checker crashed: {lines[-1]}"[:MAX_MESSAGE]


def rules_text(task: Task) -> str:
    """Return the rules of a benchmark: the template, filled in from its task."""
    bounds = ",\n".join(f"{INDENT}    {metric.id!r}: {_bounds(metric)}" for metric in task.metrics)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        benchmark=task.name,
        application=application(task.name),
        statuses=STATUSES,
        bounds=f"{{\n{bounds},\n{INDENT}}}",
    )


def rule_file(benchmark: str) -> Path:
    """Return the absolute path of the shipped rule file of a benchmark.

    Raises:
        CallError: there is none; the nearest name is suggested.
    """
    if benchmark not in APPLICATIONS:
        raise CallError(
            f"no rules are shipped for benchmark {benchmark!r}{nearest(benchmark, APPLICATIONS)}; "
            f"there are rules for {', '.join(APPLICATIONS)}",
            untouched="nothing was checked",
            hint="--registry DIR makes the rules of a benchmark of another registry",
        )
    return (RULES / f"{benchmark}.yaml").resolve()


def registry_rules(registry: Registry, benchmark: str) -> str:
    """Return the rules of a benchmark of a registry.

    Raises:
        CallError: the registry has no such benchmark.
        DescriptorError: its task.toml is invalid.
    """
    return rules_text(load_task(registry.runner(benchmark)))


def _bounds(metric: Metric) -> str:
    low = f"-{NO_BOUND}" if metric.minimum is None else repr(float(metric.minimum))
    high = NO_BOUND if metric.maximum is None else repr(float(metric.maximum))
    return f"({low}, {high})"

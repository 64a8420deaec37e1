"""The official compliance checker of mlperf-logging, in a process of its own.

It keeps its queue of rule files in a module and evaluates them as code, so it gets an interpreter,
a working folder and a rule file of ours for each log.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from sciml_data.errors import CallError, Problem
from sciml_data.registry.layout import Registry
from sciml_data.results.mlperf_log.names import APPLICATIONS
from sciml_data.results.mlperf_log.rule_files import registry_rules, rule_file

MODULE = "mlperf_logging.compliance_checker"
# They choose the parser only; every rule is in the file.
OPTIONS = ("--usage", "training", "--ruleset", "6.1.0", "--werror")
TIMEOUT_S = 120
SEPARATOR = re.compile(r"\n-{30}\n")  # between messages
PREFIX = re.compile(r"^(?:WARNING|ERROR|INFO) -\s+", re.MULTILINE)
IN_LINE = re.compile(r"CHECK for '(?P<key>.*)' failed in line (?P<line>\d+):")
COUNTED = re.compile(r"Required \S+ occurrence of '(?P<key>\w+)'")
FAILED_TEST = re.compile(r"^failed test: (?P<test>.*)$", re.MULTILINE)
TRIGGER = re.compile(r'^:::MLLOG .*?"key": "(?P<key>\w+)"', re.MULTILINE)
SHORT = 300  # characters of a message


def check_official(
    path: Path, benchmark: str, *, registry: Registry | None = None
) -> list[Problem]:
    """Return what the official checker says against a log; an empty list is a pass.

    Args:
        path: of the log.
        benchmark: ours, as in `tevolop`; its rules are those shipped with this package.
        registry: of a benchmark that is not among them; its rules are made from its task.

    Raises:
        CallError: the log is no file, there are no rules, or mlperf-logging is not installed.
    """
    if importlib.util.find_spec("mlperf_logging") is None:
        raise CallError(
            "the official checker needs mlperf-logging, which is not installed",
            untouched="nothing was checked",
            hint="pip install 'sciml-data[submit]'",
        )
    if not path.is_file():
        raise CallError(f"there is no log {path}", untouched="nothing was checked")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if registry is None or benchmark in APPLICATIONS:
            rules = rule_file(benchmark)
        else:
            rules = folder / "rules.yaml"
            rules.write_text(registry_rules(registry, benchmark), encoding="utf-8")
        return _checked(path.resolve(), rules, folder)


def _checked(log: Path, rules: Path, folder: Path) -> list[Problem]:
    """Run the checker in a folder of its own, where nothing lies that it could import."""
    said = folder / "said.log"
    words = [sys.executable, "-P", "-m", MODULE, *OPTIONS, "--config", str(rules)]
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter and fixed words, no shell
            [*words, "--log_output", str(said), str(log)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Problem("official", "checker", f"it did not end within {TIMEOUT_S} s")]
    text = said.read_text(encoding="utf-8", errors="replace") if said.is_file() else ""
    if done.returncode == 0 and text.rstrip().endswith("SUCCESS"):
        return []
    return _problems(text) or [Problem("official", "checker", _last_line(done.stderr))]


def _problems(text: str) -> list[Problem]:
    """Return the messages of a run that failed; the long ones hold the line and all state."""
    spoken = PREFIX.sub("", re.sub(r"^INFO - .*$", "", text, flags=re.MULTILINE))
    messages = [one.strip().removesuffix("FAILED").strip() for one in SEPARATOR.split(spoken)]
    return [_problem(one) for one in messages if one]


def _problem(message: str) -> Problem:
    test = FAILED_TEST.search(message)
    if found := IN_LINE.search(message):
        place = f"line {int(found['line']) + 1} {found['key']}"  # it counts from 0
        return Problem("official", place, f"fails {test['test'] if test else 'its check'}"[:SHORT])
    if counted := COUNTED.search(message):
        return Problem("official", counted["key"], message.splitlines()[0][:SHORT])
    # What broke off, and the rule that it broke off in; then come the line and all state.
    line = TRIGGER.search(message)
    said = " ".join(message.splitlines()[:2])
    return Problem("official", line["key"] if line else "log", said[:SHORT])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing"]
    return f"it broke off: {lines[-1]}"[:SHORT]

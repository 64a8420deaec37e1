"""Write submissions as a package of MLPerf Training, and run MLPerf's own programs on it.

    ORG/systems/SYSTEM.json
    ORG/results/SYSTEM/BENCHMARK/result_0.txt ...
    ORG/benchmarks/BENCHMARK/README.md

MLPerf Training has one folder of results for each system and benchmark. Where several submissions
of ours are of the same two, the name of the system is followed by that of the submission.

`package_checker` and `result_summarizer` do not know science benchmarks. They get the rules and the
number of runs of ours (`mlperf_log.programs`), so that they count each run and skip none.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, RecordError
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.registry.layout import Registry
from sciml_data.results import mlperf_log
from sciml_data.results.submission.layout import SYSTEM, Tree, read_tree

PROGRAMS = ("system_desc_checker", "package_checker", "result_summarizer")
TIMEOUT_S = 600
# Fields that result_summarizer (mlperf-logging 6.0) casts to whole numbers.
WHOLE_NUMBERS = ("number_of_nodes", "host_processors_per_node", "accelerators_per_node")
MIN_OLYMPIC = 3  # runs: the olympic mean drops the best and the worst


@dataclass(frozen=True)
class Package:
    """A package of one organisation.

    Attributes:
        folder: of the organisation.
        runs: benchmark -> number of runs in each of its folders of results.
        not_numbers: system -> fields that result_summarizer needs and nobody has stated.
    """

    folder: Path
    runs: dict[str, int]
    not_numbers: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class ProgramResult:
    """What one of MLPerf's programs said.

    Attributes:
        program: its name.
        passed: None if it was not run; `messages` says why.
        messages: its warnings and errors.
        rows: of the table of result_summarizer.
    """

    program: str
    passed: bool | None
    messages: tuple[str, ...]
    rows: tuple[dict[str, Any], ...] = ()


def write_package(submissions: Sequence[Path], to: Path) -> list[Package]:
    """Write submissions as packages, one for each organisation, and return these.

    Args:
        submissions: folders of packed submissions.
        to: folder for the packages; an organisation's folder must not exist yet.

    Raises:
        CallError: a folder of `to` exists, two submissions of a benchmark have different numbers
            of runs, or a submission has no logs.
        RecordError: a submission is not valid.
    """
    trees = [_valid(folder) for folder in submissions]
    named = {_of(tree)[:3] for tree in trees}
    alone = Counter(_of(tree)[:3] for tree in trees)
    packages: dict[str, Package] = {}
    if existing := [to / org for org, *_ in named if (to / org).exists()]:
        raise CallError(
            f"{existing[0]} exists", untouched="nothing was written", hint="give another --to"
        )
    for tree in trees:
        org, system, benchmark, descriptor = _of(tree)
        package = packages.setdefault(org, Package(to / org, {}, {}))
        if package.runs.setdefault(benchmark, len(tree.logs)) != len(tree.logs):
            raise CallError(
                f"submissions of {benchmark} have {package.runs[benchmark]} and {len(tree.logs)} "
                "runs; MLPerf has one number for a benchmark",
                hint="write them as packages of their own",
            )
        name = system if alone[org, system, benchmark] == 1 else f"{system}-{descriptor}"
        _write(package, tree, name, benchmark)
    return list(packages.values())


def run_programs(package: Package, registry: Registry) -> list[ProgramResult]:
    """Run MLPerf's three programs on a package, each in a process of its own.

    Raises:
        CallError: mlperf-logging is not installed.
    """
    if importlib.util.find_spec("mlperf_logging") is None:
        raise CallError(
            "MLPerf's programs need mlperf-logging, which is not installed",
            hint="pip install 'sciml-data[submit]'",
        )
    folder = package.folder.resolve()
    rules = {}
    for benchmark in package.runs:
        path = folder.parent / f".{benchmark}-rules.yaml"
        path.write_text(mlperf_log.registry_rules(registry, benchmark), encoding="utf-8")
        rules[benchmark] = str(path)
    try:
        return [_run(program, package, folder, rules) for program in PROGRAMS]
    finally:
        for name in rules.values():
            Path(name).unlink()


def _valid(folder: Path) -> Tree:
    tree = read_tree(folder)
    if tree.problems or tree.terms is None:
        raise RecordError(
            f"{folder} is not a valid submission",
            problems=tree.problems,
            untouched="nothing was written",
            hint=f"sciml-data submit check {folder}",
        )
    if not tree.logs:
        raise CallError(
            f"{folder} has no log of a training, so MLPerf's programs have nothing to read",
            untouched="nothing was written",
        )
    return tree


def _of(tree: Tree) -> tuple[str, str, str, str]:
    """Return organisation, system, benchmark and descriptor of a submission."""
    terms = tree.terms or {}
    benchmark = next(iter(tree.records.values()))["benchmark"]["name"]
    return terms["org"], terms["system"], benchmark, terms["descriptor"]


def _write(package: Package, tree: Tree, system: str, benchmark: str) -> None:
    results = package.folder / "results" / system / benchmark
    code = package.folder / "benchmarks" / benchmark
    systems = package.folder / "systems"
    for folder in (results, code, systems):
        folder.mkdir(parents=True, exist_ok=True)
    for number, log in enumerate(tree.logs[key] for key in sorted(tree.logs)):
        (results / f"result_{number}.txt").write_text(log, encoding="utf-8")
    description = tree.texts[SYSTEM]
    (systems / f"{system}.json").write_text(description, encoding="utf-8")
    address = f"{REPOSITORY}/tree/main/runners/{benchmark}"
    (code / "README.md").write_text(f"Code: {address}\n", encoding="utf-8")
    fields = json.loads(description)
    unknown = tuple(name for name in WHOLE_NUMBERS if not fields[name].isdecimal())
    if unknown:
        package.not_numbers[system] = unknown


def _run(program: str, package: Package, folder: Path, rules: dict[str, str]) -> ProgramResult:
    if program == "result_summarizer" and package.not_numbers:
        missing = (
            f"{system}: {', '.join(names)} not known; result_summarizer needs numbers, which "
            "`submit pack --system-file` takes"
            for system, names in package.not_numbers.items()
        )
        return ProgramResult(program, None, tuple(missing))
    request = {
        "program": program,
        "folder": str(folder),
        "rules": rules,
        "runs": package.runs,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sciml_data.results.mlperf_log.programs"],
        input=json.dumps(request),
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )
    messages = _messages(done.stderr)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return ProgramResult(program, passed=False, messages=(*messages, f"it crashed: {last}"))
    result = json.loads(done.stdout)
    rows = tuple(result.get("rows", ()))
    few = [name for name, number in package.runs.items() if number < MIN_OLYMPIC]
    if rows and few:
        messages += (f"no score for {', '.join(few)}: the olympic mean needs {MIN_OLYMPIC} runs",)
    return ProgramResult(program, result["passed"], messages, rows)


def _messages(text: str) -> tuple[str, ...]:
    """Return warnings and errors among the lines of a program."""
    marks = ("WARNING - ", "ERROR - ", "CRITICAL ERROR")
    return tuple(line.strip() for line in text.splitlines() if line.startswith(marks))

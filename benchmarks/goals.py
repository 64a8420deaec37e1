"""Goals of the benchmarks beside their results: a line for each, and a table of all.

A script calls `report` for each goal. If `run_all.py` has started it, `report` also appends the
result to a file, of which `print_table` prints columns for the terminal, and then a table in
Markdown for docs/explanation/performance.md. Goals are printed and never asserted: no exit code
depends on them.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import groupby
from pathlib import Path

VARIABLE = "BENCHMARK_GOALS"  # names the file to append to
WIDTH = 58  # of the text of a goal, so that a line has at most 100 characters


def report(
    what: str,
    result: float,
    unit: str = "",
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> bool:
    """Print a result with its goal, and store both if `BENCHMARK_GOALS` names a file.

    Args:
        what: what was measured, in at most 58 characters.
        result: the measured number.
        unit: unit of result and goal, such as "CPU s"; empty for ratios.
        at_least: the goal, if higher results are better.
        at_most: the goal, if lower results are better. Without a goal, only the result is printed.

    Returns:
        Whether the goal is met; True if there is no goal.
    """
    sign, goal = (">=", at_least) if at_least is not None else ("<=", at_most)
    is_met = goal is None or (result >= goal if sign == ">=" else result <= goal)
    row = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "what": what,
        "result": f"{_number(result)} {unit}".rstrip(),
        "goal": "" if goal is None else f"{sign} {_number(goal)}",
        "outcome": "" if goal is None else "met" if is_met else "MISSED",
    }
    print(_line(row), flush=True)
    if file := os.environ.get(VARIABLE):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
    return is_met


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _line(row: dict[str, str]) -> str:
    line = f"{row['what']:<{WIDTH}}{row['result']:>18}  {row['goal']:<10}  {row['outcome']}"
    return line.rstrip()


def _markdown(row: dict[str, str]) -> str:
    missed = row["outcome"] == "MISSED"
    result = f"**{row['result']}, missed**" if missed else row["result"]
    return f"| {row['what']} | `{row['command']}` | {result} | {row['goal']} |"


def print_table(path: Path) -> None:
    """Print the results of a file, by command in columns, and all of them in Markdown."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, str]] = [json.loads(line) for line in lines]
    for command, group in groupby(rows, lambda row: row["command"]):
        print(f"\n{command}", *map(_line, group), sep="\n")
    outcomes = [row["outcome"] for row in rows]
    print(f"\n{outcomes.count('met')} goals are met, {outcomes.count('MISSED')} are missed.\n")
    print("| what | command | result | goal |\n|---|---|---|---|", *map(_markdown, rows), sep="\n")

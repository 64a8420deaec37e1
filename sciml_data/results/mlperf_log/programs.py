"""Run one of MLPerf's programs on a package of results, with the rules of our benchmarks.

A program of its own: `python -m sciml_data.results.mlperf_log.programs` reads a request (JSON) and
prints the result (JSON). mlperf-logging keeps its benchmarks, numbers of runs and rules in modules,
and skips a benchmark that is not in them. This process replaces them, and ends. The programs
themselves are unchanged.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

USAGE, RULESET = "training", "6.1.0"  # the newest rules of mlperf-logging 6.0


def main() -> None:
    """Run the program that stdin names; its messages go to stderr."""
    request = json.load(sys.stdin)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s - %(message)s")
    _use_rules(request["rules"])
    answer = sys.stdout
    sys.stdout = sys.stderr  # where the programs print
    result = PROGRAMS[request["program"]](request["folder"], request["runs"])
    json.dump(result, answer)


def _use_rules(rules: Mapping[str, str]) -> None:
    """Let the compliance checker use the rule file of the benchmark that a log's folder names."""
    from mlperf_logging.compliance_checker import mlp_compliance

    check = mlp_compliance.main

    def with_our_rules(log: str, _: str, checker: Any) -> Any:
        return check(log, rules[Path(log).parent.name], checker)

    mlp_compliance.main = with_our_rules


def _check_package(folder: str, runs: Mapping[str, int]) -> dict[str, Any]:
    from mlperf_logging.package_checker import package_checker

    package_checker.get_allowed_benchmarks = lambda *_: list(runs)
    package_checker.get_result_file_counts = lambda _: runs
    systems = package_checker.check_systems(folder, USAGE, RULESET)
    no_exceptions = {"rcp_bypass": False, "rcp_bert_train_samples": False}
    results = package_checker.check_training_result_files(
        folder, USAGE, RULESET, quiet=False, werror=True, seed_checker_bypass=False, **no_exceptions
    )
    return {"passed": systems and results}


def _check_system(folder: str, _: Mapping[str, int]) -> dict[str, Any]:
    from mlperf_logging.system_desc_checker import system_desc_checker

    files = sorted(Path(folder, "systems").glob("*.json"))
    checked = [system_desc_checker.check_system_desc(str(file), USAGE, RULESET) for file in files]
    return {"passed": all(valid for valid, *_ in checked) and bool(files)}


def _summarise(folder: str, runs: Mapping[str, int]) -> dict[str, Any]:
    from mlperf_logging.result_summarizer import result_summarizer

    result_summarizer.get_allowed_benchmarks = lambda *_: list(runs)
    table, *_ = result_summarizer.summarize_results(folder, USAGE, RULESET)
    rows = json.loads(table.to_json(orient="records"))
    return {"passed": bool(rows), "rows": rows}


PROGRAMS = {
    "system_desc_checker": _check_system,
    "package_checker": _check_package,
    "result_summarizer": _summarise,
}

if __name__ == "__main__":
    main()

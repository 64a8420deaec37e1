"""Choose settings by the validation part alone, and log the choice.

    python benchmarks/choose.py uno --split drug --try base=means --try base=nothing --seeds 3

Each `--try` is one alternative: settings as KEY=VALUE, several separated by spaces; `--try ""` is
the default. Every alternative is trained with every seed. The script reads the validation rows of
the records and nothing else: the scores of other parts are neither printed nor stored. The table is
written to `results/BENCHMARK/NAME/table.json` (`--name`, by default `choice`), and
docs/results/choices.md prints it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sciml_data
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.registry import find_registry
from sciml_data.results.pages import write_script_table

VALIDATION = "validation"


def main() -> None:
    """Train the alternatives, print their validation scores, and store the table."""
    arguments = _arguments()
    known = {"variant": arguments.variant, "dataset": arguments.dataset, "split": arguments.split}
    rows: list[list[float | str | None]] = []
    data: dict[str, str] = {}
    metric, marks = arguments.metric, set()
    for alternative in arguments.alternatives:
        scores = []
        for seed in range(arguments.seeds):
            run = sciml_data.run(
                arguments.benchmark,
                **known,
                model=arguments.model,
                settings=alternative.split(),
                seed=seed,
                sample=arguments.sample,
                home=arguments.home,
                threads=arguments.threads,
            )
            data[f"{run.record['dataset']['id']} {run.record['dataset']['version']}"] = str(
                run.record["dataset"]["manifest_digest"]
            )
            metric = metric or run.record["benchmark"]["headline_metric"]
            marks |= {"Synthetic sample. "} if run.record["synthetic"] else set()
            scores.append(validation_score(run.record, metric))
        row = [alternative or "default", statistics.median(scores), min(scores), max(scores)]
        print(*row, sep="  ")
        rows.append([*row])
    columns = ["settings", f"{metric}, validation", "least", "most"]
    runner = find_registry().runner(arguments.benchmark)
    folder = Path("results") / arguments.benchmark / arguments.name
    remark = f"{''.join(marks)}{arguments.seeds} seed{'s' if arguments.seeds > 1 else ''} each."
    print(write_script_table(folder, columns, rows, data=data, runner=runner, remark=remark))


def validation_score(record: Mapping[str, Any], metric: str) -> float:
    """Return a validation score of a record."""
    (score,) = (
        row["score"]
        for row in record["metrics"]
        if row["part"] == VALIDATION and row_key(row) == metric
    )
    return float(score)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark")
    for name in ("--variant", "--dataset", "--split", "--model", "--home"):
        parser.add_argument(name)
    parser.add_argument("--try", dest="alternatives", action="append", required=True)
    parser.add_argument("--metric", help="metric key; default: the headline metric")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--name", default="choice", help="name of the table, such as choice-base")
    return parser.parse_args()


if __name__ == "__main__":
    main()

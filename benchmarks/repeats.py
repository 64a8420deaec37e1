"""How far runs with equal settings and seed differ: by commit, threads and deterministic kernels.

    python benchmarks/repeats.py stemdl_classification RUN RUN ... --name repeatability

RUN is the folder of a run. Runs of the same commit, threads and kernels are a row: how many there
are, how many different training curves they have, and the least and largest test score. The table
is written to `results/BENCHMARK/NAME/table.json`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.registry import find_registry
from sciml_data.results.pages import write_script_table

TEST = "test"


def main() -> None:
    """Group the runs, print the table and store it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("benchmark")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--name", default="repeatability")
    arguments = parser.parse_args()
    groups: dict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)
    data, metric = {}, ""
    for run in arguments.runs:
        record = json.loads((run / "record.json").read_text())
        metric = record["benchmark"]["headline_metric"]
        dataset = record["dataset"]
        data[f"{dataset['id']} {dataset['version']}"] = str(dataset["manifest_digest"])
        groups[_group(record)].append((_losses(run), _score(record, metric)))
    rows: list[list[float | str | None]] = []
    for group, found in groups.items():
        scores = [score for _, score in found]
        curves = len({losses for losses, _ in found})
        rows.append([*group, str(len(found)), str(curves), min(scores), max(scores)])
        print(*rows[-1], sep="  ")
    columns = ["commit", "threads", "kernels", "runs", "different curves"]
    columns += [f"{metric}, least", f"{metric}, most"]
    write_script_table(
        Path("results") / arguments.benchmark / arguments.name,
        columns,
        rows,
        data=data,
        runner=find_registry().runner(arguments.benchmark),
        remark="Synthetic sample. All runs have the same settings and seed, on one computer.",
    )


def _group(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return commit, threads and kernels of a run."""
    threads = record["hardware"]["intra_op_threads"]
    is_deterministic = record["settings"]["deterministic"]
    commit = str(record["code"]["commit"])[:7]
    kernels = "deterministic" if is_deterministic else "default"
    return commit, str(threads or "all cores"), kernels


def _losses(run: Path) -> str:
    """Return the training losses of all epochs, with all digits."""
    lines = (run / "curve.jsonl").read_text().splitlines()
    return " ".join(repr(json.loads(line)["train_loss"]) for line in lines)


def _score(record: Mapping[str, Any], metric: str) -> float:
    """Return the score of the test part."""
    (score,) = (
        row["score"]
        for row in record["metrics"]
        if (row["metric_id"], row["variant"], row["part"]) == (metric, None, TEST)
    )
    return float(score)


if __name__ == "__main__":
    main()

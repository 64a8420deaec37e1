"""Uno's model and baselines over several draws of a split, and how they rank on the sample.

Run, with the data of `uno_ccle` in the home, and store the tables for docs/results:

    python benchmarks/uno_draws.py --splits cell drug cell+drug --to results/uno/draws
    python benchmarks/uno_draws.py --splits row cell --no-network --to results/uno/ranking-real
    python benchmarks/uno_draws.py --splits row cell --no-network --to results/uno/ranking-sample
        --sample-set cells=474 --sample-set drugs=24

The test part of a stored split has few cell lines and fewer drugs, so a score depends on which they
are. A draw changes the salt of the split's hash: other cell lines and drugs are held out, by the
same rule; draws with too few drugs in a part are passed over. All models are fitted anew to each
draw. The settings are those of task.toml, which were chosen on the validation parts of the stored
splits.

A row has the mean over draws of the squared error of the test part, the least and the most, and the
paired difference from the default model: its mean with a 95 % interval (Student's t over draws).
Draws share cell lines and drugs, so the interval is somewhat too narrow.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

import sciml_data
from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split, members_digest
from sciml_data.bench.training import backend
from sciml_data.bench.training.loop import Training, train
from sciml_data.errors import SciMLDataError
from sciml_data.registry.layout import find_registry
from sciml_data.results.pages import write_script_table

Row: TypeAlias = list[float | str | None]
NETWORK = "pooled"
MIN_DRUGS, MAX_DRUGS = 4, 6  # of 24, as in the stored split `drug`
COLUMNS = ["split", "model", "squared error", "least", "most", "worse than ours by", "from", "to"]


def main() -> None:
    """Print a row for each split and model."""
    arguments = _arguments()
    registry = find_registry(None)
    rows: list[Row] = []
    data: dict[str, str] = {}
    for split in arguments.splits:
        loaded: Any = sciml_data.load_benchmark(
            "uno",
            split=split,
            variant=arguments.variant,
            dataset="uno_ccle",
            sample=bool(arguments.sample_set),
            sample_set=arguments.sample_set,
            settings=arguments.set,
        )
        source: Any = loaded.opened.source
        size = " (sample)" if arguments.sample_set else ""
        data[f"uno_ccle {source.version}{size}"] = source.manifest_digest
        scores: dict[str, list[float]] = {}
        settings = loaded.opened.problem.settings
        module: Any = load_runner(registry, "uno")
        stored = load_split(registry.runner("uno"), split)
        problems = fair_draws(partial(module.prepare, source.dataset), stored, settings)
        for draw, problem in islice(problems, arguments.draws):
            for name, score in scored(problem, with_network=not arguments.no_network):
                scores.setdefault(name, []).append(score)
                print(split, draw, name, f"{score:.5f}", flush=True)
        rows += table(split, scores)
    heading: Row = [*COLUMNS]
    for row in (heading, *rows):
        print("| " + " | ".join(f"{v:.5f}" if isinstance(v, float) else str(v) for v in row) + " |")
    if arguments.to:
        write_script_table(
            arguments.to,
            COLUMNS,
            rows,
            data=data,
            runner=registry.runner("uno"),
            remark=f"Means over {arguments.draws} draws of each split.",
        )


def redrawn(split: Split, draw: int) -> Split:
    """Return a split by the same rule that holds out other cell lines and drugs."""
    members = {
        part: {**rule, "salt": f"{rule['salt']}, draw {draw}"}
        for part, rule in split.members.items()
    }
    return replace(split, members=members, digest=members_digest(members))


def fair_draws(
    prepare: Callable[[Split, Any], Any], split: Split, settings: Any
) -> Iterator[tuple[int, Any]]:
    """Yield the number and the benchmark of each draw whose held out parts are large enough.

    The rule for new drugs is that of the stored split: validation and test have 4 to 6 drugs each.
    """
    for draw in count(1):
        try:
            problem = prepare(redrawn(split, draw), settings)
        except SciMLDataError:  # a part without a row
            continue
        held_out = [problem.division.parts[part] for part in ("validation", "test")]
        drugs = [len(np.unique(problem.responses.drugs[rows][:, 0])) for rows in held_out]
        if "drug" not in split.name or all(MIN_DRUGS <= number <= MAX_DRUGS for number in drugs):
            yield draw, problem


def scored(problem: Any, *, with_network: bool) -> Iterator[tuple[str, float]]:
    """Yield the name and the error of the test part of each baseline, and of the trained model."""
    for name, parts in problem.baselines().items():
        yield name, problem.score(parts["test"])["mse"]
    if with_network:
        strategy = backend.current().make_strategy("auto")
        trained = train(problem, Training(problem.settings, 0, strategy))
        yield NETWORK, problem.score(problem.predict(trained.model, "test"))["mse"]


def table(split: str, scores: Mapping[str, list[float]]) -> Iterator[Row]:
    """Yield a row for each model, the best first."""
    ours = np.array(scores.get(NETWORK, []))
    for name in sorted(scores, key=lambda name: float(np.mean(scores[name]))):
        errors = np.array(scores[name])
        row: Row = [split, name, float(errors.mean()), float(errors.min()), float(errors.max())]
        if not len(ours) or name == NETWORK:
            yield [*row, None, None, None]
            continue
        change = errors - ours
        half = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
        mean = float(change.mean())
        yield [*row, mean, mean - float(half), mean + float(half)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="auc", choices=["auc", "dose"])
    parser.add_argument("--splits", nargs="+", default=["cell", "drug", "cell+drug"])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--no-network", action="store_true", help="score the baselines alone")
    parser.add_argument("--sample-set", action="append", default=[], help="size of the sample")
    parser.add_argument("--set", action="append", default=[], help="a setting of the run")
    parser.add_argument("--to", type=Path, help="folder for the table, results/uno/NAME")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not arguments.no_network:
        backend.choose(None)
        backend.current().set_threads(1)
    return arguments


if __name__ == "__main__":
    main()

"""TEvolOp in another region: trained in Southern California, tested in Japan without refitting.

    sciml-data get tevolop_japan
    python benchmarks/quake_transfer.py --seeds 0,1,2

It trains `residual-lstm` on Southern California (split `temporal`: training to 2004, epoch and
blend chosen on 2005-2014) and forecasts the test part of `tevolop_japan` (split `temporal-japan`,
2005 to 2016). Beside it are the same model and the baselines that were trained on Japan (1963 to
1997). All are scored on the same pixels and dates. The table is results/tevolop/japan-transfer.

Taken from Southern California: weights of network and ridge regression, centre and scale of
features and targets, the numbers of the blend, and the climatology, which is the mean of all
training pixels. Taken from Japan: what had happened in and around a pixel up to the day of the
forecast, of which features and persistence are made. Nothing is fitted to Japan.

Both grids have 40 x 60 pixels (of 0.1 and of 0.5 degrees), so the fortnights of Japan are appended
to those of California as if they were later ones. No target and no feature of the scored part
reaches back over the joint: Japan's catalogue begins decades before its test part, and the longest
window of a feature is 20 years.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciml_data
from sciml_data.bench.interface import load_runner
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training import Training, backend, train
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.results.pages import write_script_table

REGISTRY = find_registry()
FOLDER = REGISTRY.runner("tevolop")
TASK = load_task(FOLDER)
RUNNER: Any = load_runner(REGISTRY, "tevolop")
DATA: Any = RUNNER.data
DATASETS = ("tevolop_socal", "tevolop_japan")
FLAVOURS = {"nnse_averaged": "averaged", "nnse_summed": "summed", "nnse_pooled": "pooled"}
LABELS = {
    "w1": "2 weeks",
    "w2": "4 weeks",
    "w4": "2 months",
    "w7": "3 months",
    "w13": "6 months",
    "w26": "1 year",
    "w52": "2 years",
    "w104": "4 years",
    "mean": "mean",
}
PART, AWAY = "test", "japan"


class Transfer(RUNNER.Tevolop):  # type: ignore[misc]
    """The problem of Southern California, with the test part of Japan as a further part."""

    grid: Any
    pixels: Any
    areas: dict[str, Any]
    observed: Any
    forecasts: dict[str, Any]
    task = TASK  # otherwise it is looked for beside this file

    def __init__(
        self, home: xr.Dataset, away: Any, split: Split, settings: Mapping[str, Any]
    ) -> None:
        """Prepare both regions.

        Args:
            home: catalogue of Southern California.
            away: problem of Japan.
            split: of Southern California.
            settings: of both.
        """
        self._away = away
        super().__init__(home, split, settings)

    def divide_samples(self, split: Split) -> None:
        """Append the fortnights of the other region, and its test part."""
        super().divide_samples(split)
        first, away = len(self.grid), self._away
        self.joint = first
        moved = replace(away.grid, start=away.grid.start - away.grid.start[0] + self.grid.end[-1])
        pixels = np.union1d(self.pixels, away.pixels)
        areas = {
            name: replace(area, has_pixel=np.isin(pixels, self.pixels[area.has_pixel]))
            for name, area in self.areas.items()
        }
        test = away.areas[PART]
        has_pixel = np.isin(pixels, away.pixels[test.has_pixel])
        areas[AWAY] = DATA.Part(has_pixel, first + test.first, first + test.stop)
        self.grid = type(moved)(
            **{
                field.name: getattr(self.grid, field.name)
                if field.name == "fault_group"
                else np.concatenate([getattr(grid, field.name) for grid in (self.grid, moved)])
                for field in fields(moved)
            }
        )
        self.pixels, self.areas = pixels, areas

    def fit(self) -> None:
        """Fit to California; a pixel of Japan has the mean of all pixels as its climatology."""
        super().fit()
        is_training = self.areas["train"].has_windows(len(self.grid))
        training = np.where(is_training, self.observed, np.nan)
        self.forecasts["climatology"][:, self.joint :] = np.nanmean(training, axis=(0, 1))


def main() -> None:
    """Score, print a row for each forecast and flavour, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--home", type=Path, help="of the datasets; by default the usual one")
    parser.add_argument("--mirror", action="append", default=[], help="for example file:DIR")
    parser.add_argument("--seeds", default="0,1,2", help="by commas")
    parser.add_argument("--to", type=Path, default=Path("results/tevolop/japan-transfer"))
    arguments = parser.parse_args()
    found = measure(arguments.home, arguments.mirror, [*map(int, arguments.seeds.split(","))])
    rows: list[list[float | str | None]] = [
        [name, word, *(median(seeds, f"{flavour}.{label}") for label in LABELS), spread]
        for flavour, word in FLAVOURS.items()
        for name, seeds in found.items()
        for spread in [least_to_most(seeds, f"{flavour}.mean")]
    ]
    columns = ["forecast", "flavour", *LABELS.values(), "mean, least to most"]
    print("|", " | ".join(columns), "|")
    for row in rows:
        print("|", " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row), "|")
    digests = {
        f"{name} 1.0": f"sha256:{manifest.digest}"
        for name in DATASETS
        if (manifest := load_descriptor(REGISTRY, name, "1.0").manifest)
    }
    seeds = arguments.seeds.split(",")
    said = (
        f"are the median of seeds {', '.join(seeds)}" if len(seeds) > 1 else f"have seed {seeds[0]}"
    )
    remark = f"NNSE of the test part of Japan; models {said}."
    write_script_table(arguments.to, columns, rows, data=digests, runner=FOLDER, remark=remark)


def measure(
    home: Path | None, mirrors: list[str], seeds: list[int]
) -> dict[str, list[Mapping[str, float]]]:
    """Return the scores of each forecast of Japan's test part: a mapping for each seed."""
    california, japan = (
        sciml_data.load(name, version="1.0", home=home, mirrors=mirrors) for name in DATASETS
    )
    settings = resolve_settings(TASK, model=TASK.default_model, split="temporal")
    own = RUNNER.prepare(japan, load_split(FOLDER, "temporal-japan"), settings)
    transfer = Transfer(california, own, load_split(FOLDER, "temporal"), settings)
    np.testing.assert_array_equal(
        own.scored_targets(PART).values, transfer.scored_targets(AWAY).values
    )
    rows: dict[str, list[Mapping[str, float]]] = {}
    for seed in seeds:
        for name, problem, part in (
            (f"{TASK.default_model} of California", transfer, AWAY),
            (f"{TASK.default_model} of Japan", own, PART),
        ):
            print(f"seed {seed}: {name}", flush=True)
            model = trained(problem, settings, seed)
            rows.setdefault(name, []).append(scores(own, problem.predict(model, part)))
    ridge = transfer.predictions_of(AWAY, transfer.forecasts["ridge"])
    rows["ridge of California"] = [scores(own, ridge)]
    baselines = own.baselines().items()
    named = {"ridge": "ridge of Japan", "climatology": "climatology of Japan"}
    return rows | {named.get(name, name): [scores(own, parts[PART])] for name, parts in baselines}


def trained(problem: Any, settings: Mapping[str, Any], seed: int) -> Any:
    """Return a model with the weights of the best epoch by validation."""
    used = backend.current()
    training = Training(settings, seed, used.make_strategy(), lower_is_better=False)
    return train(problem, training).model


def scores(problem: Any, predictions: Predictions) -> Mapping[str, float]:
    """Return the scores of forecasts of Japan's test part by metric key.

    Args:
        problem: of Japan, which knows the dates.
        predictions: of either problem.
    """
    dated = problem.predictions_of(PART, problem.observed)
    found: Mapping[str, float] = problem.score(replace(dated, predicted=predictions.predicted))
    return found


def median(seeds: list[Mapping[str, float]], key: str) -> float:
    """Return the median over seeds."""
    return statistics.median(found[key] for found in seeds)


def least_to_most(seeds: list[Mapping[str, float]], key: str) -> str:
    """Return the range over seeds, or nothing for a forecast without a seed."""
    values = [found[key] for found in seeds]
    return f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else ""


if __name__ == "__main__":
    main()

"""CloudMask's models and baselines, trained on the synthetic sample, on pixels of real scenes.

Run, with data from the public addresses or from a mirror beside the checkout:

    python benchmarks/cloudmask_transfer.py --mirror file:../shared/mirror RUN...

RUN are folders of finished runs (`sciml-data run cloudmask --sample --name NAME`): their networks
are scored. The baselines are fitted to the same sample: repeat the settings of its size with
`--sample-set`. `boosting, own channels` is the baseline `boosting`, fitted to the channels that the
instrument of the scene has: AATSR lacks S4 and S6, which the sample never does.

Real scenes are the two of `slstr_real_mini` by day. Scores are over valid pixels, by surface,
against the mask of each product, which is not the label that the models were trained on:

* accuracy, the share of pixels that agree;
* Kuiper skill, TPR + TNR - 1: the share of cloudy pixels called cloud, less the share of clear ones
  called cloud.

`summary`, a baseline of the benchmark, is that mask itself, so it is left out. The pixels of
`slstr_subset` are 50 km apart: a network that looks at neighbours sees an image that never was.

`--to results/cloudmask/transfer` stores the table for docs/results.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sciml_data
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.results.pages import write_script_table

DATASET = "slstr_real_mini"
SCENES = {"slstr_subset": "SLSTR, 13 March 2017", "aatsr": "AATSR, 4 May 2003"}
SURFACES = {"sea": 0, "land": 1}
FLAG_SUMMARY = 256
WEIGHTS = "checkpoint/best.weights.h5"
COLUMNS = ["scene", "surface", "pixels", "model", "share of cloud", "accuracy", "Kuiper skill"]
Row = Sequence[float | str | None]
Mask = Callable[[Any], npt.NDArray[Any]]


def main() -> None:
    """Print a row for each scene and surface, a column for each model."""
    arguments = _arguments()
    masks, loaded = sample_masks(arguments.home, arguments.sample_set)
    masks |= {Path(run).name: network(Path(run), loaded) for run in arguments.runs}
    rows: list[Row] = []
    for place, scene, surface in real_scenes(arguments.home, arguments.mirror):
        predicted = {name: mask(scene) >= 0.5 for name, mask in masks.items()}
        for word, number in SURFACES.items():
            chosen = scene.valid & (surface == number)
            truth = scene.cloud[chosen]
            for name, cloud in predicted.items():
                measured = (float(truth.mean()), *scores(truth, cloud[chosen]))
                rows.append([SCENES[place], word, str(len(truth)), name, *measured])
    for row in (COLUMNS, *rows):
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
        print("| " + " | ".join(cells) + " |")
    if arguments.to:
        store(arguments.to, rows, loaded, arguments.runs)


def store(folder: Path, rows: Sequence[Row], loaded: Any, runs: Sequence[str]) -> None:
    """Write the table for docs/results; see `write_script_table`."""
    registry = find_registry(None)
    real = load_descriptor(registry, DATASET, "1.0").manifest
    opened = loaded.opened
    data = {
        f"{opened.source.dataset_id} (sample)": opened.source.manifest_digest,
        f"{DATASET} 1.0": f"sha256:{real.digest}" if real else "",
    }
    names = f" Networks: {', '.join(Path(run).name for run in runs)}." if runs else ""
    remark = f"Fitted to {len(opened.problem.division.parts['train'])} scenes of the sample.{names}"
    write_script_table(
        folder, COLUMNS, rows, data=data, runner=registry.runner("cloudmask"), remark=remark
    )


def scores(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return accuracy and Kuiper skill of a mask; the skill is NaN where a class is absent.

    Args:
        truth: (pixel,) whether the product calls the pixel cloud.
        said: (pixel,) whether the model does.
    """
    accuracy = float((truth == said).mean())
    if truth.all() or not truth.any():
        return accuracy, float("nan")
    return accuracy, float(said[truth].mean() - said[~truth].mean())


def sample_masks(home: str | None, sample_set: Sequence[str]) -> tuple[dict[str, Mask], Any]:
    """Return baselines by name, and the benchmark on its sample.

    Args:
        home: folder of all data.
        sample_set: `KEY=VALUE` texts for the size of the sample.
    """
    loaded = sciml_data.load_benchmark("cloudmask", sample=True, sample_set=sample_set, home=home)
    problem: Any = loaded.opened.problem
    count = len(problem.division.parts["train"])
    print(f"fitted to {count} scenes, {len(problem.training_pixels[0])} pixels")
    scenes = runner("scenes").read_scenes(problem.scenes, problem.scored("train"))
    masks = dict(
        runner("baselines").fit_masks(scenes, *problem.training_pixels, problem.statistics)
    )
    del masks["summary"]
    return {**masks, "boosting, own channels": own_channels(*problem.training_pixels)}, loaded


def own_channels(pixels: npt.NDArray[Any], cloudy: npt.NDArray[np.bool_]) -> Mask:
    """Return the baseline `boosting`, fitted for each scene to the channels that it has.

    Args:
        pixels: (pixel, 9) channels of the sample, NaN where missing.
        cloudy: (pixel,) the label.
    """
    baselines = runner("baselines")
    stride = max(1, len(pixels) // baselines.MAX_PIXELS)

    def mask(scene: Any) -> npt.NDArray[Any]:
        has = np.isfinite(scene.channels).any(axis=(0, 1))
        fitted = baselines.fit_boosting(pixels[::stride, has], cloudy[::stride])
        return np.asarray(fitted(replace(scene, channels=scene.channels[..., has])))

    return mask


def network(run: Path, loaded: Any) -> Mask:
    """Return the network of a finished run, with its best weights."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    seeds, data = record["seeds"], record["dataset"]
    print(
        f"{run.name}: commit {record['code']['commit']}, data {data['id']} {data['version']}, "
        f"sample {data['sample_seed']} {data['sample_set']}, {data['manifest_digest']}, "
        f"seeds {seeds}"
    )
    settings: Mapping[str, Any] = record["settings"]
    model = runner("model").build_model(settings, loaded.opened.problem.statistics)
    model.load_weights(run / WEIGHTS)
    return lambda scene: runner("scenes").predict_scene(model, scene.channels, settings)


def real_scenes(
    home: str | None, mirrors: Sequence[str]
) -> Iterator[tuple[str, Any, npt.NDArray[np.uint8]]]:
    """Yield the name of each scene by day, the scene, and the surface of its pixels."""
    sciml_data.get_dataset(DATASET, mirrors=mirrors, home=home)
    sciml_data.convert_dataset(DATASET, home=home)
    for place in SCENES:
        ready = sciml_data.open_dataset(DATASET, split=place, home=home).isel(scene=0).load()
        channels = [ready["reflectance"].values, ready["brightness_temperature"].values]
        flags = ready["flags"].values
        scene = runner("scenes").Scene(
            channels=np.concatenate(channels, axis=-1),
            cloud=ready["cloud"].values == 1,
            valid=ready["valid"].values > 0,
            native=np.ones(flags.shape, bool),
            bayes=ready["bayes"].values,
            summary=(flags & FLAG_SUMMARY) > 0,
            row=ready["row"].values,
            column=ready["column"].values,
            granule=ready["granule"].item().decode(),
            time=ready["time"].values,
            light=int(ready["illumination"]),
        )
        yield place, scene, ready["surface"].values


def runner(module: str) -> Any:
    """Return a module of the benchmark's runner, which is loaded with the benchmark."""
    return importlib.import_module(f"sciml_runner_cloudmask.{module}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--mirror", action="append", default=[], help="as of sciml-data get")
    parser.add_argument("--home", help="folder of all data")
    parser.add_argument("--to", type=Path, help="folder of the stored table")
    parser.add_argument("--sample-set", action="append", default=[], help="size of the sample")
    return parser.parse_args()


if __name__ == "__main__":
    main()

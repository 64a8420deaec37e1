"""CloudMask's models and baselines, trained on the synthetic sample, on pixels of real scenes.

Run, with data from the public addresses or from a mirror beside the checkout:

    python benchmarks/cloudmask_transfer.py --mirror file:../shared/mirror RUN...

RUN are folders of finished runs (`sciml-data run cloudmask --sample --name NAME`): their networks
are scored. The baselines, and a pixel classifier that is no part of the benchmark (gradient
boosting of the nine channels, with missing ones as they are), are fitted to the same sample: repeat
the settings of its size with `--sample-set`.

Real scenes are the two of `slstr_real_mini` by day. Scores are over valid pixels, by surface,
against the mask of each product, which is not the label that the models were trained on:

* accuracy, the share of pixels that agree;
* Kuiper skill, TPR + TNR - 1: the share of cloudy pixels called cloud, less the share of clear ones
  called cloud.

`summary`, a baseline of the benchmark, is that mask itself, so it is left out. The pixels of
`slstr_subset` are 50 km apart: a network that looks at neighbours sees an image that never was.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sciml_data

DATASET = "slstr_real_mini"
SCENES = {"slstr_subset": "SLSTR, 13 March 2017", "aatsr": "AATSR, 4 May 2003"}
SURFACES = {"sea": 0, "land": 1}
FLAG_SUMMARY = 256
WEIGHTS = "checkpoint/best.weights.h5"
Mask = Callable[[Any], npt.NDArray[Any]]


def main() -> None:
    """Print a row for each scene and surface, a column for each model."""
    arguments = _arguments()
    masks, loaded = sample_masks(arguments.home, arguments.sample_set, arguments.seed)
    masks |= {Path(run).name: network(Path(run), loaded) for run in arguments.runs}
    print("| scene | surface | pixels | cloud | " + " | ".join(masks) + " |")
    print("|" + "---|" * (len(masks) + 4))
    for place, scene, surface in real_scenes(arguments.home, arguments.mirror):
        said = {name: mask(scene) >= 0.5 for name, mask in masks.items()}
        for word, number in SURFACES.items():
            chosen = scene.valid & (surface == number)
            truth = scene.cloud[chosen]
            cells = [
                f"{accuracy:.2f} / {skill:.2f}".replace("-0.00", "0.00")
                for accuracy, skill in (scores(truth, cloud[chosen]) for cloud in said.values())
            ]
            row = [SCENES[place], word, f"{len(truth):,}", f"{truth.mean():.2f}", *cells]
            print("| " + " | ".join(row) + " |")


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


def sample_masks(
    home: str | None, sample_set: Sequence[str], seed: int
) -> tuple[dict[str, Mask], Any]:
    """Return baselines and pixel classifier by name, and the benchmark on its sample.

    Args:
        home: folder of all data.
        sample_set: `KEY=VALUE` texts for the size of the sample.
        seed: of the pixel classifier.
    """
    loaded = sciml_data.load_benchmark("cloudmask", sample=True, sample_set=sample_set, home=home)
    problem: Any = loaded.opened.problem
    scenes = runner("scenes").read_scenes(problem.scenes, problem.scored("train"))
    masks = dict(
        runner("baselines").fit_masks(scenes, *problem.training_pixels, problem.statistics)
    )
    del masks["summary"]
    pixels, cloudy = problem.training_pixels
    return {**masks, "pixel classifier": pixel_classifier(pixels, cloudy, seed)}, loaded


def pixel_classifier(pixels: npt.NDArray[Any], cloudy: npt.NDArray[np.bool_], seed: int) -> Mask:
    """Return gradient boosting of the nine channels of a pixel, fitted to the sample.

    Args:
        pixels: (pixel, 9) channels, NaN where missing.
        cloudy: (pixel,) the label.
        seed: of the classifier.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=seed).fit(pixels, cloudy)

    def mask(scene: Any) -> npt.NDArray[Any]:
        channels = scene.channels.reshape(-1, pixels.shape[1])
        probability = model.predict_proba(channels)[:, 1]
        return np.asarray(probability.reshape(scene.cloud.shape))

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
    parser.add_argument("--sample-set", action="append", default=[], help="size of the sample")
    parser.add_argument("--seed", type=int, default=0, help="of the pixel classifier")
    return parser.parse_args()


if __name__ == "__main__":
    main()

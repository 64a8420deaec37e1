"""Features of STEMDL's patterns compared by folds of the training and validation parts.

    python benchmarks/stemdl_folds.py [--home DIR] [--repeats 2]

The materials of both parts are divided into eight folds, each with materials of every space group.
Features are harmonics over the angle (those of the baseline `polar_linear`) and scores of symmetry
(those of `head=symmetry`). Classifiers are logistic regression, ExtraTrees and the head itself. The
test part is not read. The table is written to
`results/stemdl_classification/choice-features/table.json`.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sciml_data
from sciml_data.registry import find_registry
from sciml_data.results.pages import write_script_table

BENCHMARK = "stemdl_classification"
FOLDS = 8
HARMONICS = 9  # orders 0 to 8, as in the baseline
VIEWS = 3
EPOCHS, BATCH = 60, 16  # of the head, as in a sample run
Values = NDArray[Any]
Classify = Callable[[Values, Values, Values], Values]  # features, classes, other features


def main() -> None:
    """Compare, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--repeats", type=int, default=2, help="draws of the folds")
    arguments = parser.parse_args()
    benchmark = sciml_data.load_benchmark(BENCHMARK, sample=True, home=arguments.home)
    parts = [benchmark.parts[part].load() for part in ("train", "validation")]
    patterns = np.concatenate([part["patterns"].values for part in parts])
    material = np.concatenate([part["material"].values.astype(str) for part in parts])
    groups = [part["probability"].values.argmax(axis=1) for part in parts]
    classes = np.unique(np.concatenate(groups), return_inverse=True)[1]
    symmetry = importlib.import_module(f"sciml_runner_{BENCHMARK}.symmetry")
    scores = np.asarray(symmetry.SymmetryScores()(patterns.astype(np.float32)))
    steps = np.asarray(symmetry.AboveThresholds()(scores))
    pooled = np.concatenate([scores.mean(axis=1), scores.min(axis=1), scores.max(axis=1)], axis=1)
    rows: list[list[float | str | None]] = []
    alternatives: dict[str, tuple[Values, Classify]] = {
        "harmonics, logistic regression of views": (_harmonics(patterns), _of_views),
        "symmetry, logistic regression of views": (scores, _of_views),
        "symmetry, ExtraTrees": (pooled, _trees),
        "symmetry above thresholds, linear head": (steps, _head),
    }
    for name, (features, classify) in alternatives.items():
        found = [
            _macro_f1(features, classes, material, classify, seed)
            for seed in range(arguments.repeats)
        ]
        rows.append([name, float(np.mean(found)), min(found), max(found)])
        print(*rows[-1], sep="  ")
    write_script_table(
        Path("results") / BENCHMARK / "choice-features",
        ["features and classifier", "macro-F1, folds", "least", "most"],
        rows,
        data={},
        runner=find_registry().runner(BENCHMARK),
        remark=f"Default synthetic sample of stemdl_cbed. {FOLDS} folds of the "
        f"{len(np.unique(material))} materials of training and validation, "
        f"{arguments.repeats} draws of the folds.",
    )


def _macro_f1(
    features: Values, classes: Values, material: Values, classify: Classify, seed: int
) -> float:
    """Return the macro-F1 over all folds together."""
    names, first = np.unique(material, return_index=True)
    fold = np.zeros(len(names), int)
    random = np.random.default_rng(seed)
    for group in np.unique(classes):
        own = random.permutation(np.flatnonzero(classes[first] == group))
        fold[own] = np.arange(len(own)) % FOLDS
    predicted = np.zeros_like(classes)
    for number in range(FOLDS):
        held_out = np.isin(material, names[fold == number])
        probability = classify(features[~held_out], classes[~held_out], features[held_out])
        predicted[held_out] = probability.argmax(axis=1)
    return float(f1_score(classes, predicted, average="macro"))


def _harmonics(patterns: Values) -> Values:
    """Return log absolute Fourier coefficients over the angle: (stack, view, feature)."""
    strength = np.abs(np.fft.rfft(np.moveaxis(patterns, -1, 1), axis=-1)[..., :HARMONICS])
    return np.log1p(strength).reshape(len(patterns), VIEWS, -1)


def _of_views(features: Values, classes: Values, others: Values) -> Values:
    """Return mean probabilities of the views by the regression of the baseline."""
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=200)
    model = make_pipeline(StandardScaler(), regression)
    model.fit(features.reshape(-1, features.shape[-1]), classes.repeat(VIEWS))
    probability = model.predict_proba(others.reshape(-1, others.shape[-1]))
    return np.asarray(probability.reshape(len(others), VIEWS, -1).mean(axis=1))


def _trees(features: Values, classes: Values, others: Values) -> Values:
    trees = ExtraTreesClassifier(
        300, min_samples_leaf=2, max_features=0.3, class_weight="balanced", random_state=0
    )
    return np.asarray(trees.fit(features, classes).predict_proba(others))


def _head(features: Values, classes: Values, others: Values) -> Values:
    """Return probabilities of the linear head after its last epoch.

    Training is that of a sample run: dropout, smoothed labels, AdamW with a cosine schedule, and a
    limit of 1 for the norm of gradients. Written out, because Keras takes minutes for 16 heads.
    """
    random = np.random.default_rng(0)
    count, decay = int(classes.max()) + 1, 1e-2
    targets = np.eye(count)[classes] * 0.9 + 0.1 / count
    weights = np.vstack([random.normal(0, 0.01, (features.shape[1], count)), np.zeros(count)])
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    batches = [slice(start, start + BATCH) for start in range(0, len(classes), BATCH)]
    order = np.arange(len(classes))
    for step in range(1, EPOCHS * len(batches) + 1):
        number = (step - 1) % len(batches)
        if number == 0:
            order = random.permutation(len(classes))
        chosen = order[batches[number]]
        kept = 2.0 * (random.random((len(chosen), features.shape[1])) < 0.5)
        inputs = np.hstack([features[chosen] * kept, np.ones((len(chosen), 1))])
        error = softmax(inputs @ weights, axis=1) - targets[chosen]
        gradient = inputs.T @ error / len(chosen)
        gradient /= max(1.0, float(np.linalg.norm(gradient)))
        rate = 0.5e-3 * (1 + np.cos(np.pi * step / (EPOCHS * len(batches))))
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        weights *= 1 - rate * decay
        scale = np.sqrt(second / (1 - 0.999**step)) + 1e-7
        weights -= rate * first / (1 - 0.9**step) / scale
    return np.asarray(softmax(others @ weights[:-1] + weights[-1], axis=1))


if __name__ == "__main__":
    main()

"""Metrics of a classifier over a whole part: F1 over a declared set of classes, top-k.

Each metric is computed from the arrays of a whole part, with scikit-learn's definitions. The one
exception is `batch_mean_f1`, an average over batches: a published number was computed in that way.
The registered metrics get `observed` with a 1 at each sample's class and `predicted` probabilities,
both (sample, class). Their options are coordinates: `labels` (class) merges classes, for example
space groups to crystal systems; `average` (sample) merges the samples of a unit, for example a
material, and their probabilities are averaged.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.metrics import metric
from sciml_data.errors import CallError, SciMLDataError

PUBLISHED_BATCH_SIZE = 32  # of the published mean over batches

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


def require_sklearn() -> None:
    """Check that scikit-learn is installed, before a run spends time on training.

    Raises:
        CallError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise CallError(
            "baselines and scores of classes need scikit-learn, which is not installed",
            untouched="nothing was trained",
            hint="pip install 'sciml-data[train]'",
        )


def mean_f1(y_true: Integers, y_pred: Integers, labels: Integers) -> float:
    """Return the mean F1 of these classes.

    The F1 of a class that is neither among the true nor among the predicted classes is 0.

    Args:
        y_true: (sample) true classes.
        y_pred: (sample) predicted classes.
        labels: (class) the classes to average over.
    """
    from sklearn import metrics

    return float(metrics.f1_score(y_true, y_pred, labels=labels, average="macro", zero_division=0))


def batch_mean_f1(y_true: Integers, y_pred: Integers, size: int = PUBLISHED_BATCH_SIZE) -> float:
    """Return the mean over batches of each batch's own macro-F1, as published figures have it.

    A batch's macro-F1 is over the true and the predicted classes of that batch (scikit-learn's
    default). Most classes are missing from most batches, so the result is not the macro-F1 of the
    part, and should not be compared with it.

    Args:
        y_true: (sample) true classes, in the order of the batches.
        y_pred: (sample) predicted classes.
        size: samples in a batch; the last batch may be smaller.
    """
    starts = range(0, len(y_true), size)
    batches = [(y_true[start : start + size], y_pred[start : start + size]) for start in starts]
    each = [
        mean_f1(batch_true, batch_pred, np.unique(np.concatenate([batch_true, batch_pred])))
        for batch_true, batch_pred in batches
    ]
    return float(np.mean(each))


def average_units(
    y_true: Integers, probabilities: Floats, units: npt.NDArray[Any]
) -> tuple[Integers, Doubles]:
    """Return the class of each unit, and the mean of its samples' probabilities.

    Samples of the same unit that have different true classes are treated as different units.

    Args:
        y_true: (sample) numbers of the true classes.
        probabilities: (sample, class) any float.
        units: (sample) the unit of each sample, any type.
    """
    pairs = np.stack([np.unique(units, return_inverse=True)[1], y_true])
    kinds, unit = np.unique(pairs, axis=1, return_inverse=True)
    unit = unit.ravel()
    sums = np.zeros((kinds.shape[1], probabilities.shape[1]))
    np.add.at(sums, unit, probabilities)
    return kinds[1], sums / np.bincount(unit)[:, None]


def true_and_predicted(
    observed: Floats,
    predicted: Floats,
    *,
    labels: Integers | None = None,
    average: Integers | None = None,
) -> tuple[Integers, Integers]:
    """Return the true and the most probable class of each sample, the lowest in a tie.

    Args:
        observed: (sample, class) 1 at the true class, 0 elsewhere.
        predicted: (sample, class) float, finite; rows need not add up to 1.
        labels: (class) the label of each class, a number; None numbers the classes from 0 on.
        average: (sample) the unit of each sample, any type: units are returned instead of samples,
            with the mean of their probabilities.

    Returns:
        (true labels, predicted labels), each (sample) or (unit).

    Raises:
        SciMLDataError: there is no sample.
    """
    if not len(observed):
        raise SciMLDataError("scoring classes: there is no sample")
    y_true = observed.argmax(axis=1)
    if average is not None:
        y_true, predicted = average_units(y_true, predicted, average)
    classes = np.arange(predicted.shape[1]) if labels is None else labels
    return np.asarray(classes[y_true]), np.asarray(classes[predicted.argmax(axis=1)])


@metric(
    "accuracy", name="accuracy", minimum=0.0, maximum=1.0,
    formula="share of samples whose most probable class is theirs",
)  # fmt: skip
def accuracy(
    observed: Floats, predicted: Floats, *, labels: Any = None, average: Any = None
) -> npt.NDArray[np.bool_]:
    """Return whether the most probable class is the true one; see `true_and_predicted`."""
    y_true, y_pred = true_and_predicted(observed, predicted, labels=labels, average=average)
    return np.asarray(y_true == y_pred)


@metric(
    "top_k", name="top-k accuracy", minimum=0.0, maximum=1.0,
    formula="share of samples whose class is among the k most probable classes; of equally "
    "probable classes, the lowest comes first, as for accuracy",
)  # fmt: skip
def top_k(observed: Floats, predicted: Floats, *, k: int) -> npt.NDArray[np.bool_]:
    """Return whether the true class is among the k most probable classes of each sample."""
    # The lowest class first in a tie, as `argmax` has it, so that top-1 is the accuracy.
    # scikit-learn's `top_k_accuracy_score` has the highest first.
    ranked = np.argsort(-predicted, axis=1, kind="stable")[:, :k]
    return np.asarray((ranked == observed.argmax(axis=1)[:, None]).any(axis=1))


@metric(
    "brier", name="Brier score", lower_is_better=True, minimum=0.0,
    formula="mean over samples of the sum over classes of (probability - 1 at the true class)^2",
)  # fmt: skip
def brier(observed: Floats, predicted: Floats) -> Doubles:
    """Return the squared distance of probabilities from the true class, of each sample."""
    return np.asarray(((predicted.astype(np.float64) - observed) ** 2).sum(axis=1))


@metric(
    "balanced_accuracy", name="balanced accuracy", minimum=0.0, maximum=1.0,
    formula="mean over the classes that have a sample of the share of its samples that are "
    "predicted as it",
)  # fmt: skip
def balanced_accuracy(observed: Floats, predicted: Floats) -> float:
    """Return the mean recall of the classes that have a sample."""
    from sklearn import metrics

    y_true, y_pred = true_and_predicted(observed, predicted)
    present = np.unique(y_true)
    return float(metrics.recall_score(y_true, y_pred, labels=present, average="macro"))


@metric(
    "macro_f1", name="F1, mean over classes", minimum=0.0, maximum=1.0,
    formula="mean of the classes' F1 = 2 TP / (2 TP + FP + FN) over classes that have a sample in "
    "the part; `declared`: over all classes of the training part, 0 for one without a sample",
)  # fmt: skip
def macro_f1(
    observed: Floats,
    predicted: Floats,
    *,
    labels: Any = None,
    average: Any = None,
    declared: npt.NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Return the mean F1 of the classes that have a sample, and of all declared classes.

    Args:
        observed: see `true_and_predicted`, as for the other arguments.
        predicted: see there.
        labels: see there.
        average: see there.
        declared: (class) whether the classifier was trained on a class. A class without a sample
            counts as 0 (scikit-learn's `zero_division=0`).
    """
    y_true, y_pred = true_and_predicted(observed, predicted, labels=labels, average=average)
    scores = {"macro_f1": mean_f1(y_true, y_pred, np.unique(y_true))}
    if declared is not None:
        classes = np.flatnonzero(declared) if labels is None else np.unique(labels[declared])
        scores["macro_f1.declared"] = mean_f1(y_true, y_pred, classes)
    return scores


@metric(
    "weighted_f1", name="F1, mean over classes by their samples", minimum=0.0, maximum=1.0,
    formula="mean of the classes' F1, each weighted by its samples in the part",
)  # fmt: skip
def weighted_f1(observed: Floats, predicted: Floats) -> float:
    """Return the mean F1 of the classes, weighted by their samples."""
    from sklearn import metrics

    y_true, y_pred = true_and_predicted(observed, predicted)
    present = np.unique(y_true)
    return float(
        metrics.f1_score(y_true, y_pred, labels=present, average="weighted", zero_division=0)
    )


@metric(
    "classes_scored", name="classes that have a sample", minimum=0.0,
    formula="classes that have a sample in the part; of the data, the same for every model",
)  # fmt: skip
def classes_scored(observed: Floats, predicted: Floats) -> float:
    """Return the number of classes that have a sample."""
    return float(len(np.unique(true_and_predicted(observed, predicted)[0])))


@metric(
    "f1_batch_mean", name="F1, mean over batches", minimum=0.0, maximum=1.0,
    formula="mean over batches of 32 samples, in the order of the dataset, of the macro-F1 over "
    "the classes that are in the batch or were predicted; not the macro-F1 of the part",
)  # fmt: skip
def f1_batch_mean(observed: Floats, predicted: Floats) -> float:
    """Return `batch_mean_f1` of batches of 32 samples."""
    return batch_mean_f1(*true_and_predicted(observed, predicted))


def class_rows(y_true: Integers, y_pred: Integers, labels: Integers) -> list[dict[str, Any]]:
    """Return a row for each label: precision, recall, F1, true samples and predicted samples.

    The key `said`, the number of samples that were predicted as the label, is the name of a column
    in the CSV files that runs write.

    Args:
        y_true: (sample) true classes.
        y_pred: (sample) predicted classes.
        labels: (label) the classes to report.
    """
    from sklearn import metrics

    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        y_true, y_pred, labels=labels, zero_division=0
    )
    return [
        {
            "label": int(label),
            "precision": float(precision[number]),
            "recall": float(recall[number]),
            "f1": float(f1[number]),
            "samples": int(support[number]),
            "said": int((y_pred == label).sum()),
        }
        for number, label in enumerate(labels)
    ]


def confusion(y_true: Integers, y_pred: Integers, labels: Integers) -> Integers:
    """Return the confusion matrix: (true label, predicted label) samples."""
    from sklearn import metrics

    return np.asarray(metrics.confusion_matrix(y_true, y_pred, labels=labels))

"""Metrics of a classifier over a whole part: F1 over a declared set of classes, top-k, intervals.

Each metric is computed from the arrays of a whole part, with scikit-learn's definitions. The one
exception is `batch_mean_f1`, an average over batches: a published number was computed in that way.
A class is an integer. Probabilities have one column for each label, in ascending order of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

RESAMPLES = 1000
# Resamples in one matrix product: large enough for BLAS, small enough for memory.
RESAMPLES_AT_ONCE = 100
INTERVAL = (2.5, 97.5)  # percentiles of the resampled scores: a 95 % interval
PUBLISHED_BATCH_SIZE = 32  # of the published mean over batches
TOP_K = 5

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassPredictions:
    """True labels and predicted probabilities.

    Attributes:
        y_true: (sample) the class of each sample, a member of `labels`.
        probabilities: (sample, label) float, finite; rows need not add up to 1.
        labels: (label) every class, ascending.
    """

    y_true: Integers
    probabilities: Floats
    labels: Integers

    def __post_init__(self) -> None:
        """Check that the arrays fit each other.

        Raises:
            CallError: shapes differ, labels are not ascending, or a class is not a label.
            SciMLDataError: there is no sample, or a probability is not finite.
        """
        if self.probabilities.shape != (len(self.y_true), len(self.labels)):
            raise CallError(
                f"scoring classes: probabilities have shape {self.probabilities.shape}, expected "
                f"{(len(self.y_true), len(self.labels))} for {len(self.y_true)} samples and "
                f"{len(self.labels)} labels"
            )
        if (np.diff(self.labels) <= 0).any():
            raise CallError("scoring classes: the labels are not in ascending order")
        if not len(self.y_true):
            raise SciMLDataError("scoring classes: there is no sample")
        if unknown := np.setdiff1d(self.y_true, self.labels).tolist():
            raise CallError(f"scoring classes: samples have classes {unknown}, which are no labels")
        if not np.isfinite(self.probabilities).all():
            raise SciMLDataError(
                "scoring classes: a probability is NaN or infinite",
                hint="a model that gives NaN has diverged: lower its learning rate",
            )

    @property
    def y_pred(self) -> Integers:
        """Return the most probable class of each sample, the lowest in a tie: (sample)."""
        return np.asarray(self.labels[self.probabilities.argmax(axis=1)])


def require_sklearn() -> None:
    """Check that scikit-learn is installed, before a run spends time on training.

    Raises:
        CallError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise CallError(
            "the scores of classes need scikit-learn, which is not installed",
            untouched="nothing was trained",
            hint="pip install 'sciml-data[train,stemdl]'",
        )


def scores(predictions: ClassPredictions, declared: Integers) -> dict[str, float]:
    """Return macro-F1 (over two sets of classes), weighted F1, top-1 and top-5 accuracy.

    `macro_f1` is the mean over the classes that have a sample in this part. `macro_f1.declared`
    is the mean over all declared classes; a class without a sample counts as 0 (scikit-learn's
    `zero_division=0`).

    Args:
        predictions: all samples of a part.
        declared: (class) the classes that the classifier was trained on.
    """
    from sklearn import metrics

    y_true, y_pred = predictions.y_true, predictions.y_pred
    present = np.unique(y_true)
    return {
        "macro_f1": macro_f1(y_true, y_pred, present),
        "macro_f1.declared": macro_f1(y_true, y_pred, declared),
        "weighted_f1": float(
            metrics.f1_score(y_true, y_pred, labels=present, average="weighted", zero_division=0)
        ),
        "top1": float(metrics.accuracy_score(y_true, y_pred)),
        "top5": _top_k_accuracy(predictions, TOP_K),
    }


def macro_f1(y_true: Integers, y_pred: Integers, labels: Integers) -> float:
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
        macro_f1(batch_true, batch_pred, np.unique(np.concatenate([batch_true, batch_pred])))
        for batch_true, batch_pred in batches
    ]
    return float(np.mean(each))


def average_units(predictions: ClassPredictions, units: npt.NDArray[Any]) -> ClassPredictions:
    """Return one sample for each unit, with the mean of its samples' probabilities.

    Samples of the same unit that have different true classes are treated as different units.

    Args:
        predictions: (sample) to average.
        units: (sample) the unit of each sample, any type.
    """
    pairs = np.stack([np.unique(units, return_inverse=True)[1], predictions.y_true])
    kinds, unit = np.unique(pairs, axis=1, return_inverse=True)
    unit = unit.ravel()
    sums = np.zeros((kinds.shape[1], len(predictions.labels)))
    np.add.at(sums, unit, predictions.probabilities)
    means = sums / np.bincount(unit)[:, None]
    return ClassPredictions(kinds[1], means, predictions.labels)


def intervals(
    y_true: Integers, y_pred: Integers, units: npt.NDArray[Any], *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of `macro_f1` and `top1` by a percentile bootstrap over units.

    Samples of a unit stay together, so ten patterns of the same crystal count as one observation.
    Each resample draws as many units as there are, with replacement; its macro-F1 is over the
    classes that it contains.

    Args:
        y_true: (sample) true classes.
        y_pred: (sample) predicted classes.
        units: (sample) the unit of each sample, any type.
        seed: of the resamples.

    Returns:
        Metric -> (low, high).
    """
    labels, columns = np.unique(np.stack([y_true, y_pred]), return_inverse=True)
    true_column, predicted_column = columns.reshape(2, -1)
    names, unit = np.unique(units, return_inverse=True)
    # Counts of each unit and class. F1 is a function of their sums, so a resample is a weighted
    # sum of rows, and many resamples are one matrix product.
    shape = (len(names), len(labels))
    true_counts, predicted_counts, hits = (np.zeros(shape, np.float32) for _ in range(3))
    is_hit = true_column == predicted_column
    np.add.at(true_counts, (unit, true_column), 1)
    np.add.at(predicted_counts, (unit, predicted_column), 1)
    np.add.at(hits, (unit[is_hit], true_column[is_hit]), 1)
    random, resampled = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // RESAMPLES_AT_ONCE):
        drawn = random.multinomial(
            len(names), np.full(len(names), 1 / len(names)), RESAMPLES_AT_ONCE
        )
        weights = drawn.astype(np.float32)
        support, called, right = (
            weights @ table for table in (true_counts, predicted_counts, hits)
        )
        has_any = support > 0
        f1 = np.where(has_any, 2 * right / np.maximum(support + called, 1), 0)
        macro = f1.sum(axis=1) / has_any.sum(axis=1)
        resampled.append((macro, right.sum(axis=1) / support.sum(axis=1)))
    both = [np.concatenate(values) for values in zip(*resampled, strict=True)]
    names_and_values = zip(("macro_f1", "top1"), both, strict=True)
    return {name: _interval(values) for name, values in names_and_values}


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


def _top_k_accuracy(predictions: ClassPredictions, k: int) -> float:
    """Return top-k accuracy: the share of samples with the true class among the k most probable."""
    from sklearn import metrics

    if k >= len(predictions.labels):
        return 1.0  # all classes are among the top k; scikit-learn warns about such a k
    return float(
        metrics.top_k_accuracy_score(
            predictions.y_true, predictions.probabilities, k=k, labels=predictions.labels
        )
    )


def _interval(values: Doubles) -> tuple[float, float]:
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)

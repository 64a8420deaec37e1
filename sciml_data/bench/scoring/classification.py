"""Scores of a classifier over a whole part: F1 over a declared set of classes, top-k, intervals.

Everything is computed from whole arrays, with scikit-learn's definitions; nothing is averaged over
batches but `batch_mean_f1`, which exists because a published number was computed so. A class is a
number; probabilities have a column for each label, in ascending order of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

RESAMPLES = 1000
AT_ONCE = 100  # resamples of one matrix product
INTERVAL = (2.5, 97.5)  # per cent of the resampled scores: a 95 % interval
BATCH = 32  # of the published mean of batches
TOP = 5

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What was so, and what was said of it.

    Attributes:
        truth: (sample) the class of each sample, one of `labels`.
        probabilities: (sample, label) float, finite; rows need not add up to one.
        labels: (label) every class, ascending.
    """

    truth: Integers
    probabilities: Floats
    labels: Integers

    def __post_init__(self) -> None:
        """Hold the arrays against each other.

        Raises:
            CallError: shapes differ, labels are not ascending, or a class is not among them.
            SciMLDataError: there is no sample, or a probability is not finite.
        """
        if self.probabilities.shape != (len(self.truth), len(self.labels)):
            raise CallError(
                f"scoring classes: probabilities have shape {self.probabilities.shape}; "
                f"{len(self.truth)} samples of {len(self.labels)} labels were expected"
            )
        if (np.diff(self.labels) <= 0).any():
            raise CallError("scoring classes: the labels are not in ascending order")
        if not len(self.truth):
            raise SciMLDataError("scoring classes: there is no sample")
        if unknown := np.setdiff1d(self.truth, self.labels).tolist():
            raise CallError(f"scoring classes: {unknown} is among the samples, not the labels")
        if not np.isfinite(self.probabilities).all():
            raise SciMLDataError(
                "scoring classes: not every probability is a finite number",
                hint="a model that gives NaN has diverged: lower its learning rate",
            )

    @property
    def said(self) -> Integers:
        """Return the most probable class of each sample, the first of several: (sample)."""
        return np.asarray(self.labels[self.probabilities.argmax(axis=1)])


def require_sklearn() -> None:
    """Raise where scikit-learn is not installed.

    Raises:
        CallError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise CallError(
            "scores of classes are scikit-learn's, which is not installed",
            untouched="nothing was trained",
            hint="pip install 'sciml-data[train,stemdl]'",
        )


def scores(judged: Judged, declared: Integers) -> dict[str, float]:
    """Return macro-F1 (two ways), weighted F1, top-1 and top-5.

    `macro_f1` is the mean over classes that have a sample here; `macro_f1.declared` that over all
    declared classes, where one without a sample counts 0 (scikit-learn's `zero_division=0`).

    Args:
        judged: all samples of a part.
        declared: classes that the classifier was told of.
    """
    from sklearn import metrics

    truth, said = judged.truth, judged.said
    present = np.unique(truth)
    return {
        "macro_f1": macro_f1(truth, said, present),
        "macro_f1.declared": macro_f1(truth, said, declared),
        "weighted_f1": float(
            metrics.f1_score(truth, said, labels=present, average="weighted", zero_division=0)
        ),
        "top1": float(metrics.accuracy_score(truth, said)),
        "top5": _top(judged, TOP),
    }


def macro_f1(truth: Integers, said: Integers, labels: Integers) -> float:
    """Return the mean of these classes' F1; 0 for one that neither is there nor was said."""
    from sklearn import metrics

    return float(metrics.f1_score(truth, said, labels=labels, average="macro", zero_division=0))


def batch_mean_f1(truth: Integers, said: Integers, size: int = BATCH) -> float:
    """Return the mean over batches of each batch's own macro-F1, as published figures were made.

    Classes of a batch are those that are in it or were said in it (scikit-learn's default). Most
    classes are missing from most batches, so this is not the macro-F1 of the whole.
    """
    starts = range(0, len(truth), size)
    pairs = [(truth[start : start + size], said[start : start + size]) for start in starts]
    found = [macro_f1(one, other, np.unique(np.concatenate([one, other]))) for one, other in pairs]
    return float(np.mean(found))


def aggregated(judged: Judged, units: npt.NDArray[Any]) -> Judged:
    """Return one sample for each unit: the mean of its samples' probabilities.

    Samples of one unit that are of different classes are different units.
    """
    pairs = np.stack([np.unique(units, return_inverse=True)[1], judged.truth])
    kinds, unit = np.unique(pairs, axis=1, return_inverse=True)
    unit = unit.ravel()
    sums = np.zeros((kinds.shape[1], len(judged.labels)))
    np.add.at(sums, unit, judged.probabilities)
    return Judged(kinds[1], sums / np.bincount(unit)[:, None], judged.labels)


def intervals(
    truth: Integers, said: Integers, units: npt.NDArray[Any], *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of `macro_f1` and `top1` from resampled units (percentile bootstrap).

    Samples of one unit stay together, so ten patterns of one crystal count as one observation.
    Each resample draws as many units as there are, and takes the mean F1 over the classes it has.

    Args:
        truth: (sample) classes.
        said: (sample) classes.
        units: (sample) what is drawn, any type.
        seed: of the resamples.
    """
    labels, columns = np.unique(np.stack([truth, said]), return_inverse=True)
    seen, called = columns.reshape(2, -1)
    names, unit = np.unique(units, return_inverse=True)
    shape = (len(names), len(labels))
    support, calls, hits = (np.zeros(shape, np.float32) for _ in range(3))
    np.add.at(support, (unit, seen), 1)
    np.add.at(calls, (unit, called), 1)
    np.add.at(hits, (unit[seen == called], seen[seen == called]), 1)
    random, found = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), AT_ONCE)
        weights = drawn.astype(np.float32)
        there, said_so, right = (weights @ table for table in (support, calls, hits))
        has_any = there > 0
        f1 = np.where(has_any, 2 * right / np.maximum(there + said_so, 1), 0)
        macro = f1.sum(axis=1) / has_any.sum(axis=1)
        found.append((macro, right.sum(axis=1) / there.sum(axis=1)))
    both = [np.concatenate(values) for values in zip(*found, strict=True)]
    return {name: _ends(values) for name, values in zip(("macro_f1", "top1"), both, strict=True)}


def class_rows(truth: Integers, said: Integers, labels: Integers) -> list[dict[str, Any]]:
    """Return for each label precision, recall, F1, its samples, and how often it was said."""
    from sklearn import metrics

    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, said, labels=labels, zero_division=0
    )
    return [
        {
            "label": int(label),
            "precision": float(precision[number]),
            "recall": float(recall[number]),
            "f1": float(f1[number]),
            "samples": int(support[number]),
            "said": int((said == label).sum()),
        }
        for number, label in enumerate(labels)
    ]


def confusion(truth: Integers, said: Integers, labels: Integers) -> Integers:
    """Return how many samples of each label (rows) were said to be of each (columns)."""
    from sklearn import metrics

    return np.asarray(metrics.confusion_matrix(truth, said, labels=labels))


def _top(judged: Judged, most: int) -> float:
    """Return the share of samples whose class is among the most probable so many."""
    from sklearn import metrics

    if most >= len(judged.labels):
        return 1.0  # whatever is said, the class is among them
    return float(
        metrics.top_k_accuracy_score(
            judged.truth, judged.probabilities, k=most, labels=judged.labels
        )
    )


def _ends(values: Doubles) -> tuple[float, float]:
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)

"""Scores of classes are those of their definitions, over whole parts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.scoring import classification
from sciml_data.errors import CallError, SciMLDataError

pytest.importorskip("sklearn")

LABELS = np.array([2, 14, 62, 225])


def one_hot(classes: Any, labels: Any = LABELS) -> Any:
    """Return (sample, label) with 1 at the class of each sample."""
    return (np.array(classes)[:, None] == labels).astype(float)


def f1_of(y_true: list[int], y_pred: list[int], **options: Any) -> dict[str, float]:
    return classification.macro_f1(one_hot(y_true), one_hot(y_pred), **options)


def test_macro_f1_counts_each_class_alike_however_rare() -> None:
    pair = one_hot([2] * 8 + [14] * 2), one_hot([2] * 10)

    assert classification.accuracy(*pair).mean() == 0.8
    assert classification.macro_f1(*pair)["macro_f1"] == pytest.approx(2 * 8 / 18 / 2)
    assert classification.weighted_f1(*pair) == pytest.approx(0.8 * 16 / 18)
    assert classification.balanced_accuracy(*pair) == pytest.approx(0.5)
    assert classification.classes_scored(*pair) == 2


def test_macro_f1_over_declared_classes_counts_those_without_a_sample_as_zero() -> None:
    scores = f1_of([2, 14], [2, 14], declared=np.ones(4, bool))

    assert scores == {"macro_f1": 1.0, "macro_f1.declared": 0.5}


def test_a_class_that_was_not_declared_counts_as_wrong() -> None:
    declared = np.array([True, True, False, False])

    scores = f1_of([2, 225], [2, 2], declared=declared)

    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert scores["macro_f1.declared"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_class_that_was_only_predicted_has_no_part_in_macro_f1() -> None:
    assert f1_of([2, 2], [2, 14])["macro_f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("number", [4, 5])
def test_of_five_classes_or_fewer_the_true_one_is_always_in_the_top5(number: int) -> None:
    labels = np.arange(number)

    assert classification.top_k(one_hot([0, 1], labels), one_hot([1, 2], labels), k=5).all()


def test_top5_looks_at_five_and_ties_do_not_count_for_it() -> None:
    labels = np.arange(10)
    pair = one_hot([5, 4, 9], labels), np.tile(np.arange(10.0), (3, 1))

    assert classification.top_k(*pair, k=5).mean() == pytest.approx(2 / 3)
    assert classification.accuracy(*pair).mean() == pytest.approx(1 / 3)


def test_top_k_is_that_of_scikit_learn_with_the_classes_in_reverse() -> None:
    from sklearn.metrics import top_k_accuracy_score

    random = np.random.default_rng(5)
    y_true, predicted = random.integers(0, 9, 300), random.integers(0, 4, (300, 9)) / 4
    # scikit-learn puts the highest of equally probable classes first.
    expected = top_k_accuracy_score(8 - y_true, predicted[:, ::-1], k=3, labels=np.arange(9))

    assert classification.top_k(one_hot(y_true, np.arange(9)), predicted, k=3).mean() == expected


def test_ties_are_broken_for_top_k_as_for_the_accuracy() -> None:
    random = np.random.default_rng(6)
    y_true, predicted = random.integers(0, 9, 300), random.integers(0, 3, (300, 9)) / 4
    pair = one_hot(y_true, np.arange(9)), predicted
    equal = one_hot(np.zeros(4, int), np.arange(9)), np.full((4, 9), 1 / 9)

    assert classification.top_k(*pair, k=1).tolist() == classification.accuracy(*pair).tolist()
    assert classification.top_k(*equal, k=5).all()
    ranked = [classification.top_k(*pair, k=k) for k in range(1, 10)]
    assert all((a <= b).all() for a, b in itertools.pairwise(ranked))


def test_classes_are_merged_by_labels() -> None:
    pair = one_hot([2, 14, 225]), one_hot([14, 62, 62])

    assert classification.accuracy(*pair, labels=np.array([0, 0, 1, 1])).tolist() == [1, 0, 1]


def test_the_brier_score_is_0_for_the_truth_and_2_for_the_opposite() -> None:
    assert classification.brier(one_hot([2, 2]), one_hot([2, 14])).tolist() == [0.0, 2.0]


def test_the_mean_of_batches_is_not_the_macro_f1_of_the_whole() -> None:
    random = np.random.default_rng(0)
    y_true = random.integers(0, 100, 3200)
    y_pred = np.where(random.random(3200) < 0.5, y_true, random.integers(0, 100, 3200))
    whole = classification.mean_f1(y_true, y_pred, np.arange(100))
    batches = classification.batch_mean_f1(y_true, y_pred)

    assert whole == pytest.approx(0.5, abs=0.03)
    assert batches < whole - 0.05
    assert classification.batch_mean_f1(y_true, y_pred, size=3200) == pytest.approx(whole)


def test_a_material_is_judged_by_the_mean_of_its_samples() -> None:
    probabilities = np.array([[0.6, 0.4, 0, 0], [0.1, 0.9, 0, 0], [1, 0, 0, 0]])
    units = np.array(["a", "a", "b"])

    y_true, y_pred = classification.true_and_predicted(
        one_hot([14, 14, 2]), probabilities, labels=LABELS, average=units
    )
    means = classification.average_units(np.array([1, 1, 0]), probabilities, units)[1]

    assert dict(zip(y_true.tolist(), y_pred.tolist(), strict=True)) == {14: 14, 2: 2}
    assert sorted(means[:, 0].tolist()) == pytest.approx([0.35, 1.0])


def test_rows_of_classes_are_precision_recall_f1_and_counts() -> None:
    rows = classification.class_rows(np.array([2, 2, 14]), np.array([2, 14, 14]), LABELS)

    assert rows[0] == pytest.approx(
        {"label": 2, "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "samples": 2, "said": 1}
    )
    assert rows[3]["samples"] == rows[3]["said"] == rows[3]["f1"] == 0


def test_a_confusion_has_the_truth_in_rows() -> None:
    table = classification.confusion(np.array([2, 2, 14]), np.array([2, 14, 14]), LABELS[:2])

    assert table.tolist() == [[1, 1], [0, 1]]


def test_a_confusion_has_a_row_for_a_label_that_does_not_occur() -> None:
    table = classification.confusion(np.array([14]), np.array([2]), LABELS)

    assert table.tolist() == [[0] * 4, [1, 0, 0, 0], [0] * 4, [0] * 4]


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    classification.require_sklearn()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(CallError, match="scikit-learn") as error:
        classification.require_sklearn()

    assert "sciml-data[train]" in str(error.value)


def test_without_a_sample_there_are_no_classes_to_score() -> None:
    with pytest.raises(SciMLDataError, match="no sample"):
        classification.accuracy(np.zeros((0, 4)), np.zeros((0, 4)))

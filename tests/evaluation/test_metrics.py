"""Every metric against scikit-learn on random rows: ties, weights, one class only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error

from mldlc.evaluation.metrics import binary, multiclass, regression
from mldlc.evaluation.task import Task

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(2, 300)


def weights(rng: np.random.Generator, rows: int, weighted: bool) -> np.ndarray | None:
    return rng.integers(1, 6, rows) * 0.5 if weighted else None


def measure(task: Task, label: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None):
    return task.measure(task.sample(np.arange(len(label)), label, prediction, weight))


@given(seeds, sizes, st.integers(2, 40), st.booleans(), st.sampled_from([0.5, 0.3, 0.75]))
@settings(max_examples=60, deadline=None)
def test_binary_equals_sklearn_with_ties(seed, rows, levels, weighted, threshold):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    label[:2] = [0, 1]
    probability = rng.integers(0, levels, rows) / levels
    weight = weights(rng, rows, weighted)
    found = measure(Task("binary", ("no", "yes"), threshold), label, probability, weight)
    called, w = (probability >= threshold).astype(int), {"sample_weight": weight}
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(label, probability, **w), abs=1e-12)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(label, probability, **w), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, called, **w))
    assert found["f1"] == pytest.approx(sk.f1_score(label, called, zero_division=0, **w))
    assert found["recall"] == pytest.approx(sk.recall_score(label, called, **w))
    if called.any():
        assert found["precision"] == pytest.approx(sk.precision_score(label, called, **w))
    else:
        assert found["precision"] is None
    assert found["brier"] == pytest.approx(sk.brier_score_loss(label, probability, **w))
    eps = np.finfo(np.float32).eps
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, np.clip(probability, eps, 1 - eps), **w))


@given(seeds, sizes)
@settings(max_examples=30, deadline=None)
def test_calibration_error_equals_torchmetrics(seed, rows):
    rng = np.random.default_rng(seed)
    label, probability = rng.integers(0, 2, rows), rng.random(rows)
    expected = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(label), n_bins=15, norm="l1")
    found = measure(Task("binary", ("no", "yes"), bins=15), label, probability, None)
    assert found["ece"] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_leaves_ranking_undefined(only):
    label, probability = np.full(10, only), np.linspace(0, 1, 10)
    found = measure(Task("binary", ("no", "yes")), label, probability, None)
    assert found["auroc"] is None
    assert found["accuracy"] == 0.5
    assert (found["average_precision"] is None) == (only == 0)
    assert (found["recall"] is None) == (only == 0)
    assert all(value is None or np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_no_rows_leave_everything_undefined(kind):
    task = Task(kind, {"binary": ("a", "b"), "multiclass": ("a", "b", "c")}.get(kind, ()))
    prediction = np.zeros((0, 3)) if kind == "multiclass" else np.zeros(0)
    found = measure(task, np.zeros(0), prediction, None)
    assert set(found) == set(task.better)
    assert set(found.values()) == {None}


@given(seeds, st.integers(12, 300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_multiclass_equals_sklearn(seed, rows, weighted):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, rows)
    label[:4] = np.arange(4)
    probability = rng.integers(1, 6, (rows, 4)).astype(float)
    probability /= probability.sum(1, keepdims=True)
    weight = weights(rng, rows, weighted)
    found = measure(Task("multiclass", ("a", "b", "c", "d")), label, probability, weight)
    called, w = probability.argmax(1), {"sample_weight": weight}
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, called, **w))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(label, called, average="macro", **w))
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, probability, labels=range(4), **w))
    expected = np.mean([sk.roc_auc_score(label == k, probability[:, k], **w) for k in range(4)])
    assert found["auroc"] == pytest.approx(expected)
    if not weighted:
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(label, probability, multi_class="ovr"))


@given(seeds, st.integers(3, 300), st.booleans())
@settings(max_examples=60, deadline=None)
def test_regression_equals_sklearn(seed, rows, weighted):
    rng = np.random.default_rng(seed)
    label = rng.integers(-20, 20, rows) * 0.5
    label[:2] = [1.0, 2.0]
    value = label + rng.normal(size=rows)
    weight = weights(rng, rows, weighted)
    found, w = measure(Task("regression"), label, value, weight), {"sample_weight": weight}
    assert found["r2"] == pytest.approx(sk.r2_score(label, value, **w))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(label, value, **w))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(label, value, **w))
    known = label != 0
    part = None if weight is None else weight[known]
    expected = sk.mean_absolute_percentage_error(label[known], value[known], sample_weight=part)
    assert found["mape"] == pytest.approx(expected)
    repeat = np.ones(rows, int) if weight is None else (weight * 2).astype(int)  # a weight is so many half rows
    assert found["median_ae"] == pytest.approx(sk.median_absolute_error(label.repeat(repeat), value.repeat(repeat)))
    assert found["pearson"] == pytest.approx(np.corrcoef(label.repeat(repeat), value.repeat(repeat))[0, 1])


def test_regression_of_equal_labels_has_no_r2():
    found = measure(Task("regression"), np.full(5, 0.1), np.arange(5.0), None)
    assert found["r2"] is None and found["pearson"] is None
    assert found["rmse"] is not None
    assert measure(Task("regression"), np.arange(5.0), np.full(5, 0.1), None)["pearson"] is None


@given(seeds, sizes, st.sampled_from(["f1", "youden"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_chosen_threshold_is_the_best_of_all(seed, rows, rule, weighted):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    label[:2] = [0, 1]
    probability = rng.integers(0, 30, rows) / 30
    weight = weights(rng, rows, weighted)
    sample = Task("binary", ("no", "yes")).sample(np.arange(rows), label, probability, weight)
    best = binary.best_threshold(sample.label, sample.prediction, sample.weight, rule)

    def score(threshold):
        called = probability >= threshold
        if rule == "f1":
            return sk.f1_score(label, called, sample_weight=weight, zero_division=0)
        return sk.balanced_accuracy_score(label, called, sample_weight=weight)

    assert score(best) == pytest.approx(max(score(t) for t in np.unique(probability)))


def test_unlabelled_rows_are_left_out():
    label = np.array([0.0, 1.0, np.nan, -1.0, 1.0])
    sample = Task("binary", ("no", "yes")).sample(np.arange(5), label, np.linspace(0, 1, 5))
    assert sorted(sample.rows.tolist()) == [0, 1, 4]
    assert len(Task("regression").sample(np.arange(5), label, label)) == 4


def test_macro_f1_ignores_classes_that_never_occur():
    probability = np.eye(3)[[0, 1, 0, 1]]
    assert multiclass.measure(np.array([0, 1, 0, 1]), probability, None)["macro_f1"] == 1.0
    assert regression.measure(np.zeros(2), np.zeros(2), None)["mape"] is None

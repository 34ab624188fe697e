"""Metrics of binary classification with optional row weights, from rows sorted once by descending probability."""

from __future__ import annotations

import numpy as np

from mldlc.evaluation.metrics.names import BINARY as BETTER
from mldlc.evaluation.metrics.ratio import ratio

_CLIP = float(np.finfo(np.float32).eps)  # probabilities come as float32: saturated ones must not cost infinity


def cumulative(
    label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and false positives (weighted) at every distinct threshold, and the last row of each; ties count as one.

    Rows must be sorted by descending probability. label: (n,) 0 or 1. Gives three arrays of shape (distinct,).
    """
    if not len(label):
        empty = np.zeros(0)
        return empty, empty, np.zeros(0, np.int64)
    last = np.append(np.flatnonzero(probability[1:] != probability[:-1]), len(probability) - 1)
    if weight is None:
        positive = np.cumsum(label, dtype=np.float64)[last]
        return positive, (last + 1) - positive, last
    positive = np.cumsum(weight * label)[last]
    return positive, np.cumsum(weight * (1 - label))[last], last


def auroc(true: np.ndarray, false: np.ndarray) -> float | None:
    """Area under the ROC curve by trapezoids over `cumulative`; None when only one class is there."""
    if not len(true) or true[-1] <= 0 or false[-1] <= 0:
        return None
    height = true - np.diff(true, prepend=0.0) / 2
    return float((np.diff(false, prepend=0.0) * height).sum() / (true[-1] * false[-1]))


def average_precision(true: np.ndarray, false: np.ndarray) -> float | None:
    """Sum over thresholds of (recall gained x precision), as scikit-learn defines it; None without positives."""
    if not len(true) or true[-1] <= 0:
        return None
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    return float((np.diff(true, prepend=0.0) * precision).sum() / true[-1])


def called_positive(probability: np.ndarray, threshold: float) -> int:
    """How many rows have a probability of at least the threshold; rows sorted by descending probability."""
    return len(probability) - int(np.searchsorted(probability[::-1], threshold, side="left"))


def measure(
    label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None, threshold: float, bins: int
) -> dict[str, float | None]:
    """Every metric of BETTER; None where it is undefined. Rows sorted by descending probability.

    label: (n,) int 0 or 1. probability: (n,) float64, P(class 1). weight: (n,) or None. A row is called positive from
    `threshold` on. bins: equal-width bins of the expected calibration error (Naeini et al., 2015).
    """
    true, false, _ = cumulative(label, probability, weight)
    if not len(label):
        return dict.fromkeys(BETTER)
    count = called_positive(probability, threshold)
    ones = label if weight is None else label * weight
    total = float(len(label)) if weight is None else float(weight.sum())
    hits, positives = float(ones[:count].sum()), float(ones.sum())
    called = float(count) if weight is None else float(weight[:count].sum())
    correct = hits + (total - called) - (positives - hits)
    given = np.where(label == 1, probability, 1 - probability)
    return {
        "auroc": auroc(true, false),
        "average_precision": average_precision(true, false),
        "accuracy": ratio(correct, total),
        "f1": ratio(2 * hits, called + positives),
        "precision": ratio(hits, called),
        "recall": ratio(hits, positives),
        "log_loss": ratio(-_total(np.log(np.clip(given, _CLIP, 1 - _CLIP)), weight), total),
        "brier": ratio(_total(np.square(1 - given), weight), total),
        "ece": ratio(float(np.abs(np.subtract(*calibration_sums(label, probability, weight, bins)[:2])).sum()), total),
    }


def calibration_sums(
    label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per equal-width bin of probability: summed probability, summed label, summed weight, rows; each (bins,)."""
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    rows = np.bincount(index, minlength=bins)
    if weight is None:
        ones = np.bincount(index, weights=label, minlength=bins)
        return np.bincount(index, weights=probability, minlength=bins), ones, rows.astype(np.float64), rows
    predicted = np.bincount(index, weights=probability * weight, minlength=bins)
    ones = np.bincount(index, weights=label * weight, minlength=bins)
    return predicted, ones, np.bincount(index, weights=weight, minlength=bins), rows


def best_threshold(label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None, rule: str) -> float | None:
    """The threshold with the highest F1 (`f1`) or TPR - FPR (`youden`); the highest such one on a tie.

    It lies halfway to the next lower probability, so that rounding it moves no row. None when one class is missing.
    """
    true, false, last = cumulative(label, probability, weight)
    if not len(true) or true[-1] <= 0 or false[-1] <= 0:
        return None
    score = 2 * true / (true + false + true[-1]) if rule == "f1" else true / true[-1] - false / false[-1]
    best = int(np.argmax(score))
    below = probability[last[best] + 1] if best + 1 < len(last) else 0.0
    return float((probability[last[best]] + below) / 2)


def _total(values: np.ndarray, weight: np.ndarray | None) -> float:
    return float(values.sum() if weight is None else (values * weight).sum())

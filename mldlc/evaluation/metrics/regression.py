"""Metrics of regression with optional row weights."""

from __future__ import annotations

import numpy as np

from mldlc.evaluation.metrics.names import REGRESSION as BETTER
from mldlc.evaluation.metrics.ratio import ratio


def measure(label: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> dict[str, float | None]:
    """Every metric of BETTER; None where it is undefined. label, value: (n,) float64; weight: (n,) or None.

    `mape` is over the rows whose label is not zero, as a fraction. `r2` and `pearson` need labels that differ.
    """
    if not len(label) or (weight is not None and weight.sum() <= 0):
        return dict.fromkeys(BETTER)
    error = value - label
    away = label - _mean(label, weight)
    squares, spread = _mean(error * error, weight), _mean(away * away, weight)
    absolute, known = np.abs(error), label != 0
    part = None if weight is None else weight[known]
    relative = absolute[known] / np.abs(label[known])
    varies = bool((label != label[0]).any())
    return {
        "r2": 1 - squares / spread if varies and spread > 0 else None,
        "rmse": float(np.sqrt(squares)),
        "mae": _mean(absolute, weight),
        "mape": _mean(relative, part) if len(relative) and (part is None or part.sum() > 0) else None,
        "median_ae": _median(absolute, weight),
        "pearson": _pearson(away, value, weight) if varies else None,
    }


def _mean(values: np.ndarray, weight: np.ndarray | None) -> float:
    return float(values.mean() if weight is None else (values * weight).sum() / weight.sum())


def _median(values: np.ndarray, weight: np.ndarray | None) -> float:
    """The value with half of the weight on either side; the mean of two where the halves meet exactly between them."""
    if weight is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    order = order[weight[order] > 0]
    running = np.cumsum(weight[order])
    half = running[-1] / 2
    low = int(np.searchsorted(running, half, side="left"))
    high = min(low + 1, len(order) - 1) if running[low] == half else low
    return float((values[order[low]] + values[order[high]]) / 2)


def _pearson(away: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float | None:
    """Correlation of centred labels with values; None when all values are equal."""
    if not (value != value[0]).any():
        return None
    y = value - _mean(value, weight)
    spread = np.sqrt(_mean(away * away, weight) * _mean(y * y, weight))
    found = ratio(_mean(away * y, weight), float(spread))
    return None if found is None else min(1.0, max(-1.0, found))

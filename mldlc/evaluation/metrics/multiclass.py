"""Metrics of classification with three or more classes, with optional row weights."""

from __future__ import annotations

import numpy as np

from mldlc.evaluation.metrics.binary import auroc, cumulative
from mldlc.evaluation.metrics.names import MULTICLASS as BETTER
from mldlc.evaluation.metrics.ratio import ratio

_CLIP = float(np.finfo(np.float32).eps)


def measure(label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None) -> dict[str, float | None]:
    """Every metric of BETTER; None where it is undefined.

    label: (n,) int class number. probability: (n, k) float64. weight: (n,) or None. `macro_f1` averages the classes
    that occur as label or prediction; `auroc` is one against the rest, averaged over classes with rows on both sides.
    """
    if not len(label):
        return dict.fromkeys(BETTER)
    counts = confusion(label, probability.argmax(1), weight, probability.shape[1])
    total = float(counts.sum())
    hits, seen = np.diag(counts), counts.sum(0) + counts.sum(1)
    given = np.log(np.clip(probability[np.arange(len(label)), label], _CLIP, 1.0))
    f1 = 2 * hits[seen > 0] / seen[seen > 0]
    return {
        "accuracy": ratio(float(hits.sum()), total),
        "macro_f1": float(f1.mean()) if len(f1) else None,
        "auroc": auroc_ovr(label, probability, weight),
        "log_loss": ratio(-float(given.sum() if weight is None else (given * weight).sum()), total),
    }


def confusion(label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None, classes: int) -> np.ndarray:
    """(k, k) float64: weight of the rows by true class (row) and predicted class (column)."""
    cells = np.bincount(label * classes + predicted, weights=weight, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.float64)


def auroc_ovr(label: np.ndarray, probability: np.ndarray, weight: np.ndarray | None) -> float | None:
    """Unweighted mean of the one-against-rest AUROC of each class that has rows on both sides; None without any."""
    areas = []
    for number in range(probability.shape[1]):
        order = np.argsort(-probability[:, number], kind="stable")
        one = (label[order] == number).astype(np.int64)
        true, false, _ = cumulative(one, probability[order, number], None if weight is None else weight[order])
        area = auroc(true, false)
        if area is not None:
            areas.append(area)
    return float(np.mean(areas)) if areas else None

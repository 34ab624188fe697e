"""What plots of a model are drawn from: ROC, precision-recall, calibration, confusion, residuals, thinned."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from mldlc.evaluation.metrics import binary, multiclass
from mldlc.evaluation.task import Sample, Task

_HISTOGRAM_BINS = 40
_QUANTILES = 50
_DECILES = 10


def curves(task: Task, sample: Sample, points: int) -> dict[str, Any]:
    """The curves of one part; {} for an empty one. points: at most so many a line."""
    if not len(sample):
        return {}
    match task.kind:
        case "binary":
            return _binary(task, sample, points)
        case "multiclass":
            return {"confusion": _confusion(task, sample)}
    return {"residuals": residuals(sample)}


def _binary(task: Task, sample: Sample, points: int) -> dict[str, Any]:
    label, probability, weight = sample.label, sample.prediction, sample.weight
    found: dict[str, Any] = {"confusion": _confusion(task, sample), "calibration": _calibration(task, sample)}
    true, false, _ = binary.cumulative(label, probability, weight)
    if true[-1] > 0 and false[-1] > 0:
        tpr, fpr = np.append(0.0, true / true[-1]), np.append(0.0, false / false[-1])
        keep = thinned(tpr + fpr, points)
        found["roc"] = np.column_stack([fpr[keep], tpr[keep]])
        called = true + false
        precision = np.divide(true, called, out=np.ones_like(true), where=called > 0)
        keep = thinned(tpr[1:], points)
        found["pr"] = np.column_stack([tpr[1:][keep], precision[keep]])
    return found


def thinned(along: np.ndarray, points: int) -> np.ndarray:
    """Positions of at most `points` points spread evenly over a non-decreasing measure, both ends among them."""
    if len(along) <= points:
        return np.arange(len(along))
    inner = np.searchsorted(along, np.linspace(along[0], along[-1], points)[1:-1])
    return np.unique(np.concatenate([[0], inner, [len(along) - 1]]))


def _calibration(task: Task, sample: Sample) -> list[dict[str, Any]]:
    sums = binary.calibration_sums(sample.label, sample.prediction, sample.weight, task.bins)
    return [
        {"bin": number, "mean_predicted": predicted / weight, "observed": ones / weight, "rows": int(rows)}
        for number, (predicted, ones, weight, rows) in enumerate(zip(*sums, strict=True))
        if weight > 0
    ]


def _confusion(task: Task, sample: Sample) -> dict[str, Any]:
    """Rows by true (row) and predicted (column) class; rows are counted, not weighed."""
    called = task.predicted_class(sample.prediction)
    cells = multiclass.confusion(sample.label, called, None, len(task.classes))
    return {"labels": list(task.classes), "matrix": cells.astype(np.int64)}


def residuals(sample: Sample) -> dict[str, Any]:
    """Residuals (label - prediction) of a regression.

    histogram: edges and rows per bin. qq: [normal quantile, standardised residual]. by_prediction: rows in equal
    tenths by prediction: mean prediction, mean label, mean residual and its root mean square.
    """
    error = sample.label - sample.prediction
    counts, edges = np.histogram(error, bins=_HISTOGRAM_BINS)
    spread = error.std()
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    normal = np.array([NormalDist().inv_cdf(share) for share in shares])
    standard = (np.quantile(error, shares) - error.mean()) / spread if spread > 0 else np.zeros(_QUANTILES)
    return {
        "histogram": {"edges": edges, "rows": counts},
        "qq": np.column_stack([normal, standard]),
        "by_prediction": by_decile(sample, error),
    }


def by_decile(sample: Sample, error: np.ndarray) -> list[dict[str, Any]]:
    """Tenths of the rows by ascending prediction, each with its mean prediction, mean label and error."""
    order = np.argsort(sample.prediction, kind="stable")
    return [
        {
            "decile": number + 1,
            "rows": len(rows),
            "mean_predicted": sample.prediction[rows].mean(),
            "mean_label": sample.label[rows].mean(),
            "mean_residual": error[rows].mean(),
            "rms_residual": np.sqrt(np.square(error[rows]).mean()),
        }
        for number, rows in enumerate(np.array_split(order, _DECILES))
        if len(rows)
    ]

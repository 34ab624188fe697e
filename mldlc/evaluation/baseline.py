"""The model that knows no input: class shares or the mean label of the training rows, as the least to beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mldlc.evaluation.task import Sample, Task


def constant(task: Task, train: Sample) -> np.ndarray:
    """What it predicts for every row: weighted mean label, shape (), or class shares, shape (k,)."""
    weight = np.ones(len(train)) if train.weight is None else train.weight
    if task.kind == "multiclass":
        return np.bincount(train.label, weights=weight, minlength=len(task.classes)) / weight.sum()
    return np.asarray((train.label * weight).sum() / weight.sum())


def baseline(task: Task, train: Sample, parts: dict[str, Sample]) -> dict[str, object]:
    """Metrics of the constant prediction on each part. A binary one calls the majority class, at threshold 0.5."""
    if not len(train):
        return {}
    value = constant(task, train)
    plain = replace(task, threshold=0.5)
    names = {"binary": "majority class", "multiclass": "majority class", "regression": "mean"}
    return {
        "kind": names[task.kind],
        "prediction": value,
        "parts": {
            name: plain.measure(replace(part, prediction=np.broadcast_to(value, (len(part), *value.shape))))
            for name, part in parts.items()
        },
    }

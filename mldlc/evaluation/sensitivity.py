"""Sensitivity: how the prediction moves when one input moves and all others stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from mldlc.evaluation.cuts import NULL, OTHER
from mldlc.evaluation.probe import Reference
from mldlc.evaluation.scoring import Study


def sensitivity(
    study: Study, rows: np.ndarray, typical: Reference, values: int, batch_size: int
) -> dict[str, list[dict[str, Any]]]:
    """numeric: change of prediction per +1 standard deviation; categorical: mean prediction when all rows take a value.

    A change of class probabilities is their total variation distance; then only the absolute change has a meaning.
    values: at most so many of the most frequent values of a categorical input are tried.
    """
    numeric, categorical = study.inputs(rows)
    before = study.predict(numeric, categorical, batch_size)
    return {
        "numeric": [
            _moved(study, name, column, float(typical.sd[column]), numeric, categorical, before, batch_size)
            for column, name in enumerate(study.numeric_names)
        ],
        "categorical": [
            _switched(study, item, column, values, numeric, categorical, before, batch_size)
            for column, item in enumerate(study.categorical_inputs)
        ],
    }


def _moved(
    study: Study, name: str, column: int, sd: float, numeric: np.ndarray, categorical: np.ndarray,
    before: np.ndarray, batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    changed = numeric.copy()
    changed[:, column] += np.float32(sd)
    return {"input": name, "sd": sd, **_change(study.predict(changed, categorical, batch_size), before)}


def _switched(
    study: Study, item: Any, column: int, values: int, numeric: np.ndarray, categorical: np.ndarray,
    before: np.ndarray, batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    counts = np.bincount(categorical[:, column], minlength=1)
    ranked = np.argsort(-counts, kind="stable")
    tried = []
    for code in ranked[counts[ranked] > 0][:values]:
        changed = categorical.copy()
        changed[:, column] = code
        after = study.predict(numeric, changed, batch_size)
        tried.append(
            {"value": value_name(item, int(code)), "rows": int(counts[code]), "mean_prediction": after.mean(0)}
            | _change(after, before)
        )
    means = np.array([one["mean_prediction"] for one in tried])
    return {"input": item["name"], "spread": float(np.ptp(means, axis=0).max()), "values": tried}


def value_name(item: Any, code: int) -> str:
    """The value that a code stands for, under the names that slices use for missing and rare ones."""
    value = item["values"][code]
    return {None: NULL, ":other": OTHER}.get(value, str(value))


def _change(after: np.ndarray, before: np.ndarray) -> dict[str, float | None]:
    if before.ndim == 2:
        return {"mean_change": None, "mean_absolute_change": float(np.abs(after - before).sum(1).mean() / 2)}
    return {
        "mean_change": float((after - before).mean()),
        "mean_absolute_change": float(np.abs(after - before).mean()),
    }

"""Fits the ops of one numeric register on its train values: fill, clip, log1p, scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.preprocessor_batch import log1p
from mldlc.data.moments import Moments


@dataclass(frozen=True)
class Rule:
    """How one register is treated: the numeric config with the column's overrides."""

    impute: str
    fill: float
    indicator: bool | str
    clip: Sequence[float] | None
    log1p: bool | str
    skew: float
    scale: str
    quantiles: int


@dataclass(frozen=True)
class Fitted:
    """Ops in order, the outputs they leave (the indicator too), and what the train part showed."""

    ops: list[dict[str, Any]]
    outputs: list[str]
    facts: dict[str, Any]


def fit_register(name: str, values: np.ndarray, rule: Rule) -> Fitted:
    """values: float64 train values, NaN where missing."""
    gaps = np.isnan(values)
    missing = int(gaps.sum())
    known = values[~gaps] if missing else values
    moments = Moments.of(known)
    fill = _fill(known, moments, rule)
    ops: list[dict[str, Any]] = []
    outputs = [name]
    if rule.indicator is True or (rule.indicator == "auto" and missing):
        ops.append({"op": "missing", "of": name, "out": f"{name}.missing"})
        outputs.append(f"{name}.missing")
    ops.append({"op": "fill", "of": name, "value": fill})
    whole = moments.merge(Moments(missing, fill, 0.0, fill, fill) if missing else Moments())
    if missing:
        values = np.where(gaps, fill, values)
    if rule.clip is not None and len(known):
        low, high = (float(v) for v in np.quantile(known, rule.clip))
        ops.append({"op": "clip", "of": name, "low": low, "high": high})
        values = np.clip(values, low, high)
        whole = Moments.of(values)
    if rule.log1p is True or (rule.log1p == "auto" and whole.low >= 0 and _skew(values, whole) > rule.skew):
        ops.append({"op": "log1p", "of": name})
        values = log1p(values)
        whole = Moments.of(values)
    ops += _scale(name, values, whole, rule)
    return Fitted(ops, outputs, {**moments.facts(), "missing": missing})


def _fill(known: np.ndarray, moments: Moments, rule: Rule) -> float:
    if rule.impute == "constant":
        return float(rule.fill)
    if not len(known):
        return 0.0
    if rule.impute == "mean":
        return moments.mean
    if rule.impute == "median":
        return float(pl.Series(known).median() or 0.0)  # a quickselect, several times faster than NumPy's
    distinct, counts = np.unique(known, return_counts=True)
    return float(distinct[np.argmax(counts)])


def _skew(values: np.ndarray, moments: Moments) -> float:
    std = moments.std
    return float(np.mean(((values - moments.mean) / std) ** 3)) if std > 0 else 0.0


def _scale(name: str, values: np.ndarray, moments: Moments, rule: Rule) -> list[dict[str, Any]]:
    if rule.scale == "none":
        return []
    if rule.scale == "quantile":
        xs, zs = _grid(values, rule.quantiles)
        if len(xs) > 1:
            return [{"op": "quantile", "of": name, "x": xs, "z": zs}]
        return [{"op": "scale", "of": name, "center": moments.mean, "scale": 1.0}]
    if rule.scale == "standard":
        center, width = moments.mean, moments.std
    elif rule.scale == "minmax":
        center, width = (moments.low, moments.high - moments.low) if moments.count else (0.0, 0.0)
    elif len(values):
        quarter, center, three = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
        width = three - quarter
    else:
        center, width = 0.0, 0.0
    tiny = 1e-12 * max(abs(center), 1e-300)  # a spread of rounding errors only is no spread
    return [
        {"op": "scale", "of": name, "center": center, "scale": width if math.isfinite(width) and width > tiny else 1.0}
    ]


def _grid(values: np.ndarray, points: int) -> tuple[list[float], list[float]]:
    """Points of the map rank -> standard normal; equal values take the mean of their scores."""
    if not len(values):
        return [0.0], [0.0]
    shares = np.linspace(0.0, 1.0, points)
    edge = 0.5 / points
    scores = np.array([NormalDist().inv_cdf(min(max(float(p), edge), 1 - edge)) for p in shares])
    at, inverse = np.unique(np.quantile(values, shares, method="inverted_cdf"), return_inverse=True)
    means = np.bincount(inverse, scores) / np.bincount(inverse)
    return [float(x) for x in at], [float(z) for z in means]

"""How far a column has moved from its reference profile, over the profile's own histogram or top values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.profile.observe import family_of
from mldlc.profile.ranks import between, run_lengths


def distances(reference: Mapping[str, Any], series: pl.Series) -> dict[str, float]:
    """{"psi", "ks"} between a column's summary in a reference profile and its values now; ks for numbers only.

    Nulls (and NaN) are a bin of their own; values outside the reference's range fall into two outer bins. Empty when
    the reference holds neither a histogram nor top values, or when the column has changed its family.
    """
    if family_of(series.dtype) != reference.get("family"):
        return {}
    missing = reference["nulls"] + reference["nans"]
    if "histogram" in reference:
        edges = np.array(reference["histogram"]["edges"])
        # A profile does not keep the sign of infinities: on both sides they count as below the range.
        then = np.array([reference["infs"], *reference["histogram"]["counts"], 0], dtype=np.float64)
        now = _binned(series, edges)
        nulls = len(series) - int(now.sum())
        return {"psi": psi(np.append(then, missing), np.append(now, nulls)), "ks": ks(then, now)}
    if reference.get("top"):
        names = [value for value, _ in reference["top"]]
        seen = dict(series.drop_nulls().value_counts().iter_rows())
        listed = [count for _, count in reference["top"]]
        then = np.array([*listed, max(0, reference["count"] - sum(listed)), missing], dtype=np.float64)
        counts = [seen.get(name, 0) for name in names]
        others = len(series) - series.null_count() - sum(counts)
        return {"psi": psi(then, np.array([*counts, others, series.null_count()], dtype=np.float64))}
    return {}


def _binned(series: pl.Series, edges: np.ndarray) -> np.ndarray:
    """Counts below, between and above the edges, shape (len(edges) + 1,); infinities fall below."""
    values = series.drop_nulls().cast(pl.Float64).drop_nans().to_numpy()
    finite, counts = run_lengths(np.sort(values[np.isfinite(values)]))
    inside = between(finite, counts, edges)
    below, above = int(counts[finite < edges[0]].sum()), int(counts[finite > edges[-1]].sum())
    infinite = len(values) - int(counts.sum())
    return np.array([below + infinite, *inside, above], dtype=np.float64)


def psi(then: np.ndarray, now: np.ndarray) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over bins; half a row is added to each bin (Jeffreys).

    0 when a side has no rows. It is the symmetrised Kullback-Leibler divergence (Jeffreys 1946).
    """
    if not then.sum() or not now.sum():
        return 0.0
    q = (then + 0.5) / (then.sum() + 0.5 * len(then))
    p = (now + 0.5) / (now.sum() + 0.5 * len(now))
    return float(((p - q) * np.log(p / q)).sum())


def ks(then: np.ndarray, now: np.ndarray) -> float:
    """Largest gap between two cumulative distributions at the bin edges: a lower bound of Kolmogorov-Smirnov's."""
    if not then.sum() or not now.sum():
        return 0.0
    return float(np.abs(np.cumsum(then) / then.sum() - np.cumsum(now) / now.sum()).max())

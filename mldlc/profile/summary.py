"""The JSON face of column states: what reports, expectations and monitors read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.profile.column import ColumnState, hll_of
from mldlc.profile.observe import Settings
from mldlc.profile.view import TYPES

FORMAT = "mldlc.profile/1"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def table_summary(
    rows: int, states: Sequence[ColumnState], roles: Mapping[str, str], settings: Settings, top: int
) -> dict[str, Any]:
    """{"rows", "columns": [...]} in table order."""
    columns = [column_summary(state, roles.get(state.name, "feature"), settings, top) for state in states]
    return {"rows": rows, "columns": columns}


def column_summary(state: ColumnState, role: str, settings: Settings, top: int) -> dict[str, Any]:
    """Facts of one column; null where a fact does not apply or is not finite.

    count: neither null nor NaN. mean, std, min, max, histogram: of finite values, exact. quantiles: exact up to 65,536
    distinct values, rank error below 0.001 above; so are the borders of the histogram of a large table in several
    partitions. distinct_exact: false when `distinct` is a sketch's estimate.
    top: counts are at most `top_error` too high.
    """
    distinct, exact = distinct_of(state, settings)
    numeric = state.family in ("integer", "float")
    measured = numeric or state.family == "boolean"
    facts: dict[str, Any] = {
        "name": state.name, "dtype": state.dtype, "role": role, "family": state.family,
        "count": state.values, "nulls": state.null, "nans": state.nan, "infs": state.plus_inf + state.minus_inf,
        "distinct": distinct, "distinct_exact": exact,
        "mean": finite(state.moments.mean) if measured and state.moments.n else None,
        "std": finite(state.moments.std) if measured and state.moments.n else None,
        "min": state.low, "max": state.high,
        "types": {TYPES.get(state.family, "object"): state.values} if state.values else {},
    }  # fmt: skip
    if measured and state.ranks is not None and state.ranks.n:
        facts["quantiles"] = {str(q): finite(state.ranks.quantile(q)) for q in QUANTILES}
    if numeric and state.edges is not None and state.hist is not None and len(state.edges):
        facts["histogram"] = {"edges": state.edges.tolist(), "counts": state.hist.tolist()}
    if state.items is not None:
        facts["top"] = [[named(state, value), count] for value, count in state.items.top(top)]
        facts["top_error"] = state.items.offset
    return facts


def distinct_of(state: ColumnState, settings: Settings) -> tuple[int | None, bool]:
    """Number of distinct values, and whether it is exact; None for families that are only counted."""
    if state.family in ("tensor", "object"):
        return None, False
    if state.items is not None and state.items.complete and not _cut(state):
        return state.items.frame.height, True
    if state.ranks is not None and state.ranks.exact:
        return len(state.ranks.values), True
    return round(hll_of(state, settings.hll_lg_k).get_estimate()), False


def _cut(state: ColumnState) -> bool:
    """Whether long texts were shortened, so that the counted items may stand for several values."""
    return state.family == "string" and state.hll is not None


def named(state: ColumnState, value: Any) -> Any:
    """An item as a JSON value of its column's kind."""
    if state.family == "boolean":
        return value == "True"
    return int(value) if state.family == "integer" else value


def finite(value: float) -> float | None:
    """A number that JSON can hold, or None."""
    return value if math.isfinite(value) else None

"""What is known of one column so far: exact counts and moments, order, heavy values, distinct values. Mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import whylogs_sketching as ds

from mldlc.profile import heavy, ranks

Family = Literal["boolean", "integer", "float", "string", "tensor", "object"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of the finite values."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def merge(self, other: Moments) -> Moments:
        """Moments of both (Chan, Golub, LeVeque 1979)."""
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        return Moments(n, mean, self.m2 + other.m2 + delta * delta * (self.n / n * other.n))

    @property
    def std(self) -> float:
        """Sample standard deviation; 0 for one value."""
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else 0.0


@dataclass(frozen=True)
class ColumnState:
    """One column over the rows seen.

    low, high: extremes of finite values (numbers), or of dates as ISO text. ranks: order of all non-NaN numbers.
    hist: counts between `edges`. first: text of the first value. hll: None while `items` holds every value.
    """

    name: str
    dtype: str
    family: Family
    n: int = 0
    null: int = 0
    nan: int = 0
    plus_inf: int = 0
    minus_inf: int = 0
    true: int = 0
    moments: Moments = Moments()
    low: Any = None
    high: Any = None
    ranks: ranks.Ranks | None = None
    edges: np.ndarray | None = None
    hist: np.ndarray | None = None
    items: heavy.Items | None = None
    first: str | None = None
    hll: ds.hll_sketch | None = None

    @property
    def values(self) -> int:
        """Rows that are neither null nor NaN."""
        return self.n - self.null - self.nan


def hll_of(state: ColumnState, lg_k: int) -> ds.hll_sketch:
    """The distinct-value sketch; built from the counted values when they are all known."""
    if state.hll is not None:
        return state.hll
    sketch = ds.hll_sketch(lg_k)
    if state.family == "boolean":
        present = [value for value, count in ((1, state.true), (0, state.values - state.true)) if count]
        if present:
            sketch.update_int_list(present)
    elif state.items is not None and state.items.frame.height:
        distinct = state.items.frame["value"].sort()
        if state.family == "string":
            sketch.update_str_list(distinct.to_list())
        else:
            sketch.update_np(as_int64(distinct.to_numpy()))
    return sketch


def as_int64(values: np.ndarray) -> np.ndarray:
    """Integers as int64; an unsigned value above its maximum keeps its 64 bits, so distinct values stay distinct."""
    return np.ascontiguousarray(values).view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)


def merge(left: ColumnState, right: ColumnState, lg_k: int) -> ColumnState:
    """State of both sets of rows (same column, same edges)."""
    counts = {
        field: getattr(left, field) + getattr(right, field)
        for field in ("n", "null", "nan", "plus_inf", "minus_inf", "true")
    }
    lows = [side.low for side in (left, right) if side.low is not None]
    highs = [side.high for side in (left, right) if side.high is not None]
    items = _both(left.items, right.items, heavy.merge)
    return replace(
        left,
        **counts,
        moments=left.moments.merge(right.moments),
        low=min(lows, default=None),
        high=max(highs, default=None),
        ranks=_both(left.ranks, right.ranks, ranks.merge),
        hist=_both(left.hist, right.hist, np.add),
        items=items,
        first=left.first if left.first is not None else right.first,
        hll=_merged_hll(left, right, items, lg_k),
    )


def _merged_hll(left: ColumnState, right: ColumnState, items: heavy.Items | None, lg_k: int) -> ds.hll_sketch | None:
    known = left.family == "boolean" or (items is not None and items.complete)
    if left.hll is None and right.hll is None and (known or (items is None and left.ranks is None)):
        return None
    union = ds.hll_union(lg_k)
    for side in (left, right):
        union.update(hll_of(side, lg_k))
    return union.get_result(ds.HLL_4)


def _both(left: Any, right: Any, join: Any) -> Any:
    if left is None or right is None:
        return left if right is None else right
    return join(left, right)

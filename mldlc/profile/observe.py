"""From one batch of a Polars column to a `ColumnState`. What each dtype becomes is decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import whylogs_sketching as ds

from mldlc.profile import heavy, ranks
from mldlc.profile.column import ColumnState, Family, Moments, as_int64
from mldlc.profile.histogram import edges_of

COUNTED_SPAN = 1 << 21  # integers within such a range are counted in an array


@dataclass(frozen=True)
class Settings:
    """What shapes the sketches: see the `profile` config."""

    kll_k: int = 1024
    hll_lg_k: int = 12
    items_lg: int = 10
    item_size: int = 128
    bins: int = 40


def family_of(dtype: pl.DataType) -> Family:
    """The family of a dtype. Dates, times, bytes, structs and Python objects are `object`: counted, not measured."""
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "string"
    if dtype in (pl.List, pl.Array):
        return "tensor"
    return "object"


def observe(series: pl.Series, extent: tuple[Any, Any], settings: Settings) -> ColumnState:
    """State of one batch. extent: lowest and highest finite value of the column over the whole table, or Nones."""
    family = family_of(series.dtype)
    null = len(series) if series.dtype == pl.Null else series.null_count()
    start = ColumnState(series.name, str(series.dtype), family, n=len(series), null=null)
    if family in ("boolean", "integer", "float", "string") and null:
        series = series.drop_nulls()
    match family:
        case "boolean":
            return _boolean(start, series)
        case "integer":
            return _integers(start, series, extent, settings)
        case "float":
            return _floats(start, series, extent, settings)
        case "string":
            return _strings(start, series, settings)
    if series.dtype.is_temporal() and series.dtype != pl.Duration and null < len(series):
        low, high = series.min(), series.max()
        return _with(start, low=low.isoformat(), high=high.isoformat())
    return start


def _with(state: ColumnState, **facts: Any) -> ColumnState:
    return ColumnState(**{**vars(state), **facts})


def _moments(values: pl.Series) -> Moments:
    """Moments of finite float64 values."""
    if not len(values):
        return Moments()
    mean, variance = values.mean(), values.var(ddof=0)
    return Moments(len(values), float(mean), float(variance) * len(values))  # type: ignore[arg-type]


def _boolean(start: ColumnState, series: pl.Series) -> ColumnState:
    true, n = int(series.sum() or 0), len(series)
    share = true / n if n else 0.0
    counts = [(value, count) for value, count in ((0.0, n - true), (1.0, true)) if count]
    state = ranks.Ranks(np.array([v for v, _ in counts]), np.array([c for _, c in counts], np.int64))
    frame = pl.DataFrame(
        {"value": ["False", "True"], "count": [n - true, true]}, schema={"value": pl.String, "count": pl.Int64}
    ).filter(pl.col("count") > 0)
    items = heavy.Items(heavy.ordered(frame))
    return _with(start, true=true, moments=Moments(n, share, n * share * (1 - share)), ranks=state, items=items)


def item_dtype(dtype: pl.DataType, extent: tuple[Any, Any]) -> Any:
    """What names an integer among the frequent items: the same for every batch of a table."""
    low, high = extent
    if low is None or (low >= -(2**63) and high < 2**63):
        return pl.Int64
    return pl.UInt64 if dtype == pl.UInt64 else pl.String


def _integers(start: ColumnState, series: pl.Series, extent: tuple[Any, Any], settings: Settings) -> ColumnState:
    edges, names = edges_of(*extent, settings.bins, integer=True), item_dtype(series.dtype, extent)
    if not len(series):
        empty = heavy.Items(pl.DataFrame(schema={"value": names, "count": pl.Int64}))
        return _with(start, ranks=ranks.EMPTY, edges=edges, hist=ranks.between(*_nothing(), edges), items=empty)
    low, high = int(series.min()), int(series.max())  # type: ignore[arg-type]
    floats = series.cast(pl.Float64)
    facts: dict[str, Any] = {
        "moments": _moments(floats), "low": low, "high": high, "first": str(series[0]), "edges": edges
    }  # fmt: skip
    counted = _count_all(series.cast(pl.Int64).to_numpy()) if names == pl.Int64 else None
    if counted is not None:
        values, counts = counted
        items = heavy.of_counts(pl.Series("value", values), counts)
        facts |= {"items": items, "hist": ranks.between(values, counts, edges)}
        facts |= {"ranks": ranks.of_counts(values.astype(np.float64), counts, abs(low) < 2**53 and abs(high) < 2**53)}
        facts["hll"] = None if items.complete else _hll(values, settings)
    else:
        facts |= _counted_by_hash(series, floats, names, extent, edges, settings)
    return _with(start, **facts)


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return ranks.EMPTY.values, ranks.EMPTY.weights


def _count_all(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Sorted distinct int64 values and their counts; None where most values lie too far apart to count in an array."""
    n = len(values)
    if n < ranks.SORT_BELOW:
        return np.unique(values, return_counts=True)
    middle = int(np.sort(values[:: n // 4096])[2048])
    first, last = max(middle - COUNTED_SPAN // 2, -(2**63)), min(middle + COUNTED_SPAN // 2, 2**63 - 1)
    near = (values >= first) & (values <= last)
    inside = int(near.sum())
    if n - inside > n // 4:
        return None
    dense = np.bincount((values if inside == n else values[near]) - first)
    present = np.flatnonzero(dense)
    distinct, counts = present + first, dense[present]
    if inside < n:
        far, far_counts = np.unique(values[~near], return_counts=True)
        distinct, counts = np.concatenate([distinct, far]), np.concatenate([counts, far_counts])
        order = np.argsort(distinct, kind="stable")
        distinct, counts = distinct[order], counts[order]
    return distinct, counts


def _counted_by_hash(
    series: pl.Series, floats: pl.Series, names: Any, extent: tuple[Any, Any], edges: np.ndarray, settings: Settings
) -> Mapping[str, Any]:
    """Facts of integers of a wide range, of which some may lie beyond int64 (UInt64, 128-bit)."""
    items = heavy.of_series(series.cast(names))
    summary, hist = ranks.of_floats(floats.to_numpy(), float(extent[0]), float(extent[1]), edges)
    lossless = abs(extent[0]) <= 2**53 and abs(extent[1]) <= 2**53
    bits = series.to_numpy() if series.dtype == pl.UInt64 else series.cast(pl.Int64, wrap_numerical=True).to_numpy()
    return {
        "items": items,
        "hist": hist,
        "hll": None if items.complete and names == pl.Int64 else _hll(as_int64(bits), settings),
        "ranks": ranks.Ranks(summary.values, summary.weights, summary.exact and lossless),
    }


def _hll(values: np.ndarray, settings: Settings) -> ds.hll_sketch:
    sketch = ds.hll_sketch(settings.hll_lg_k)
    if len(values):
        sketch.update_np(values)
    return sketch


def _floats(start: ColumnState, series: pl.Series, extent: tuple[Any, Any], settings: Settings) -> ColumnState:
    series = series.cast(pl.Float64)
    finite, nan, plus, minus = series, 0, 0, 0
    if len(series) and not np.isfinite(series.sum()):  # rare: look closer only when the sum says so
        nan = int(series.is_nan().sum())
        plus, minus = int((series == np.inf).sum()), int((series == -np.inf).sum())
        finite = series.filter(series.is_finite())
    edges = edges_of(*extent, settings.bins, integer=False)
    array = finite.to_numpy() + 0.0  # -0.0 becomes 0.0: one value, one byte pattern
    if len(array):
        summary, hist = ranks.of_floats(array, float(extent[0]), float(extent[1]), edges)
    else:
        summary, hist = ranks.EMPTY, ranks.between(*_nothing(), edges)
    for value, count in ((-np.inf, minus), (np.inf, plus)):
        if count:
            summary = ranks.merge(summary, ranks.Ranks(np.array([value]), np.array([count], np.int64)))
    facts: dict[str, Any] = {"nan": nan, "plus_inf": plus, "minus_inf": minus, "ranks": summary}
    facts |= {"edges": edges, "hist": hist, "moments": _moments(finite)}
    if len(array):
        facts |= {"low": float(array.min()), "high": float(array.max())}
    whole = array if nan + plus + minus == 0 else series.filter(~series.is_nan()).to_numpy() + 0.0
    return _with(start, hll=_hll(whole, settings), **facts)


def _strings(start: ColumnState, series: pl.Series, settings: Settings) -> ColumnState:
    series = series.cast(pl.String)
    if not len(series):
        return _with(start, items=heavy.Items(pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})))
    longest = series.str.len_bytes().max()
    cut = series.str.head(settings.item_size) if longest > settings.item_size else series  # type: ignore[operator]
    items = heavy.of_series(cut)
    facts: dict[str, Any] = {"items": items, "first": cut[0]}
    if not (items.complete and cut is series):
        sketch = ds.hll_sketch(settings.hll_lg_k)
        sketch.update_str_list(series.to_list())
        facts["hll"] = sketch
    return _with(start, **facts)

"""Cuts the rows of a table by the values of a column: one small code a row, and a name for every code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

OTHER = "(other)"
NULL = "(null)"


@dataclass(frozen=True)
class Cut:
    """One way to cut the rows. column: its name, or names joined by " & ". codes: (rows,) int32. values: of the codes.

    Every row has exactly one code, so the slices of a cut sum to the whole.
    """

    column: str
    codes: np.ndarray
    values: tuple[str, ...]


def cut(series: pl.Series, bins: int, max_values: int) -> Cut:
    """Cut by values; numbers and times of more than `bins` distinct values by quantiles."""
    if _ordered(series.dtype) and series.n_unique() > bins + 1:
        return _by_quantile(series, bins)
    return _by_value(series, max_values)


def _ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal()


def _by_value(series: pl.Series, max_values: int) -> Cut:
    """One code per value: the most frequent `max_values`, ties by name, then one for the others and one for null."""
    text = series.cast(pl.String).alias("value")
    counts = text.drop_nulls().value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    kept = counts["value"].head(max_values).to_list()
    names = [*kept, OTHER] if len(counts) > len(kept) else kept
    if text.null_count():
        names = [*names, NULL]
    codes = text.replace_strict(kept, list(range(len(kept))), default=len(kept), return_dtype=pl.Int32).to_numpy()
    if text.null_count():
        codes = np.where(text.is_null().to_numpy(), np.int32(len(names) - 1), codes)
    return Cut(series.name, codes.astype(np.int32, copy=False), tuple(names))


def _by_quantile(series: pl.Series, bins: int) -> Cut:
    """One code per half-open quantile interval [low, high), the last one closed; one more for null and NaN."""
    numbers = series.to_physical().cast(pl.Float64).to_numpy()
    known = np.isfinite(numbers)
    edges = _edges(numbers[known], bins)
    codes = np.searchsorted(edges[1:-1], numbers, side="right").astype(np.int32)
    shown = _edge_names(edges, series.dtype)
    names = [f"[{low}, {high})" for low, high in pairwise(shown[:-1])]
    names.append(f"[{shown[-2]}, {shown[-1]}]")
    if not known.all():
        codes[~known] = len(names)
        names.append(NULL)
    return Cut(series.name, codes, tuple(names))


def _edges(numbers: np.ndarray, bins: int) -> np.ndarray:
    """Quantiles; a value that fills several of them (the zeros of a sparse column) gets an interval of its own."""
    quantiles = np.quantile(numbers, np.linspace(0, 1, bins + 1), method="lower")
    edges, counts = np.unique(quantiles, return_counts=True)
    heavy = edges[counts > 1]
    if not len(heavy):
        return edges
    rest = numbers[~np.isin(numbers, heavy)]
    above = [rest[rest > value].min() for value in heavy if (rest > value).any()]
    thin = np.quantile(rest, np.linspace(0, 1, bins + 1), method="lower")[1:-1] if len(rest) else rest
    return np.unique(np.concatenate([edges, above, thin]))


def _edge_names(edges: np.ndarray, dtype: pl.DataType) -> list[str]:
    if dtype.is_temporal():
        return [str(value) for value in pl.Series(edges.astype(np.int64)).cast(dtype)]
    short = [f"{edge:.6g}" for edge in edges]
    return short if len(set(short)) == len(short) else [repr(float(edge)) for edge in edges]


def crossed(cuts: Sequence[Cut], max_values: int) -> Cut:
    """The cross of several cuts: the `max_values` most frequent combinations, the others as one slice."""
    codes = np.zeros(len(cuts[0].codes), dtype=np.int64)
    for one in cuts:
        codes = codes * len(one.values) + one.codes
    counts = np.bincount(codes)
    ranked = np.argsort(-counts, kind="stable")
    ranked = ranked[counts[ranked] > 0]
    kept = np.sort(ranked[:max_values])
    place = np.full(len(counts), len(kept), dtype=np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    names = [" & ".join(_parts(int(code), cuts)) for code in kept]
    if len(ranked) > len(kept):
        names.append(OTHER)
    return Cut(" & ".join(one.column for one in cuts), place[codes], tuple(names))


def _parts(code: int, cuts: Sequence[Cut]) -> list[str]:
    found = []
    for one in reversed(cuts):
        code, digit = divmod(code, len(one.values))
        found.append(one.values[digit])
    return found[::-1]

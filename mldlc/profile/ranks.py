"""A mergeable, deterministic summary of a numeric column's order: sorted values with integer weights.

Exact up to LIMIT distinct values; above, a compression moves a rank by at most n / (2 LIMIT).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ToBins = Callable[[np.ndarray], np.ndarray]
Mapping = Callable[[float, float], ToBins | None]

LIMIT = 1 << 16
FINE_BINS = 1 << 18
SORT_BELOW = 1 << 17  # rows under which sorting is faster than binning


@dataclass(frozen=True)
class Ranks:
    """values: float64, sorted, distinct, without NaN. weights: int64 > 0. exact: no value stands for another."""

    values: np.ndarray
    weights: np.ndarray
    exact: bool = True

    @property
    def n(self) -> int:
        """Number of values summarised."""
        return int(self.weights.sum())

    def quantile(self, q: float) -> float:
        """The smallest value whose cumulated share reaches q, 0 <= q <= 1 (numpy's `inverted_cdf`)."""
        ends = np.cumsum(self.weights)
        rank = max(0, int(np.ceil(q * int(ends[-1]))) - 1)
        return float(self.values[np.searchsorted(ends, rank, side="right")])


EMPTY = Ranks(np.empty(0), np.empty(0, np.int64))


def of_counts(values: np.ndarray, counts: np.ndarray, exact: bool = True, limit: int = LIMIT) -> Ranks:
    """From sorted distinct values and their counts; compressed where there are more than `limit`."""
    if len(values) <= limit:
        return Ranks(values, counts, exact)
    ends = np.cumsum(counts)
    n = int(ends[-1])
    borders = np.arange(limit + 1, dtype=np.int64) * n // limit
    middles = (borders[:-1] + borders[1:]) // 2
    place = np.searchsorted(ends, middles, side="right")
    place[0], place[-1] = 0, len(values) - 1  # keep the extremes
    kept, starts = np.unique(place, return_index=True)
    return Ranks(values[kept], np.add.reduceat(np.diff(borders), starts), False)


def of_sorted(values: np.ndarray) -> Ranks:
    """From a sorted float64 array, shape (n,)."""
    return of_counts(*run_lengths(values))


def run_lengths(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values of a sorted array and how often each occurs (int64)."""
    if not len(values):
        return values, np.empty(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return values[starts], np.diff(np.append(starts, len(values)))


def merge(left: Ranks, right: Ranks) -> Ranks:
    """Summary of both; rank errors in rows add up."""
    if not len(left.values) or not len(right.values):
        return left if len(left.values) else right
    values, weights = _sorted(
        np.concatenate([left.values, right.values]), np.concatenate([left.weights, right.weights])
    )
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return of_counts(values[starts], np.add.reduceat(weights, starts), left.exact and right.exact)


def of_floats(values: np.ndarray, low: float, high: float, edges: np.ndarray) -> tuple[Ranks, np.ndarray]:
    """Summary of finite values within [low, high], and exact counts between `edges` ([a, b), the last one closed).

    Many rows go through fine bins instead of a sort: a bin is stood for by one of its members, unless it is heavier
    than n / 4096 or holds an edge; then its members are looked at again. A rank moves by at most n / 2048.
    """
    distinct, counts, exact = _fine(values, low, high, edges, len(values) >> 12, [_linear, _by_bits])
    return of_counts(distinct, counts, exact), between(distinct, counts, edges)


def _fine(
    values: np.ndarray, low: float, high: float, edges: np.ndarray, heavy: int, mappings: list[Mapping]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Sorted values, their weights, and whether all of them are exact. mappings: how to bin, tried in turn."""
    to_bins = mappings[0](low, high) if mappings and len(values) >= SORT_BELOW else None
    if to_bins is None:
        return *run_lengths(np.sort(values)), True
    bins = to_bins(values)
    counts = np.bincount(bins, minlength=FINE_BINS)
    member = np.empty(FINE_BINS)
    member[bins] = values
    again = counts > heavy
    again[to_bins(np.clip(edges, low, high))] = True
    pure = counts == 1
    if int(counts[again].sum()) > len(values) >> 4:  # perhaps few distinct values, each alone in its bin
        pure = counts > 0
        pure[bins[values != member[bins]]] = False
        again &= ~pure
    rest, rest_counts, exact = _fine(values[again[bins]], low, high, edges, heavy, mappings[1:])
    light = np.flatnonzero((counts > 0) & ~again)
    distinct, weights = _sorted(np.concatenate([member[light], rest]), np.concatenate([counts[light], rest_counts]))
    return distinct, weights, exact and bool(pure[light].all())


def _linear(low: float, high: float) -> ToBins | None:
    """Bins of equal width. Rounding keeps the order of values, so bins are ordered as values are."""
    scale = (FINE_BINS - 1) / (high - low) if 0 < high - low < np.inf else np.inf
    if not np.isfinite(scale):
        return None
    return lambda values: ((values - low) * scale).astype(np.int32)


def _by_bits(low: float, high: float) -> ToBins | None:
    """Bins of equal width in the ordered bit patterns of float64, nearly in the logarithm: for skewed values."""
    first, last = (int(_ordered_bits(np.array([end]))[0]) for end in (low, high))
    shift = max(0, (last - first).bit_length() - FINE_BINS.bit_length() + 1)
    return lambda values: ((_ordered_bits(values) - np.uint64(first)) >> np.uint64(shift)).astype(np.int32)


def _ordered_bits(values: np.ndarray) -> np.ndarray:
    """uint64 in the order of the float64 values (-0.0 must be 0.0)."""
    bits = np.ascontiguousarray(values).view(np.int64)
    mask = (bits >> 63).view(np.uint64) | np.uint64(1 << 63)  # all bits of a negative number, the sign of others
    return bits.view(np.uint64) ^ mask


def _sorted(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def between(values: np.ndarray, counts: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts of sorted values between edges: [a, b) each, the last one closed; shape (len(edges) - 1,)."""
    if len(edges) < 2:
        return np.empty(0, np.int64)
    ends = np.concatenate([[0], np.cumsum(counts)])
    cuts = np.searchsorted(values, edges, side="left")
    cuts[-1] = np.searchsorted(values, edges[-1], side="right")
    return np.diff(ends[cuts])

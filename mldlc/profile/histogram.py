"""Histogram edges that depend on the range and kind of a column only, so parts of one table share them."""

from __future__ import annotations

import numpy as np


def edges_of(low: float | int | None, high: float | int | None, bins: int, *, integer: bool) -> np.ndarray:
    """Edges (float64, ascending) of at most `bins` equal bins over [low, high]; empty without a range.

    Integers get bins of whole width with borders half-way between values, so that each bin holds equally many
    integers. A single float value gets the one bin [low, low]; [a, b) otherwise, the last bin closed.
    """
    if low is None or high is None:
        return np.empty(0)
    if integer and abs(low) < 2**52 and abs(high) < 2**52:
        width = -(-(int(high) - int(low) + 1) // bins)
        count = -(-(int(high) - int(low) + 1) // width)
        return int(low) - 0.5 + width * np.arange(count + 1, dtype=np.float64)
    if low == high:
        return np.array([low, high], dtype=np.float64)
    # Weighted ends instead of low + step * i: the span of a column may be more than a float can hold.
    share = np.arange(bins + 1, dtype=np.float64) / bins
    return np.unique(float(low) * (1 - share) + float(high) * share)

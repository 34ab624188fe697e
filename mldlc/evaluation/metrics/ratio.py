"""Division that knows when a metric is undefined."""

from __future__ import annotations


def ratio(value: float, total: float) -> float | None:
    """value / total, or None where the total is not positive: an undefined metric, never NaN."""
    return float(value / total) if total > 0 else None

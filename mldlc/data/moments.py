"""Mergeable moments of a column: what increments need to go on fitting without the old rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

BLOCK = 1 << 14


@dataclass(frozen=True)
class Moments:
    """Number of values, mean, sum of squared deviations, least and greatest (nan when there is no value)."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Moments of float64 values without NaN; two passes (no BLAS, whose sums depend on its threads)."""
        if not len(values):
            return cls()
        mean = float(np.add.reduce(values)) / len(values)
        m2 = 0.0
        for start in range(0, len(values), BLOCK):
            deviation = values[start : start + BLOCK] - mean
            deviation *= deviation
            m2 += float(np.add.reduce(deviation))
        return cls(len(values), mean, m2, float(values.min()), float(values.max()))

    def merge(self, other: Moments) -> Moments:
        """Moments of both together (Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance")."""
        if not self.count or not other.count:
            return self if self.count else other
        count, delta = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + delta * other.count / count,
            self.m2 + other.m2 + delta * delta * self.count * other.count / count,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.m2 / self.count) if self.count else 0.0

    def facts(self) -> dict[str, float | int]:
        """As JSON values; no bounds where there is no value."""
        return {name: value for name, value in asdict(self).items() if not math.isnan(value)}

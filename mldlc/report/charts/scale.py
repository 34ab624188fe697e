"""Linear scales and round tick values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """Maps the data interval [low, high] onto the pixels [start, end]; an interval of no width maps to the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values (1, 2 or 5 times a power of ten apart) inside [low, high], ascending."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if raw <= factor * power * (1 + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(i * step, decimals) + 0.0 for i in range(first, last + 1)]


def extent(values: Iterable[float], pad: float = 0.0) -> tuple[float, float]:
    """Smallest and largest finite value, widened on both sides by `pad` of the width; (0, 1) when there is none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = (high - low) * pad or ((abs(low) or 1.0) if high == low else 0.0)
    return low - margin, high + margin


def tick_text(value: float) -> str:
    """A tick's label: "0.5", "20k", "1.5M", "1e−5"."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e12):
        mantissa, _, power = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}".replace("-", "−")
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= 10 * factor or (size >= factor and factor > 1e3):
            return f"{value / factor:g}{unit}".replace("-", "−")
    return f"{value:,.6g}".replace("-", "−") if size >= 1e3 else f"{value:.6g}".replace("-", "−")

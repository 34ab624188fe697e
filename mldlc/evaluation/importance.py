"""How much of a metric's variance over the points of a sweep each swept key explains by itself.

The first-order effect of functional ANOVA on the points that are there (eta squared): the variance of the mean metric
per value of the key, weighted by the points that have it, over the variance of the metric. On a full grid the shares of
all keys and of their interactions sum to 1. A key with many numbers is cut into bins of equal count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BINS = 8  # of a number that takes more values than this and hardly repeats any: else every point explains itself


def importance(points: Sequence[tuple[Mapping[str, str], float | None]]) -> list[dict[str, Any]]:
    """[{key, share, values: [{value, mean, points}]}], the greatest share first. Undefined metrics are left out."""
    known = [(overrides, value) for overrides, value in points if value is not None]
    keys = sorted({key for overrides, _ in known for key in overrides})
    if len(known) < 2 or not keys:
        return []
    mean = sum(value for _, value in known) / len(known)
    total = sum((value - mean) ** 2 for _, value in known)
    found = []
    for key in keys:
        groups: dict[str, list[float]] = {}
        for name, (_, value) in zip(binned([overrides.get(key, "") for overrides, _ in known]), known, strict=True):
            groups.setdefault(name, []).append(value)
        between = sum(len(values) * (sum(values) / len(values) - mean) ** 2 for values in groups.values())
        rows = [{"value": n or "as configured", "mean": sum(v) / len(v), "points": len(v)} for n, v in groups.items()]
        found.append({"key": key, "share": between / total if total > 0 else 0.0, "values": rows})
    return sorted(found, key=lambda item: (-float(item["share"]), str(item["key"])))  # type: ignore[arg-type]


def binned(texts: Sequence[str]) -> list[str]:
    """The values as they are; of numbers that hardly repeat, the bin of equal count that each falls in."""
    distinct = sorted(set(texts))
    numbers = {text: number for text in distinct if (number := as_number(text)) is not None}
    if len(distinct) <= BINS or len(numbers) < len(distinct) or 2 * len(distinct) <= len(texts):
        return list(texts)
    ordered = sorted(range(len(texts)), key=lambda i: numbers[texts[i]])
    cuts = [ordered[len(ordered) * bin // BINS : len(ordered) * (bin + 1) // BINS] for bin in range(BINS)]
    names = dict.fromkeys(range(len(texts)), "")
    for members in cuts:
        low, high = texts[members[0]], texts[members[-1]]
        names.update(dict.fromkeys(members, low if low == high else f"{low} to {high}"))
    return [names[i] for i in range(len(texts))]


def as_number(text: str) -> float | None:
    """The number that a value is written as, None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None

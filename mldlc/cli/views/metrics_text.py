"""What a run measured, a line a part of the data: the same when it ends and when it is looked at later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.cli.views.style import number_text

PARTS = ("train", "val", "test")


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """Parts without a number are left out."""
    found = {part: numbers for part in sorted(metrics, key=_place) if (numbers := _numbers(metrics[part]))}
    width = max(map(len, found), default=0)
    return [
        f"  {part:<{width}}  " + "  ".join(f"{name} {number_text(value)}" for name, value in numbers)
        for part, numbers in found.items()
    ]


def _place(part: str) -> tuple[int, str]:
    """Records keep their keys sorted, runs as they came: shown is one order, that of the parts of a split."""
    return (PARTS.index(part) if part in PARTS else len(PARTS), part)


def _numbers(values: Any) -> list[tuple[str, float]]:
    """Numbers by name, but the count of rows first."""
    found = values.items() if isinstance(values, dict) else ()
    numbers = [(name, value) for name, value in found if isinstance(value, int | float)]
    return sorted(numbers, key=lambda item: (item[0] != "n", item[0]))

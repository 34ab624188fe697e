"""What a search looks at: its objectives, and the numbers of a step that may be one. Never of test rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """An objective: a metric, and whether less or more of it is better."""

    metric: str
    mode: str


def measured(steps: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Numbers by name of some steps (stage, summary), a later one wins: what was logged, and `part.name`."""
    return dict(item for stage, summary in steps for item in _numbers(stage, summary))


def _numbers(stage: str, summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in summary.items():
        if _is_number(value) and not name.startswith("test"):
            yield name, float(value)
            yield f"{stage}.{name}", float(value)
    parts = summary.get("metrics")
    for part, values in parts.items() if isinstance(parts, dict) else ():
        if isinstance(values, dict) and part != "test":
            for name, value in values.items():
                if _is_number(value):
                    yield f"{part}.{name}", float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

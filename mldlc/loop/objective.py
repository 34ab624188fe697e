"""What a search looks at: its objectives, and the numbers of a step that may be one. Never of test rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mldlc.engine.measured import by_part
from mldlc.plan.step import Step


@dataclass(frozen=True)
class Goal:
    """An objective: a metric, and whether less or more of it is better."""

    metric: str
    mode: str


def measured(steps: Iterable[tuple[Step, Mapping[str, Any]]]) -> dict[str, float]:
    """Numbers by name of some steps and their summaries, a later one wins: what was logged, and `part.name`."""
    listed = list(steps)
    found = dict(item for step, summary in listed for item in _numbers(step.stage, summary))
    for part, values in by_part(listed).items():
        if isinstance(values, dict) and part.rpartition(".")[2] != "test":
            found |= {f"{part}.{name}": float(value) for name, value in values.items() if _is_number(value)}
    return found


def _numbers(stage: str, summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in summary.items():
        if _is_number(value) and not name.startswith("test"):
            yield name, float(value)
            yield f"{stage}.{name}", float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

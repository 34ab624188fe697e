"""What the stages of a run measured, by part of the data: the numbers of one stage never stand under another's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mldlc.plan.step import Step


def by_part(found: Iterable[tuple[Step, Mapping[str, Any]]]) -> dict[str, Any]:
    """Part -> metric -> value, of steps in their order with their summaries.

    Where stages say different things of one part, it is that of the stage named after its kind (`update` of
    `training.update`), or else of the last one, and those of the others are called `stage.part`. Of one stage at
    several points the last one counts.
    """
    parts: dict[str, dict[str, tuple[bool, dict[str, Any]]]] = {}
    for step, summary in found:
        metrics = summary.get("metrics")
        for part, values in metrics.items() if isinstance(metrics, Mapping) else ():
            stages = parts.setdefault(part, {})
            stages.pop(step.stage, None)
            stages[step.stage] = (step.kind.rpartition(".")[2] == step.stage, values)
    told: dict[str, Any] = {}
    for part, stages in parts.items():
        named = [stage for stage, (named, _) in stages.items() if named]
        main = (named or list(stages))[-1]
        for stage in (*(other for other in stages if other != main), main):
            values = stages[stage][1]
            apart = stage != main and _differ(values, stages[main][1])
            _merge(told, {f"{stage}.{part}" if apart else part: values})
    return told


def _differ(one: Any, other: Any) -> bool:
    """Whether both say something of the same name, and not the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return any(_differ(one[name], other[name]) for name in one.keys() & other.keys())
    return bool(one != other)


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(key, {})
            _merge(inner, value)
        else:
            into[key] = value

"""The difference of two plans as data: config values, stages, code, sources, packages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mldlc.plan.codec import flatten
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step

Area = Literal["config", "stage", "wiring", "code", "data", "package", "metric"]


@dataclass(frozen=True)
class Change:
    """One difference. area says what kind; name is a config key, stage, module, source, package or metric."""

    area: Area
    name: str
    old: Any = None
    new: Any = None


def diff(left: Plan, right: Plan) -> list[Change]:
    """Everything that differs, config first; [] for plans of equal intent and equal inputs."""
    return [
        *_config(left, right),
        *_stages(left, right),
        *_table("data", _tokens(left), _tokens(right)),
        *_table("package", left.snapshot.packages, right.snapshot.packages),
    ]


def diff_values(area: Area, left: dict[str, Any], right: dict[str, Any]) -> list[Change]:
    """Differences of two nested dicts, leaf by leaf."""
    return list(_table(area, flatten(left), flatten(right)))


def _config(left: Plan, right: Plan) -> Iterable[Change]:
    """Points are compared in order; the keys of points beyond the first carry the point's number."""
    for number in range(max(len(left.points), len(right.points))):
        old = left.blobs[left.points[number].config] if number < len(left.points) else {}
        new = right.blobs[right.points[number].config] if number < len(right.points) else {}
        for change in diff_values("config", old, new):
            yield Change("config", change.name if number == 0 else f"[{number}] {change.name}", change.old, change.new)


def _stages(left: Plan, right: Plan) -> Iterable[Change]:
    old, new = _by_stage(left), _by_stage(right)
    for stage in dict.fromkeys([*old, *new]):
        was, now = old.get(stage), new.get(stage)
        if was is None or now is None:
            yield Change("stage", stage, was and was.kind, now and now.kind)
            continue
        if (was.kind, was.version) != (now.kind, now.version):
            yield Change("stage", stage, f"{was.kind} {was.version}", f"{now.kind} {now.version}")
        wires = [_wires(left, was), _wires(right, now)]
        for port in sorted({*wires[0], *wires[1]}):
            if wires[0].get(port) != wires[1].get(port):
                yield Change("wiring", f"{stage}.{port}", wires[0].get(port), wires[1].get(port))
        if was.code != now.code:
            for change in _table("code", left.blobs.get(was.code, {}), right.blobs.get(now.code, {})):
                yield Change("code", f"{stage}: {change.name}", change.old, change.new)


def _by_stage(plan: Plan) -> dict[str, Step]:
    found: dict[str, Step] = {}
    for step in plan.steps:
        found.setdefault(step.stage, step)
    return found


def _wires(plan: Plan, step: Step) -> dict[str, str]:
    stages = {other.id: other.stage for other in plan.steps}
    return {
        port: ", ".join(sorted({f"{stages[ref.step]}.{ref.port}" for ref in item.refs}))
        for port, item in step.inputs.items()
    }


def _tokens(plan: Plan) -> dict[str, Any]:
    return {source.name: source.token for step in plan.steps for source in step.sources}


def _table(area: Area, old: dict[str, Any], new: dict[str, Any]) -> Iterable[Change]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new or old[name] != new[name]:
            yield Change(area, name, old.get(name), new.get(name))

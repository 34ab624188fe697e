"""What became of the points of a sweep: overrides that differ, metrics, time, reuse, and which one is best."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.engine.history import RunInfo
from mldlc.engine.measured import by_part
from mldlc.loop.objective import measured
from mldlc.plan.label import label_of, overrides_of
from mldlc.plan.plan import Plan, load
from mldlc.store.layout import existing_store
from mldlc.store.objects import tree_files
from mldlc.store.records import read_record

UNFINISHED = ("failed", "rejected", "waiting", "stopped", "running", "interrupted")
COMPARE = "evaluation.compare"


@dataclass(frozen=True)
class PointRow:
    """One point. seconds: of the steps that ran, those of several points shared out. ran, reused: steps.

    end: what kept the point from its end, "" for nothing. metrics: part -> name -> value.
    """

    label: str
    overrides: dict[str, str]
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    ran: int = 0
    reused: int = 0
    end: str = ""


@dataclass(frozen=True)
class Sweep:
    """All points in the plan's order. best: label of the best one, "" when nobody knows; by: "val auroc", or ""."""

    rows: tuple[PointRow, ...]
    best: str = ""
    by: str = ""

    def keys(self) -> list[str]:
        """The keys that differ between the points, in the order of the sweep."""
        return list(dict.fromkeys(key for row in self.rows for key in row.overrides))

    def value(self, row: PointRow) -> float | None:
        """What the point is judged by."""
        part, _, name = self.by.partition(" ")
        found = row.metrics.get(part)
        value = found.get(name) if isinstance(found, dict) else None
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def read_sweep(info: RunInfo) -> Sweep | None:
    """The sweep that a run was, from its folder; None for a run of one point."""
    plan = load((info.folder / "plan.json").read_text())
    return sweep_of(plan, info.steps, info.folder.parent.parent) if len(plan.points) > 1 else None


def sweep_of(plan: Plan, steps: Mapping[str, Mapping[str, Any]], outputs: Path) -> Sweep:
    """steps: id -> {status, seconds, summary, ...} of a finished or a live run."""
    mine: dict[int, list[Any]] = {point.id: [] for point in plan.points}
    for step in plan.steps:
        if step.scope != "sweep":
            for id in step.points:
                mine[id].append(step)
    summaries = {step.id: _summary(steps.get(step.id), outputs) for step in plan.steps}
    rows = []
    for point in plan.points:
        label = label_of(point.overrides)
        metrics = by_part((step, summaries[step.id]) for step in mine[point.id])
        seconds, ran, reused = _spent(mine[point.id], steps)
        end = _end(mine[point.id], steps)
        rows.append(PointRow(label, overrides_of(label), metrics, seconds, ran, reused, end))
    goals = (plan.settings.get("search") or {}).get("objective") or []
    if len(goals) == 1:
        return _searched(plan, rows, mine, summaries, goals[0])
    best, by = _judged(plan, summaries)
    if not by:
        best, by = _unjudged(plan, steps, rows, outputs)
    return Sweep(tuple(rows), best, by)


def _summary(step: Mapping[str, Any] | None, outputs: Path) -> dict[str, Any]:
    """A step's summary; of a live run, whose journal has none, that of its record."""
    if step is None:
        return {}
    if "summary" in step or not step.get("key"):
        return dict(step.get("summary") or {})
    store = existing_store(outputs)
    record = read_record(store, step["key"]) if store else None
    return dict(record.summary) if record else {}


def _spent(mine: Iterable[Any], steps: Mapping[str, Mapping[str, Any]]) -> tuple[float, int, int]:
    seconds, ran, reused = 0.0, 0, 0
    for step in mine:
        found = steps.get(step.id, {})
        if found.get("status") in ("ran", "applied"):
            ran += 1
            seconds += (found.get("seconds") or 0.0) / len(step.points)
        elif found.get("status") in ("reused", "in_place"):
            reused += 1
    return seconds, ran, reused


def _end(mine: Sequence[Any], steps: Mapping[str, Mapping[str, Any]]) -> str:
    """What kept a point from its end: "failed: train (train#1d5c58419d)"; "" for nothing."""
    live = [step for step in mine if step.action != "skip"]
    status = {step.id: steps.get(step.id, {}).get("status") for step in live}
    ends = [f"{status[step.id]}: {step.stage} ({step.id})" for step in live if status[step.id] in UNFINISHED]
    skipped = [step.stage for step in live if status[step.id] == "skipped"]
    return ", ".join(ends) or (f"not reached: {', '.join(skipped)}" if skipped else "")


def _searched(
    plan: Plan,
    rows: Sequence[PointRow],
    mine: Mapping[int, Sequence[Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    goal: Mapping[str, str],
) -> Sweep:
    """A round of a search: its points by the objective of the search."""
    judged = []
    for point, row in zip(plan.points, rows, strict=True):
        value = measured((step, summaries[step.id]) for step in mine[point.id]).get(goal["metric"])
        metrics = {**row.metrics, "objective": {goal["metric"]: value}} if value is not None else row.metrics
        judged.append(replace(row, metrics=metrics))
    sweep = Sweep(tuple(judged), by=f"objective {goal['metric']}")
    sign = -1.0 if goal["mode"] == "max" else 1.0
    known = [(sign * value, row.label) for row in judged if (value := sweep.value(row)) is not None and not row.end]
    return replace(sweep, best=min(known)[1] if known else "")


def _judged(plan: Plan, summaries: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """What the comparison of the sweep itself found: (best, by)."""
    for step in plan.steps:
        found = summaries[step.id]
        if step.kind == COMPARE and found.get("best"):
            return str(found["best"]), str(found["by"])
    return "", ""


def _unjudged(
    plan: Plan, steps: Mapping[str, Mapping[str, Any]], rows: Sequence[PointRow], outputs: Path
) -> tuple[str, str]:
    """Without a comparison: by the primary metric on val, as the metrics themselves say which that is."""
    store = existing_store(outputs)
    report: dict[str, Any] = {}
    for step in plan.steps:
        digest = (steps.get(step.id, {}).get("digests") or {}).get("metrics")
        if store is not None and digest and step.outputs.get("metrics") == "Metrics":
            try:
                report = json.loads(tree_files(store, digest)["metrics.json"].read_bytes())
            except (OSError, KeyError, ValueError):
                continue
            break
    if "val" not in report.get("parts", {}) or report.get("primary") not in report.get("better", {}):
        return "", ""
    by = f"val {report['primary']}"
    judged = [(value, row.label) for row in rows if (value := Sweep(tuple(rows), by=by).value(row)) is not None]
    if not judged:
        return "", ""
    sign = -1.0 if report["better"][report["primary"]] == "higher" else 1.0
    return min(judged, key=lambda item: (sign * item[0], item[1]))[1], by

"""compare, select_best: all points of a sweep beside each other, the best of them, and its artifacts passed on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mldlc.artifacts.handle import plain
from mldlc.evaluation.importance import importance
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.work import compare_work
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.label import overrides_of

FORMAT = "mldlc.comparison/1"


@dataclass(frozen=True)
class Row:
    """One point. value: of the metric that judges, None where it is undefined (the training diverged)."""

    label: str
    overrides: dict[str, str]
    value: float | None
    parts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Ranking:
    """The points in the order of their labels, and what they are judged by. order: labels, the best first."""

    metric: str
    mode: str
    part: str
    rows: dict[str, Row]
    order: tuple[str, ...]

    @property
    def best(self) -> Row:
        """The point that is best; of equals the first by label."""
        return self.rows[self.order[0]]


def rank(metrics: Mapping[str, Any], settings: Any) -> Ranking:
    """Rank points by their metrics artifacts. StepError for a metric or part that is not there, or no defined value."""
    if not metrics:
        raise StepError("there is no point to compare", hint="wire `metrics` to the evaluation of the points")
    reports = {label: metrics[label].json("metrics.json") for label in sorted(metrics)}
    rows: dict[str, Row] = {}
    metric, mode = "", ""
    for label, report in reports.items():
        name, direction = _criterion(report, settings)
        if metric and (name, direction) != (metric, mode):
            raise StepError(
                f"the points are judged by different metrics: {metric} and {name}", where="compare.metric",
                hint="name the metric",
            )  # fmt: skip
        metric, mode = name, direction
        values = report["parts"][settings.part]
        found = values.get(name)
        usable = isinstance(found, int | float) and math.isfinite(found)
        rows[label] = Row(label, overrides_of(label), float(found) if usable else None, report["parts"])
    judged = [row for row in rows.values() if row.value is not None]
    if not judged:
        raise StepError(f"no point has a value of {settings.part} {metric}", where="compare.metric")
    sign = 1.0 if mode == "min" else -1.0
    order = sorted(judged, key=lambda row: (sign * (row.value or 0.0), row.label))
    rest = [row.label for row in rows.values() if row.value is None]
    return Ranking(metric, mode, settings.part, rows, (*(row.label for row in order), *rest))


def _criterion(report: Mapping[str, Any], settings: Any) -> tuple[str, str]:
    """(metric, "min" or "max") of one point."""
    if settings.part not in report["parts"]:
        known = [part for part in report["parts"] if part != "test"]
        raise StepError(
            f"the metrics have no part '{settings.part}'", where="compare.part",
            hint=did_you_mean(settings.part, known) or f"parts: {', '.join(known)}",
        )  # fmt: skip
    name = report["primary"] if settings.metric == "auto" else settings.metric
    numbers = [
        key for key, value in report["parts"][settings.part].items() if key != "n" and not isinstance(value, str)
    ]
    if name not in numbers:
        raise StepError(
            f"the metrics of '{settings.part}' have no '{name}'", where="compare.metric",
            hint=did_you_mean(name, numbers) or f"metrics: {', '.join(numbers)}",
        )  # fmt: skip
    if settings.mode != "auto":
        return name, settings.mode
    if name not in report["better"]:
        raise StepError(
            f"which way '{name}' is better is not known", where="compare.mode", hint="compare.mode=min or max"
        )
    return name, "max" if report["better"][name] == "higher" else "min"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write comparison.json: the points in the order of their labels, the best one, the importance of the keys."""
    found = rank(inputs["metrics"], cfg.compare)
    keys = list(dict.fromkeys(key for row in found.rows.values() for key in row.overrides))
    points = [
        {"point": row.label, "overrides": row.overrides, "value": row.value, "parts": row.parts}
        for row in found.rows.values()
    ]
    report = {
        "format": FORMAT,
        "metric": found.metric,
        "mode": found.mode,
        "part": found.part,
        "keys": sorted(keys),
        "best": found.best.label,
        "order": list(found.order),
        "points": points,
        "work": compare_work(points, found.metric, found.mode),
        "importance": importance([(row.overrides, row.value) for row in found.rows.values()]),
    }
    write_report(ctx.out("comparison") / "comparison.json", report)
    ctx.summary(told(found))


def told(found: Ranking) -> dict[str, Any]:
    """What views show of a choice without opening it."""
    judged = f"{found.part} {found.metric}"
    return {"best": found.best.label, "value": found.best.value, "by": judged, "points": len(found.rows)}


def select_best(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write decision.json, and give the best point's model, preprocessor and metrics as they are."""
    found = rank(inputs["metrics"], cfg.compare)
    best = found.best
    ports = {"model": inputs["models"], "preprocessor": inputs["preprocessors"], "metrics": inputs["metrics"]}
    digests = {}
    for port, every in ports.items():
        if not every:
            continue
        if best.label not in every:
            raise StepError(f"the best point, {best.label}, gave no {port}", where=ctx.stage)
        artifact = plain(every[best.label])
        digests[port] = artifact.digest
        for name, path in artifact.files.items():
            ctx.adopt(port, name, path)
    rows = [{"point": label, "value": found.rows[label].value} for label in found.order]
    why = f"{found.part} {found.metric} {best.value:.6g} is the {found.mode} of {len(found.rows)} points"
    decision = {
        "format": "mldlc.decision/1",
        "decision": "choose",
        "by": "rule",
        "why": why,
        "evidence": {
            "stage": ctx.stage, "point": best.label, "overrides": best.overrides, "metric": found.metric,
            "mode": found.mode, "part": found.part, "value": best.value, "artifacts": digests, "points": rows,
        },
    }  # fmt: skip
    text = json.dumps(decision, sort_keys=True, indent=2)
    (ctx.out("decision") / "decision.json").write_text(text + "\n")
    ctx.log.info("%s: %s", best.label, why)
    ctx.summary(told(found))

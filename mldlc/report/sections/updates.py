"""Updating along a stream: what each learner scored on rows that it had not seen, and what the guards did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.report.charts.xy import Axis, Line, line_chart
from mldlc.report.numbers import number, words
from mldlc.report.sections.documents import document, section
from mldlc.report.sections.facts import arranged

COLORS = 6
FROZEN = "frozen"


def updates(artifacts: Mapping[str, Any]) -> dict[str, Any] | None:
    """One table and one chart of all updating stages; the frozen model stands once."""
    found = {stage: document(artifact, "metrics.json") for stage, artifact in artifacts.items()}
    found = {stage: item for stage, item in found.items() if item.get("prequential")}
    if not found:
        return None
    rows: list[dict[str, Any]] = []
    lines: list[Line] = []
    for stage, item in found.items():
        story, curve = item["updates"], item["prequential"]
        happened = [event["what"] for event in story["events"]]
        known = {
            "batches": story["batches"],
            "rejected": happened.count("rejection"),
            "rolled back": happened.count("rollback"),
        }
        rows.append({"name": f"{stage} ({story['kind']})", **section(section(item, "parts"), "stream"), **known})
        for learner, values in curve["learners"].items():
            name = stage if learner != FROZEN else FROZEN
            if name not in [line.name for line in lines]:
                notes = [f"{name}, to row {number(x)}: {number(y)}" for x, y in zip(curve["ends"], values, strict=True)]
                points = [(float(x), float(y)) for x, y in zip(curve["ends"], values, strict=True)]
                lines.append(Line(name, points, len(lines) % COLORS, notes))
    first = next(iter(found.values()))
    nothing = dict.fromkeys(("batches", "rejected", "rolled back"), 0)
    rows.append({"name": FROZEN, **section(section(first, "parts"), FROZEN), **nothing})
    metric = words(first["prequential"]["metric"])
    shown = arranged({"told_before_learnt": rows})
    chart = line_chart(
        f"{metric[:1].upper() + metric[1:]} along the stream", Axis("row", whole=True), Axis(metric), lines
    )
    return shown and {**shown, "charts": [chart, *shown["charts"]]}

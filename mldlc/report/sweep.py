"""The page of a sweep: its points beside each other, what the keys matter, and data work against model work."""

from __future__ import annotations

from typing import Any

from mldlc.plan.context import Context
from mldlc.report.charts.bars import horizontal
from mldlc.report.charts.parallel import Path, parallel, told
from mldlc.report.charts.xy import Axis, Line, line_chart
from mldlc.report.numbers import number, percent, signed, words
from mldlc.report.page import render
from mldlc.report.sections.documents import document, is_number

CONFIGURED = "as configured"
MOST = 500  # rows of the table, lines of the chart
KEYS = 7  # axes of the chart: the keys that matter most; a table of more keys tells the changes in one column


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write report.html; the summary has its size in bytes and the number of points."""
    found = document(inputs["comparison"], "comparison.json")
    ensemble = document(inputs["ensemble"], "metrics.json")
    decision = document(inputs["decision"], "decision.json")
    judged = f"{words(found['metric'])} on {found['part']} rows"
    page = render(
        "sweep.html",
        project=cfg.project,
        judged=judged,
        mode=found["mode"],
        cards=_cards(found, ensemble),
        best=_by_label(found)[found["best"]],
        decision=decision,
        chart=_parallel(found, judged),
        importance=_importance(found),
        work=found.get("work"),
        curve=_curve(found),
        table=_table(found),
    )
    data = page.encode("utf-8", "replace")
    (ctx.out("report") / "report.html").write_bytes(data)
    ctx.summary({"bytes": len(data), "points": len(found["points"])})


def _by_label(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {point["point"]: point for point in found["points"]}


def _score(point: dict[str, Any], part: str, metric: str) -> Any:
    return (point["parts"].get(part) or {}).get(metric)


def _cards(found: dict[str, Any], ensemble: dict[str, Any]) -> list[dict[str, Any]]:
    points, metric, part = _by_label(found), found["metric"], found["part"]
    best = points[found["best"]]
    values = sorted(p["value"] for p in found["points"] if is_number(p["value"]))
    base = points.get("base")
    cards = [{"name": f"Best of {len(points)} points, {part}", "value": number(best["value"]), "note": ""}]
    if is_number(_score(best, "test", metric)):
        cards.append({"name": "The same point, test", "value": number(_score(best, "test", metric)), "note": ""})
    if base is not None and is_number(base["value"]):
        note = f"{signed(best['value'] - base['value'])} by the sweep"
        cards.append({"name": f"As configured, {part}", "value": number(base["value"]), "note": note})
    middle = values[len(values) // 2]
    spread = f"{number(values[0])} to {number(values[-1])}"
    cards.append({"name": f"Median point, {part}", "value": number(middle), "note": spread})
    score = _score(ensemble, part, metric) if ensemble else None
    if is_number(score):
        note = f"test {number(_score(ensemble, 'test', metric))}"
        cards.append(
            {"name": f"Mean of the best {len(ensemble['members'])}, {part}", "value": number(score), "note": note}
        )
    return cards


def _parallel(found: dict[str, Any], judged: str) -> Any:
    ranked = [item["key"] for item in found["importance"]] or found["keys"]
    keys = [key for key in found["keys"] if key in ranked[:KEYS]]
    place = {label: number_ for number_, label in enumerate(found["order"])}
    usable = [point for point in found["points"] if is_number(point["value"])]
    shown = sorted(usable, key=lambda point: place[point["point"]])[:MOST]
    if not keys or len(shown) < 2:
        return None
    top = max(1, len(shown) // 10)
    paths = [
        Path(point["overrides"], point["value"], 1 if rank == 0 else 0 if rank < top else 9,
             told(point["overrides"], words(found["metric"]), point["value"]))
        for rank, point in enumerate(shown)
    ]  # fmt: skip
    return parallel(f"{len(shown)} points, {judged}", keys, words(found["metric"]), paths, CONFIGURED)


def _importance(found: dict[str, Any]) -> dict[str, Any] | None:
    items = found["importance"]
    if not items:
        return None
    rows = [(item["key"], item["share"], f"{item['key']}: {percent(item['share'])}") for item in items[:15]]
    rest = 1.0 - sum(item["share"] for item in items)
    means = [
        {
            "key": item["key"],
            "share": item["share"],
            "rows": sorted(item["values"], key=lambda v: v["mean"], reverse=found["mode"] == "max")[:8],
            "left_out": max(0, len(item["values"]) - 8),
        }
        for item in items[:6]
    ]
    return {"chart": horizontal("Variance explained by each key", "share of variance", rows), "means": means,
            "rest": rest}  # fmt: skip


def _curve(found: dict[str, Any]) -> Any:
    """The learning curve: the metric by the share of the train rows that was learnt from, all else as configured."""
    key = "split.learn"
    points = [p for p in found["points"] if set(p["overrides"]) <= {key} and is_number(p["value"])]
    if len(points) < 3 or not any(p["overrides"] for p in points):
        return None
    lines = []
    for color, part in ((1, found["part"]), (2, "test")):
        known = [(float(p["overrides"].get(key, 1.0)), _score(p, part, found["metric"])) for p in points]
        lines.append(Line(part, sorted(pair for pair in known if is_number(pair[1])), color))
    return line_chart("Learning curve", Axis("share of the train rows"), Axis(words(found["metric"])), lines)


def _table(found: dict[str, Any]) -> dict[str, Any]:
    points = _by_label(found)
    wide = len(found["keys"]) > KEYS

    def cells(overrides: dict[str, str]) -> list[str]:
        if wide:
            return [" ".join(f"{key}={value}" for key, value in overrides.items()) or CONFIGURED]
        return [overrides.get(key, "–") for key in found["keys"]]

    rows = [
        {
            "rank": rank + 1,
            "overrides": cells(points[label]["overrides"]),
            "value": points[label]["value"],
            "test": _score(points[label], "test", found["metric"]),
        }
        for rank, label in enumerate(found["order"][:MOST])
    ]
    return {"keys": ["changes"] if wide else found["keys"], "rows": rows, "left_out": max(0, len(points) - MOST),
            "metric": words(found["metric"]), "part": found["part"]}  # fmt: skip

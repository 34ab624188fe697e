"""seeds: what distillation bought at every point of a sweep, and in the mean of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.evaluation.rounding import write_report
from mldlc.plan.context import Context, StepError
from mldlc.plan.label import overrides_of

FORMAT = "mldlc.seeds/1"
# the 0.975 quantile of Student's t by degrees of freedom, from 1
T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write seeds.json; the summary tells the means."""
    reports = {label: artifact.json("distillation.json") for label, artifact in sorted(inputs["reports"].items())}
    judged = {(report["metric"], report["part"]) for report in reports.values()}
    if len(judged) > 1:
        raise StepError(f"the points are judged by different metrics: {sorted(judged)}", where="objective")
    ((metric, part),) = judged
    points = [
        {
            "point": label, "overrides": overrides_of(label), "teacher": report["models"][report["teacher"]]["value"],
            "student": report["models"]["student"]["value"], "twin": report["models"]["twin"]["value"],
            "gain": report["gain"]["value"], "kept": report["kept"]["value"], "size": report["size"],
        }
        for label, report in reports.items()
    ]  # fmt: skip
    means = {name: mean_interval([p[name] for p in points]) for name in ("teacher", "student", "twin", "gain", "kept")}
    wins = sum(p["gain"] > 0 for p in points)
    found = {"format": FORMAT, "metric": metric, "part": part, "points": points, "means": means, "wins": wins}
    written = write_report(ctx.out("report") / "seeds.json", found)
    gain = written["means"]["gain"]
    facts = {"by": f"{part} {metric}", "points": len(points), "wins": wins, "gain": gain["mean"]}
    ctx.summary(facts | ({"gain_low": gain["low"], "gain_high": gain["high"]} if gain["low"] is not None else {}))


def mean_interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and its 95 % interval by Student's t; no interval of a single value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    quantile = T975[len(values) - 2] if len(values) - 2 < len(T975) else 1.96
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}

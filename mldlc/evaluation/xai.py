"""The explanation step: permutation importance of every input, or its attribution by gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from mldlc.evaluation.config import GradientXai, Nothing, PermutationXai
from mldlc.evaluation.gradients import attributions
from mldlc.evaluation.probe import columns, make_probe, permuted, reference
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import Study, load_study
from mldlc.evaluation.sensitivity import value_name
from mldlc.plan.context import Context

FORMAT = "mldlc.xai/1"
_SHOWN = 5


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write xai.json with the inputs by descending importance; the summary carries the first ones."""
    settings: PermutationXai | GradientXai | Nothing = cfg.xai
    out = ctx.out("report") / "xai.json"
    if isinstance(settings, Nothing):
        write_report(out, {"format": FORMAT, "kind": "none"})
        return
    study = load_study(inputs)
    found = permutation(study, settings) if isinstance(settings, PermutationXai) else gradient(study, settings)
    found["importance"].sort(key=lambda item: (-item["mean"], item["input"]))
    head = {"format": FORMAT, "kind": settings.kind, "task": study.task.kind, "part": settings.part}
    written = write_report(out, head | found)
    if written.get("untold"):
        ctx.log.warning("categories that the model reads by no embedding of their own: %s", ", ".join(found["untold"]))
    ctx.summary({"importance": {item["input"]: item["mean"] for item in written["importance"][:_SHOWN]}})


def permutation(study: Study, cfg: PermutationXai) -> dict[str, Any]:
    """Loss of metric when one input is permuted among the rows (Breiman, 2001), mean over `repeats` seeds."""
    probe = make_probe(study, cfg, "xai")
    seeds = [cfg.seed + number for number in range(cfg.repeats)]
    importance = []
    for kind, column, name in columns(study):
        lost = probe.lost(permuted(kind, column), seeds)
        importance.append({"input": name, "kind": kind, "mean": lost["drop"], "std": lost["std"]})
    return {"metric": probe.metric, "value": probe.value, "rows": len(probe.rows), "importance": importance}


def gradient(study: Study, cfg: GradientXai) -> dict[str, Any]:
    """Mean absolute attribution of each input in units of the raw output (logit, standardised value), and what the most
    frequent values of each category contribute. untold: categories that the model reads by no embedding of their own.
    """
    rows = study.drawn(cfg.part, cfg.rows, cfg.seed, "xai.part")
    numeric, categorical = study.inputs(rows)
    typical = reference(study)
    sizes = [int(item["cardinality"]) for item in study.categorical_inputs]
    base = typical.mean, typical.mode
    found = attributions(study.model, numeric, categorical, base, sizes, cfg.method, cfg.steps)
    importance, by_value, untold = [], [], []
    for kind, column, name in columns(study):
        if kind == "categorical" and column in found.untold:
            untold.append(name)
            continue
        part = found.numeric[:, column] if kind == "numeric" else found.categorical[:, column]
        importance.append({"input": name, "kind": kind, "mean": np.abs(part).mean(), "direction": part.mean()})
        if kind == "categorical":
            by_value += _by_value(study.categorical_inputs[column], categorical[:, column], part, cfg.values)
    by_value.sort(key=lambda item: (-abs(item["mean"]), item["name"]))
    told = {"method": cfg.method, "rows": len(rows), "importance": importance, "completeness_gap": found.gap}
    return told | ({"by_value": by_value} if by_value else {}) | ({"untold": untold} if untold else {})


def _by_value(item: Any, codes: np.ndarray, part: np.ndarray, most: int) -> list[dict[str, Any]]:
    """Rows {name, rows, mean} of the most frequent values of a category: their mean contribution, with its sign."""
    counts = np.bincount(codes, minlength=1)
    sums = np.bincount(codes, part, minlength=1)
    ranked = np.argsort(-counts, kind="stable")
    return [
        {"name": f"{item['name']} = {value_name(item, int(code))}", "rows": int(counts[code]),
         "mean": float(sums[code] / counts[code])}
        for code in ranked[counts[ranked] > 0][:most]
    ]  # fmt: skip

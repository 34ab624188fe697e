"""The explanation step: permutation importance of every input, or gradient attribution of the numeric ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from mldlc.evaluation.config import GradientXai, Nothing, PermutationXai
from mldlc.evaluation.gradients import attributions
from mldlc.evaluation.probe import columns, make_probe, permuted, reference
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import Study, load_study
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
    """Mean absolute attribution of each numeric input in units of the raw output (logit, standardised value)."""
    rows = study.drawn(cfg.part, cfg.rows, cfg.seed, "xai.part")
    found, gap = attributions(study.model, *study.inputs(rows), reference(study).mean, cfg.method, cfg.steps)
    importance = [
        {
            "input": name,
            "kind": "numeric",
            "mean": np.abs(found[:, column]).mean(),
            "direction": found[:, column].mean(),
        }
        for column, name in enumerate(study.numeric_names)
    ]
    return {"method": cfg.method, "rows": len(rows), "importance": importance, "completeness_gap": gap}

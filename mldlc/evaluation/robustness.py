"""The robustness step: the metric that is lost when inputs are noisy, missing or shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np

from mldlc.evaluation.config import Nothing, StandardRobustness
from mldlc.evaluation.probe import Perturb, Probe, Reference, columns, held, make_probe, permuted, reference
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import load_study
from mldlc.plan.context import Context

FORMAT = "mldlc.robustness/1"


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write robustness.json; the summary carries the largest loss of each kind of perturbation."""
    settings: StandardRobustness | Nothing = cfg.robustness
    out = ctx.out("report") / "robustness.json"
    if isinstance(settings, Nothing):
        write_report(out, {"format": FORMAT, "kind": "none"})
        return
    study = load_study(inputs)
    probe, typical = make_probe(study, settings, "robustness"), reference(study)
    seeds = [settings.seed + number for number in range(settings.repeats)]
    report: dict[str, Any] = {
        "format": FORMAT,
        "kind": settings.kind,
        "task": study.task.kind,
        "part": settings.part,
        "rows": len(probe.rows),
        "metric": probe.metric,
        "value": probe.value,
        "noise": _noise(probe, typical, settings.noise, seeds),
        "missing": _missing(probe, typical) if settings.missing else [],
        "shuffle": _shuffle(probe, seeds) if settings.shuffle else [],
    }
    written = write_report(out, report)
    ctx.summary({"metric": probe.metric, "largest_drop": _largest(written)})


def _noise(probe: Probe, typical: Reference, levels: list[float], seeds: list[int]) -> list[dict[str, Any]]:
    """All numeric inputs at once, with Gaussian noise of `level` times each column's standard deviation."""

    def noisy(level: float) -> Perturb:
        def perturb(numeric: np.ndarray, categorical: np.ndarray, rng: np.random.Generator) -> None:
            noise = rng.standard_normal(numeric.shape, dtype=np.float32)
            numeric += noise * (level * typical.sd).astype(np.float32)

        return perturb

    if not probe.study.numeric_names:
        return []
    return [{"sd": level, **probe.lost(noisy(level), seeds)} for level in levels]


def _missing(probe: Probe, typical: Reference) -> list[dict[str, Any]]:
    """One input at a time, set to its mean or most frequent value in the training rows."""

    found = []
    for kind, column, name in columns(probe.study):
        value = float(typical.mean[column] if kind == "numeric" else typical.mode[column])
        found.append({"input": name, "drop": probe.lost(held(kind, column, value), [0])["drop"]})
    return found


def _shuffle(probe: Probe, seeds: list[int]) -> list[dict[str, Any]]:
    """One categorical input at a time, permuted among the rows."""

    inputs = [(kind, column, name) for kind, column, name in columns(probe.study) if kind == "categorical"]
    return [{"input": name, **probe.lost(permuted(kind, column), seeds)} for kind, column, name in inputs]


def _largest(report: dict[str, Any]) -> dict[str, float]:
    kinds = ("noise", "missing", "shuffle")
    return {kind: max(item["drop"] for item in report[kind]) for kind in kinds if report[kind]}

"""The evaluate step: metrics of every part, slices, curves, a baseline to beat, and the predictions themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mldlc.artifacts.told import read_told
from mldlc.evaluation import extra
from mldlc.evaluation.baseline import baseline
from mldlc.evaluation.bootstrap import intervals
from mldlc.evaluation.config import EvaluateConfig, Nothing
from mldlc.evaluation.curves import curves
from mldlc.evaluation.metrics.binary import best_threshold
from mldlc.evaluation.predictions import write_predictions
from mldlc.evaluation.rounding import rounded, write_report
from mldlc.evaluation.scoring import Study, load_study
from mldlc.evaluation.slices import check, slice_table
from mldlc.evaluation.task import Sample, Task, Values
from mldlc.plan.context import Context, StepError

FORMAT = "mldlc.metrics/1"


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write metrics.json and the predictions table; the summary carries the metrics of every part.

    Rows that the model learnt along a stream are judged by what it told of them before (`told`), or not at all.
    """
    settings: EvaluateConfig = cfg.evaluate
    study = load_study(inputs, settings.calibration_bins)
    told = read_told(inputs["told"]) if inputs["told"] is not None else None
    if told is not None:
        codes = study.codes.copy()
        codes[told[0]] = inputs["split"].codes()[told[0]]
        study = replace(study, codes=codes)
    names = _parts(settings, study)
    extras = extra.find(study.task, getattr(settings.torchmetrics, study.task.kind))
    if not isinstance(cfg.slices, Nothing):
        raw = check(cfg.slices, inputs["raw"], len(study.codes), _wanted(settings, study))
    rows, prediction = _predict(study, names, settings.batch_size)
    if told is not None:
        known = np.isin(told[0], rows, assume_unique=True)
        prediction[np.searchsorted(rows, told[0][known])] = told[1][known]
    parts = _samples(study, names, rows, prediction)
    ctx.progress(1, 3, "predicted")
    study = replace(study, task=_with_threshold(study, settings, parts))
    metrics = {name: study.task.measure(sample) for name, sample in parts.items()}
    report = _report(study.task, settings, parts, metrics, extras)
    if study.tensors.weight is not None and extras:
        ctx.log.warning("torchmetrics takes no row weights: %s count every row alike", ", ".join(extras))
        report["unweighted"] = sorted(extras)
    if not isinstance(cfg.slices, Nothing):
        sliced = cfg.slices.model_copy(update={"parts": [name for name in cfg.slices.parts if name in parts]})
        report["slices"] = slice_table(study.task, sliced, raw, parts, metrics) if sliced.parts else []
    if inputs["start"] is not None:
        report["start"] = {"parts": inputs["start"].json("metrics.json")["parts"]}
    ctx.progress(2, 3, "measured")
    written = write_report(ctx.out("metrics") / "metrics.json", report)
    write_predictions(ctx.out("predictions"), inputs["table"], study, rows, prediction)
    ctx.summary({"metrics": written["parts"]})


def _report(
    task: Task, settings: EvaluateConfig, parts: dict[str, Sample], metrics: dict[str, Values], extras: dict[str, Any]
) -> dict[str, Any]:
    boot = settings.bootstrap
    train = parts.get("train") or next(iter(parts.values()))
    report: dict[str, Any] = {
        "format": FORMAT,
        "task": task.kind,
        "classes": list(task.classes),
        "better": dict(task.better),
        "primary": task.primary,
        "parts": {
            name: {"n": len(sample), **metrics[name], **extra.measure(task, extras, sample)}
            for name, sample in parts.items()
        },
        "baseline": baseline(task, train, parts),
        "curves": {name: curves(task, sample, settings.curve_points) for name, sample in parts.items()},
        "slices": [],
    }
    if task.kind == "binary":
        report["threshold"] = {"value": task.threshold, "rule": _rule(settings)}
    if boot.samples:
        report["intervals"] = {
            "confidence": boot.confidence,
            "samples": boot.samples,
            "parts": {
                name: intervals(task, sample, boot.samples, boot.confidence, boot.seed)
                for name, sample in parts.items()
            },
        }
    return report


def _rule(settings: EvaluateConfig) -> str:
    return f"{settings.threshold} on {settings.threshold_part}" if isinstance(settings.threshold, str) else "fixed"


def _parts(settings: EvaluateConfig, study: Study) -> list[str]:
    """The evaluated parts, in the split's order; checks their names and that the threshold has rows of its own.

    A part all of whose rows the model has learnt is left out.
    """
    wanted = _wanted(settings, study)
    for name in wanted:
        study.rows(name, "evaluate.parts")
    if isinstance(settings.threshold, str) and study.task.kind == "binary":
        if settings.threshold_part == "test":
            raise StepError(
                "a threshold must not be chosen on the test rows", where="evaluate.threshold_part",
                hint="choose it on val",
            )  # fmt: skip
        study.rows(settings.threshold_part, "evaluate.threshold_part")
    return [name for name in wanted if not len(study.learnt) or (study.codes == study.names.index(name)).any()]


def _wanted(settings: EvaluateConfig, study: Study) -> list[str]:
    """The parts that the config asks for, in the split's order, then unknown ones."""
    if settings.parts == "all":
        return list(study.names)
    asked = settings.parts
    return [*(name for name in study.names if name in asked), *(name for name in asked if name not in study.names)]


def _predict(study: Study, names: list[str], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending row numbers of the evaluated parts and their predictions; all rows are predicted in place."""
    codes = [study.names.index(name) for name in names]
    rows = np.flatnonzero(np.isin(study.codes, codes))
    if len(rows) == len(study.codes):
        return rows, study.predict(study.tensors.numeric, study.tensors.categorical, batch_size)
    return rows, study.predict(*study.inputs(rows), batch_size)


def _samples(study: Study, names: list[str], rows: np.ndarray, prediction: np.ndarray) -> dict[str, Sample]:
    codes = study.codes[rows]
    chosen = {name: np.flatnonzero(codes == study.names.index(name)) for name in names}
    return {name: study.sample(rows[index], prediction[index]) for name, index in chosen.items()}


def _with_threshold(study: Study, settings: EvaluateConfig, parts: dict[str, Sample]) -> Task:
    """The task with the decision threshold of the config: its number, or the one chosen on the threshold part."""
    task = study.task
    if task.kind != "binary" or not isinstance(settings.threshold, str):
        return replace(task, threshold=float(settings.threshold)) if task.kind == "binary" else task
    name = settings.threshold_part
    sample = parts.get(name)
    if sample is None:
        rows = study.rows(name, "evaluate.threshold_part")
        sample = study.sample(rows, study.predict(*study.inputs(rows), settings.batch_size))
    best = best_threshold(sample.label, sample.prediction, sample.weight, settings.threshold)
    if best is None:
        raise StepError(
            f"no threshold can be chosen: part {name!r} does not have rows of both classes",
            where="evaluate.threshold", hint="give a number, or another threshold_part",
        )  # fmt: skip
    return replace(task, threshold=rounded(best))

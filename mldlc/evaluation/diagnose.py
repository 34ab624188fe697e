"""The diagnose step: simple models to beat, bias and variance, residuals, sensitivity."""

from __future__ import annotations

from typing import Any

import numpy as np

from mldlc.evaluation.baseline import baseline
from mldlc.evaluation.benchmark import Linear, fit_linear, given
from mldlc.evaluation.boosting import Boosted, fit_boosting
from mldlc.evaluation.config import Nothing, StandardDiagnose
from mldlc.evaluation.curves import by_decile
from mldlc.evaluation.probe import reference
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import Study, load_study
from mldlc.evaluation.sensitivity import sensitivity
from mldlc.evaluation.task import Sample, Task, Values
from mldlc.plan.context import Context, StepError

FORMAT = "mldlc.diagnose/1"


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write diagnose.json; the summary carries the bias and variance table."""
    settings: StandardDiagnose | Nothing = cfg.diagnose
    out = ctx.out("report") / "diagnose.json"
    if isinstance(settings, Nothing):
        write_report(out, {"format": FORMAT, "kind": "none"})
        return
    study = load_study(inputs)
    metric = study.task.metric(settings.metric, "diagnose.metric")
    probed = study.drawn(settings.part, settings.probe_rows, settings.seed, "diagnose.part")
    parts = _parts(study, settings.batch_size)
    ctx.progress(1, 4, "predicted")
    models = _models(study, settings, parts)
    ctx.progress(2, 4, "benchmarks fitted")
    report = {
        "format": FORMAT,
        "kind": settings.kind,
        "task": study.task.kind,
        "part": settings.part,
        "models": models,
        "bias_variance": bias_variance(study.task, metric, models, settings.human_level, settings.part),
        "residuals": residual_report(study.task, parts[settings.part], settings.worst_rows),
        "sensitivity": sensitivity(study, probed, reference(study), settings.values, settings.batch_size),
    }
    written = write_report(out, report)
    ctx.summary({"bias_variance": written["bias_variance"]})


def _parts(study: Study, batch_size: int) -> dict[str, Sample]:
    prediction = study.predict(study.tensors.numeric, study.tensors.categorical, batch_size)
    numbers = {name: np.flatnonzero(study.codes == code) for code, name in enumerate(study.names)}
    return {name: study.sample(rows, prediction[rows]) for name, rows in numbers.items()}


def _models(study: Study, cfg: StandardDiagnose, parts: dict[str, Sample]) -> dict[str, Any]:
    """Metrics per part of the model and of what it must beat: the constant prediction and a linear model."""
    task = study.task
    if "train" not in parts or not len(parts["train"]):
        raise StepError("benchmark models need labelled rows in a part 'train'", where="diagnose.kind")
    rows = np.sort(parts["train"].rows)
    if len(rows) > cfg.rows:
        rows = np.sort(np.random.default_rng(cfg.seed).choice(rows, cfg.rows, replace=False))
    known = given(task, study.tensors, rows)
    linear = fit_linear(*known, iterations=cfg.iterations, l2=cfg.l2)
    fitted = _scores(study, parts, linear)
    boosted = {}
    if cfg.boosting is not None:
        trees = fit_boosting(*known, cfg.boosting)
        scores = _scores(study, parts, trees)
        boosted = {"boosting": {"kind": f"{trees.rounds} rounds", "rows": len(rows), "parts": scores}}
    return boosted | {
        "model": {"parts": {name: task.measure(sample) for name, sample in parts.items()}},
        "linear": {"kind": "linear" if task.kind == "regression" else "logistic", "rows": len(rows), "parts": fitted},
        "constant": baseline(task, parts["train"], parts),
    }


def _scores(study: Study, parts: dict[str, Sample], model: Linear | Boosted) -> dict[str, Any]:
    """Metrics of a benchmark model on each part."""
    return {
        name: study.task.measure(study.sample(sample.rows, model.predict(*study.inputs(sample.rows))))
        for name, sample in parts.items()
    }


def bias_variance(task: Task, metric: str, models: dict[str, Any], human: float | None, part: str) -> dict[str, Any]:
    """The gaps that say what to do next (Ng, Machine Learning Yearning): positive numbers are losses of metric.

    avoidable_bias: train against human level. variance: val (or test) against train. validation_gap: test against val.
    over_linear, over_constant: what the model gains over the benchmarks on `part`.
    """
    values: dict[str, Values] = models["model"]["parts"]
    score = {part: found[metric] for part, found in values.items()}
    held = next((part for part in ("val", "test") if score.get(part) is not None), "train")

    def loss(value: float | None, than: float | None) -> float | None:
        return None if value is None or than is None else task.worse_by(metric, value, than)

    table = {
        "metric": metric,
        "better": task.better[metric],
        "human_level": human,
        "parts": score,
        "avoidable_bias": loss(score.get("train"), human),
        "variance": loss(score.get(held), score.get("train")),
        "validation_gap": loss(score.get("test"), score.get("val")),
        "over_linear": loss(models["linear"]["parts"][part][metric], score[part]),
        "over_constant": loss(models["constant"]["parts"][part][metric], score[part]),
    }
    if "boosting" in models:
        table["over_boosting"] = loss(models["boosting"]["parts"][part][metric], score[part])
    return table | {"advice": _advice(table)}


def _advice(table: dict[str, Any]) -> list[str]:
    """One sentence for each gap that stands out, the largest lever first."""
    found = []
    bias, variance = table["avoidable_bias"], table["variance"]
    if bias is not None and bias > 0 and (variance is None or bias >= variance):
        found.append("underfits: try a larger model, longer training or better features (model-centric)")
    elif bias is not None and variance is not None and variance > bias and variance > 0:
        found.append("overfits: try more or cleaner data, regularisation or fewer features (data-centric)")
    if table["over_linear"] is not None and table["over_linear"] <= 0:
        found.append("a linear model does as well on held-out rows: look for a fault, or take the linear one")
    if table.get("over_boosting") is not None and table["over_boosting"] < 0:
        found.append("gradient-boosted trees do better on held-out rows: the model has something to learn yet")
    if table["over_constant"] is not None and table["over_constant"] <= 0:
        found.append("no better than a constant prediction: the inputs or labels are likely at fault")
    return found


def residual_report(task: Task, sample: Sample, worst: int) -> dict[str, Any]:
    """Rows with the largest loss, and the error by tenth of prediction (of confidence, for several classes)."""
    if not len(sample):
        return {"worst": [], "by_decile": []}
    loss = row_losses(task, sample)
    order = np.argsort(-loss, kind="stable")[:worst]
    shown = sample
    if task.kind == "multiclass":
        right = (task.predicted_class(sample.prediction) == sample.label).astype(np.float64)
        shown = Sample(sample.rows, right, sample.prediction.max(1))
    return {
        "worst": [
            {
                "row": int(sample.rows[i]),
                "label": task.classes[sample.label[i]] if task.classes else sample.label[i],
                "prediction": sample.prediction[i],
                "loss": loss[i],
            }
            for i in order
        ],
        "by_decile": by_decile(shown, shown.label - shown.prediction),
    }


def row_losses(task: Task, sample: Sample) -> np.ndarray:
    """(n,) loss of each row: absolute error, or negative log probability of the true class."""
    if task.kind == "regression":
        return np.abs(sample.label - sample.prediction)
    if task.kind == "binary":
        given = np.where(sample.label == 1, sample.prediction, 1 - sample.prediction)
    else:
        given = sample.prediction[np.arange(len(sample)), sample.label]
    return -np.log(np.clip(given, np.finfo(np.float32).eps, 1.0))

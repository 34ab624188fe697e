"""The steps of evaluation: metrics with slices, three studies of a trained model (diagnose, robustness, xai), one of
the labels that it is to learn, and what looks at all points of a sweep (compare, select_best, ensemble)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mldlc.evaluation.config import (
    CompareConfig,
    Diagnose,
    Ensemble,
    EvaluateConfig,
    Labels,
    LanguageEvaluate,
    Robustness,
    Scores,
    Slices,
    Xai,
)
from mldlc.evaluation.metrics import names
from mldlc.plan.artifact import Decision, Metrics, Model, Preprocessor, Split, Table, Tokens
from mldlc.plan.spec import Resources, StepSpec, many, optional, port, some

_STUDY = {"model": port(Model), "table": port(Table), "split": port(Split)}
_NEEDS = Resources(process="light", preload=("torch", "torchmetrics"))


def _measures(cfg: Any) -> tuple[str, ...]:
    """Names of every task: which one it is, the label tells."""
    more = cfg.evaluate.torchmetrics
    own = [*names.BINARY, *names.MULTICLASS, *names.REGRESSION]
    return _on_val(cfg, [*own, *more.binary, *more.multiclass, *more.regression])


def _on_val(cfg: Any, found: Iterable[str]) -> tuple[str, ...]:
    parts = cfg.evaluate.parts
    return tuple(f"val.{name}" for name in dict.fromkeys(found)) if parts == "all" or "val" in parts else ()


EVALUATE = StepSpec(
    kind="evaluation.evaluate",
    version=1,
    impl="mldlc.evaluation.evaluate:run",
    inputs={**_STUDY, "raw": optional(Table), "told": optional(Table), "start": optional(Metrics)},
    outputs={"metrics": Metrics, "predictions": Table},
    reads={"evaluate": EvaluateConfig, "slices": Slices},
    needs=_NEEDS,
    packages=("torch", "torchmetrics"),
    advise="mldlc.evaluation.advice:advise",
    measures=_measures,
    doc="Metrics, slices, curves and predictions of a model. table: prepared rows; raw: the same rows, cleaned, to "
    "name slices; told: what an updated model said of rows before it learnt them; start: what it was before.",
)

LANGUAGE = StepSpec(
    kind="evaluation.language",
    version=1,
    impl="mldlc.evaluation.language:run",
    inputs={"model": port(Model), "tokens": port(Tokens)},
    outputs={"metrics": Metrics},
    reads={"evaluate": LanguageEvaluate},
    needs=Resources(process="light", preload=("torch",)),
    packages=("torch",),
    measures=lambda cfg: _on_val(cfg, names.LANGUAGE),
    doc="Nats a token and a character of a language model, beside a model that only counts tokens.",
)

OUT_OF_FOLD = StepSpec(
    kind="evaluation.out_of_fold",
    version=1,
    impl="mldlc.evaluation.out_of_fold:run",
    inputs={"table": port(Table), "split": port(Split)},
    outputs={"scores": Table},
    reads={"scores": Scores},
    needs=_NEEDS,
    packages=("torch",),
    doc="Scores of train rows by models that did not learn from them, fold by fold.",
)

LABELS = StepSpec(
    kind="evaluation.labels",
    version=1,
    impl="mldlc.evaluation.labels:run",
    inputs={"table": port(Table), "split": port(Split), "scores": port(Table)},
    outputs={"table": Table, "split": Split, "report": Metrics},
    reads={"labels": Labels},
    needs=Resources(process="light"),
    packages=("polars",),
    doc="Finds train rows whose label is likely wrong, by scores out of fold, and drops or relabels them.",
)

DIAGNOSE = StepSpec(
    kind="evaluation.diagnose",
    version=1,
    impl="mldlc.evaluation.diagnose:run",
    inputs=_STUDY,
    outputs={"report": Metrics},
    reads={"diagnose": Diagnose},
    needs=_NEEDS,
    packages=("torch",),
    doc="Benchmark models on the same rows, bias and variance, residuals, sensitivity to every input.",
)

ROBUSTNESS = StepSpec(
    kind="evaluation.robustness",
    version=1,
    impl="mldlc.evaluation.robustness:run",
    inputs=_STUDY,
    outputs={"report": Metrics},
    reads={"robustness": Robustness},
    needs=_NEEDS,
    packages=("torch",),
    doc="How much of the metric is lost when inputs are noisy, missing or shuffled.",
)

XAI = StepSpec(
    kind="evaluation.xai",
    version=1,
    impl="mldlc.evaluation.xai:run",
    inputs=_STUDY,
    outputs={"report": Metrics},
    reads={"xai": Xai},
    needs=_NEEDS,
    packages=("torch",),
    doc="Which inputs a model uses: permutation importance or gradient attribution.",
)

DISTILLATION = StepSpec(
    kind="evaluation.distillation",
    version=1,
    impl="mldlc.evaluation.distillation:run",
    inputs={"teachers": some(Model), "student": port(Model), "twin": port(Model), "table": port(Table),
            "split": port(Split)},
    outputs={"report": Metrics, "timing": Metrics},
    reads={"evaluate": EvaluateConfig},
    needs=_NEEDS,
    packages=("torch",),
    nondeterministic=("timing",),
    doc="Teachers, student and undistilled twin on the same rows: metric with intervals, size, time a row.",
)  # fmt: skip

SEEDS = StepSpec(
    kind="evaluation.seeds",
    version=1,
    impl="mldlc.evaluation.seeds:run",
    inputs={"reports": some(Metrics)},
    outputs={"report": Metrics},
    needs=Resources(process="light"),
    doc="What distillation bought at every point of a sweep, and the mean with its interval: for seeds.",
)

COMPARE = StepSpec(
    kind="evaluation.compare",
    version=1,
    impl="mldlc.evaluation.compare:run",
    inputs={"metrics": many(Metrics)},
    outputs={"comparison": Metrics},
    reads={"compare": CompareConfig},
    needs=Resources(process="light"),
    doc="A table of all points of a sweep, the best one, and how much each swept key matters.",
)

SELECT_BEST = StepSpec(
    kind="evaluation.select_best",
    version=1,
    impl="mldlc.evaluation.compare:select_best",
    inputs={"metrics": many(Metrics), "models": many(Model), "preprocessors": many(Preprocessor)},
    outputs={"decision": Decision, "model": Model, "preprocessor": Preprocessor, "metrics": Metrics},
    reads={"compare": CompareConfig},
    needs=Resources(process="light"),
    doc="Chooses the best point by a metric on validation rows and passes its model on, without a copy.",
)

ENSEMBLE = StepSpec(
    kind="evaluation.ensemble",
    version=1,
    impl="mldlc.evaluation.ensemble:run",
    inputs={"metrics": many(Metrics), "predictions": many(Table)},
    outputs={"metrics": Metrics},
    reads={"compare": CompareConfig, "ensemble": Ensemble},
    needs=Resources(process="light"),
    packages=("polars",),
    doc="What the mean prediction of the best points scores.",
)

"""The steps of evaluation: metrics with slices, and three studies of a trained model (diagnose, robustness, xai)."""

from __future__ import annotations

from mldlc.evaluation.config import Diagnose, EvaluateConfig, Robustness, Slices, Xai
from mldlc.plan.artifact import Metrics, Model, Split, Table
from mldlc.plan.spec import Resources, StepSpec, optional, port

_STUDY = {"model": port(Model), "table": port(Table), "split": port(Split)}
_NEEDS = Resources(process="light", preload=("torch", "torchmetrics"))

EVALUATE = StepSpec(
    kind="evaluation.evaluate",
    version=1,
    impl="mldlc.evaluation.evaluate:run",
    inputs={**_STUDY, "raw": optional(Table)},
    outputs={"metrics": Metrics, "predictions": Table},
    reads={"evaluate": EvaluateConfig, "slices": Slices},
    needs=_NEEDS,
    packages=("torch", "torchmetrics"),
    doc="Metrics, slices, curves and predictions of a model. table: prepared rows; raw: the same rows, cleaned, to "
    "name slices.",
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

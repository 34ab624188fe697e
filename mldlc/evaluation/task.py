"""The task of a model (binary, multiclass, regression), samples of scored rows, and their metrics by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mldlc.evaluation.metrics import binary, multiclass, regression
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

Values = dict[str, float | None]
_BETTER = {"binary": binary.BETTER, "multiclass": multiclass.BETTER, "regression": regression.BETTER}
_PRIMARY = {"binary": "auroc", "multiclass": "accuracy", "regression": "rmse"}


@dataclass(frozen=True)
class Sample:
    """Scored rows. Of a binary task they are sorted by descending probability; any subset in order stays so.

    rows: (n,) row numbers in the table. label: (n,) int64 class or float64 value. prediction: (n,) or (n, k) float64.
    weight: (n,) float64 or None.
    """

    rows: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    weight: np.ndarray | None = None

    def take(self, index: np.ndarray) -> Sample:
        """The rows at ascending positions `index` (or where a mask is true)."""
        weight = None if self.weight is None else self.weight[index]
        return Sample(self.rows[index], self.label[index], self.prediction[index], weight)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Task:
    """What a model does. classes: names of the classes, () for regression. threshold, bins: see `binary.measure`."""

    kind: str
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    bins: int = 15

    @property
    def better(self) -> Mapping[str, str]:
        """Metric -> "higher" or "lower", whichever is better."""
        return _BETTER[self.kind]

    @property
    def primary(self) -> str:
        """The metric that one number stands for: auroc, accuracy or rmse."""
        return _PRIMARY[self.kind]

    def metric(self, name: str, where: str) -> str:
        """A metric named in a config (`auto`: the primary one); StepError with the nearest name when there is none."""
        if name == "auto":
            return self.primary
        if name not in self.better:
            allowed = ", ".join(["auto", *self.better])
            hint = did_you_mean(name, self.better) or f"allowed: {allowed}"
            raise StepError(f"a {self.kind} task has no metric {name!r}; allowed: {allowed}", where=where, hint=hint)
        return name

    def worse_by(self, metric: str, value: float, reference: float) -> float:
        """How much worse `value` is than `reference`, positive when worse."""
        return reference - value if self.better[metric] == "higher" else value - reference

    def sample(
        self, rows: np.ndarray, label: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None
    ) -> Sample:
        """A sample of the rows that have a label (finite, for a class not negative), in the order that metrics need."""
        known = np.isfinite(label) if self.kind == "regression" else np.isfinite(label) & (label >= 0)
        full = Sample(rows, label, prediction, weight)
        if not known.all():
            full = full.take(known)
        full = Sample(
            full.rows,
            full.label.astype(np.float64 if self.kind == "regression" else np.int64, copy=False),
            full.prediction.astype(np.float64, copy=False),
            None if full.weight is None else full.weight.astype(np.float64, copy=False),
        )
        return full.take(np.argsort(-full.prediction, kind="stable")) if self.kind == "binary" else full

    def measure(self, sample: Sample, weight: np.ndarray | None = None) -> Values:
        """Every metric of the task on a sample, None where undefined. weight replaces the sample's own."""
        weight = sample.weight if weight is None else weight
        match self.kind:
            case "binary":
                return binary.measure(sample.label, sample.prediction, weight, self.threshold, self.bins)
            case "multiclass":
                return multiclass.measure(sample.label, sample.prediction, weight)
        return regression.measure(sample.label, sample.prediction, weight)

    def predicted_class(self, prediction: np.ndarray) -> np.ndarray:
        """(n,) int64 class number that a prediction stands for; classification only."""
        if self.kind == "binary":
            return (prediction >= np.float64(self.threshold)).astype(np.int64)  # float32 alone would round it
        return prediction.argmax(1).astype(np.int64)


def task_of(kind: str, classes: Sequence[Any], bins: int = 15) -> Task:
    """The task of a model's objective; StepError for an unknown kind."""
    if kind not in _BETTER:
        raise StepError(f"models of objective {kind!r} cannot be evaluated", hint=f"allowed: {', '.join(_BETTER)}")
    return Task(kind, tuple(str(c) for c in classes), bins=bins)

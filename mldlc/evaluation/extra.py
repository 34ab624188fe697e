"""Further metrics by their torchmetrics names, so that every metric of that library can be asked for in the config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import torch

from mldlc.evaluation.task import Sample, Task
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def find(task: Task, names: Sequence[str]) -> dict[str, Metric]:
    """Name -> function(prediction, label) of torchmetrics.functional; StepError with the nearest name for a typo."""
    if not names:
        return {}
    import torchmetrics.functional.classification as classification
    import torchmetrics.functional.regression as regression

    module = regression if task.kind == "regression" else classification
    prefix = "" if task.kind == "regression" else f"{task.kind}_"
    known = [name.removeprefix(prefix) for name in module.__all__ if name.startswith(prefix)]
    settings = _settings(task)
    return {name: partial(_named(module, prefix, name, known, task.kind), **settings) for name in names}


def _named(module: ModuleType, prefix: str, name: str, known: Sequence[str], kind: str) -> Any:
    if name not in known:
        raise StepError(
            f"torchmetrics has no {kind} metric {name!r}",
            where=f"evaluate.torchmetrics.{kind}",
            hint=did_you_mean(name, known) or f"it has: {', '.join(sorted(known))}",
        )
    return getattr(module, prefix + name)


def _settings(task: Task) -> dict[str, Any]:
    return {"num_classes": len(task.classes)} if task.kind == "multiclass" else {}


def measure(task: Task, metrics: dict[str, Metric], sample: Sample) -> dict[str, float | None]:
    """The metrics of a sample, every row counting alike; None where torchmetrics gives no finite number.

    Binary predictions are handed over as 0 or 1 at the task's threshold to metrics of decisions, so they agree with
    the confusion matrix; metrics of ranking and calibration get the probabilities.
    """
    found: dict[str, float | None] = {}
    label = torch.from_numpy(sample.label)
    for name, metric in metrics.items():
        if not len(sample):
            found[name] = None
            continue
        try:
            value = metric(torch.from_numpy(_prediction(task, metric, sample)), label)
        except (TypeError, ValueError) as error:
            raise StepError(
                f"torchmetrics {name!r} cannot be computed: {error}", where=f"evaluate.torchmetrics.{task.kind}"
            ) from error
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise StepError(
                f"torchmetrics {name!r} gives no single number", where=f"evaluate.torchmetrics.{task.kind}",
                hint="curves and matrices are in the report already",
            )  # fmt: skip
        number = float(value)
        found[name] = number if torch.isfinite(value) else None
    return found


def _prediction(task: Task, metric: Any, sample: Sample) -> Any:
    takes_threshold = "threshold" in inspect.signature(metric.func).parameters
    if task.kind == "binary" and takes_threshold:
        return task.predicted_class(sample.prediction)
    return sample.prediction.copy()

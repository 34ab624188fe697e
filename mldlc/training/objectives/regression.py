"""`objective: regression`: a numeric label, standardised inside and given back in its own unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mldlc.artifacts.model import predictions
from mldlc.plan.context import StepError
from mldlc.training.config import AutoObjective, Regression
from mldlc.training.objective import mean


@dataclass(frozen=True)
class RegressionObjective:
    """Targets are (f(label) - mean) / std with f the identity or log(1 + label)."""

    card: Mapping[str, Any]
    name: str = "mse"
    delta: float = 1.0
    kind: str = field(default="regression", init=False)
    out_features: int = field(default=1, init=False)

    def encode(self, label: np.ndarray) -> Tensor:
        value = _linear(label, self.card["log_target"], self.card["label"])
        return torch.from_numpy(((value - self.card["mean"]) / self.card["std"]).astype(np.float32))

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        reduction = "mean" if weight is None else "none"
        match self.name:
            case "mse":
                losses = F.mse_loss(raw, target, reduction=reduction)
            case "huber":
                losses = F.huber_loss(raw, target, reduction=reduction, delta=self.delta)
            case _:
                losses = F.l1_loss(raw, target, reduction=reduction)
        return losses if weight is None else mean(losses, weight)

    def scores(self, raw: Tensor, target: Tensor) -> dict[str, float]:
        """r2, rmse and mae in the label's own unit."""
        value, truth = predictions(raw, self.card), predictions(target, self.card)
        error = value - truth
        out = {"rmse": float(error.square().mean().sqrt()), "mae": float(error.abs().mean())}
        total = float((truth - truth.mean()).square().sum())
        return {"r2": 1 - float(error.square().sum()) / total, **out} if total > 0 else out


def _linear(label: np.ndarray, log_target: bool, name: str) -> np.ndarray:
    value = label.astype(np.float64)
    if not log_target:
        return value
    if float(value.min()) <= -1:
        raise StepError(
            f"label '{name}' has {value.min():g}, and log(1 + label) needs values above -1",
            where="objective.log_target", hint="set it to false",
        )  # fmt: skip
    return np.log1p(value)


def build(cfg: Regression | AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> RegressionObjective:
    """label: the table's label facts; train: values of the training rows, whose mean and deviation standardise."""
    if label["kind"] != "value":
        raise StepError(
            f"objective 'regression' needs a number, but label '{label['name']}' has classes",
            where="objective.kind", hint="use objective=auto",
        )  # fmt: skip
    log_target = isinstance(cfg, Regression) and cfg.log_target
    value = _linear(train, log_target, label["name"])
    std = float(value.std())
    if not std > 0:
        raise StepError(f"label '{label['name']}' is constant in the training rows", where="objective")
    card = {
        "kind": "regression", "label": label["name"], "mean": float(value.mean()), "std": std, "log_target": log_target,
    }  # fmt: skip
    return (
        RegressionObjective(card)
        if isinstance(cfg, AutoObjective)
        else RegressionObjective(card, cfg.loss, cfg.huber_delta)
    )

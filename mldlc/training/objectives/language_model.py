"""`objective: language_model`: cross-entropy of the next token, in nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mldlc.plan.context import StepError
from mldlc.training.config import AutoObjective, LanguageModel
from mldlc.training.objective import mean


@dataclass(frozen=True)
class LanguageModelObjective:
    """raw: logits (n, vocabulary); target: the tokens that came, (n,) int64."""

    card: Mapping[str, Any]
    out_features: int
    smoothing: float = 0.0
    kind: str = field(default="language_model", init=False)

    def encode(self, label: np.ndarray) -> Tensor:
        return torch.from_numpy(label.astype(np.int64))

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        return mean(F.cross_entropy(raw, target, reduction="none", label_smoothing=self.smoothing), weight)

    def scores(self, raw: Tensor, target: Tensor) -> dict[str, float]:
        return {"accuracy": float((raw.argmax(1) == target).double().mean())}


def build(cfg: LanguageModel | AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> LanguageModelObjective:
    """label: {"kind": "token", "vocabulary"}. StepError where the data is a table."""
    if label["kind"] != "token":
        raise StepError(
            "objective 'language_model' needs tokens, but the stage is given a table", where="objective.kind",
            hint="use lifecycle=text, or objective=auto",
        )  # fmt: skip
    smoothing = 0.0 if isinstance(cfg, AutoObjective) else cfg.label_smoothing
    return LanguageModelObjective({"kind": "language_model"}, int(label["vocabulary"]), smoothing)

"""`objective: binary`: cross-entropy of two classes on one logit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mldlc.plan.context import StepError
from mldlc.training.config import AutoObjective, Binary
from mldlc.training.objective import auroc, mean, require_classes


@dataclass(frozen=True)
class BinaryObjective:
    """Targets are s/2 and 1 - s/2 for label smoothing s; `pos_weight` multiplies the positive rows' loss."""

    card: Mapping[str, Any]
    smoothing: float = 0.0
    pos_weight: float | None = None
    kind: str = field(default="binary", init=False)
    out_features: int = field(default=1, init=False)

    def encode(self, label: np.ndarray) -> Tensor:
        return torch.from_numpy(label * np.float32(1 - self.smoothing) + np.float32(self.smoothing / 2)).float()

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        factor = None if self.pos_weight is None else torch.tensor(self.pos_weight, dtype=raw.dtype, device=raw.device)
        if weight is None:
            return F.binary_cross_entropy_with_logits(raw, target, pos_weight=factor)
        return mean(F.binary_cross_entropy_with_logits(raw, target, pos_weight=factor, reduction="none"), weight)

    def scores(self, raw: Tensor, target: Tensor) -> dict[str, float]:
        positive = target > 0.5
        out = {"accuracy": float(((raw > 0) == positive).double().mean())}
        area = auroc(raw, positive)
        return out if area is None else {"auroc": area, **out}


def build(cfg: Binary | AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> BinaryObjective:
    """label: the table's label facts; train: class indices of the training rows. StepError unless two classes."""
    classes = require_classes(label, "binary")
    if len(classes) != 2:
        raise StepError(
            f"objective 'binary' needs two classes, but '{label['name']}' has {len(classes)}: {classes[:8]}",
            where="objective.kind", hint="use objective=multiclass",
        )  # fmt: skip
    card = {"kind": "binary", "classes": classes, "label": label["name"]}
    if isinstance(cfg, AutoObjective):
        return BinaryObjective(card)
    factor = cfg.pos_weight
    if factor == "auto":
        positive = int((train == 1).sum())
        if positive == 0:
            raise StepError("no training row is positive", where="objective.pos_weight", hint="look at the split")
        factor = (len(train) - positive) / positive
    return BinaryObjective(card, cfg.label_smoothing, factor)

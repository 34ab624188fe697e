"""`objective: multiclass`: cross-entropy over all classes of the label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mldlc.training.config import AutoObjective, Multiclass
from mldlc.training.objective import mean, require_classes


@dataclass(frozen=True)
class MulticlassObjective:
    """Softmax cross-entropy; `class_weights` (k,) weight rows by class, as in torch's `cross_entropy`."""

    card: Mapping[str, Any]
    out_features: int
    smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    kind: str = field(default="multiclass", init=False)

    def encode(self, label: np.ndarray) -> Tensor:
        return torch.from_numpy(label.astype(np.int64))

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        factor = None if self.class_weights is None else raw.new_tensor(self.class_weights)
        reduction = "mean" if weight is None else "none"
        losses = F.cross_entropy(raw, target, weight=factor, label_smoothing=self.smoothing, reduction=reduction)
        return losses if weight is None else mean(losses, weight)

    def scores(self, raw: Tensor, target: Tensor) -> dict[str, float]:
        return {"accuracy": float((raw.argmax(1) == target).double().mean())}


def build(cfg: Multiclass | AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> MulticlassObjective:
    """label: the table's label facts; train: class indices of the training rows."""
    classes = require_classes(label, "multiclass")
    card = {"kind": "multiclass", "classes": classes, "label": label["name"]}
    if isinstance(cfg, AutoObjective):
        return MulticlassObjective(card, len(classes))
    weights = None
    if cfg.class_weights == "balanced":
        count = np.maximum(np.bincount(train.astype(np.int64), minlength=len(classes)), 1)
        weights = tuple(float(w) for w in len(train) / (len(classes) * count))
    return MulticlassObjective(card, len(classes), cfg.label_smoothing, weights)

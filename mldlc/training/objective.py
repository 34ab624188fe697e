"""What an objective offers to the training loop, and the numbers that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mldlc.plan.context import StepError


class Objective(Protocol):
    """Turns labels into targets and raw outputs into a loss.

    kind: binary, multiclass or regression. out_features: raw outputs a row. card: what predictions need to know,
    kept with the model as JSON (see `mldlc.artifacts.model.predictions`).
    """

    kind: str
    out_features: int
    card: Mapping[str, Any]

    def encode(self, label: np.ndarray) -> Tensor:
        """Targets of labels (n,): what `loss` compares with."""
        ...

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean loss over rows, weighted by `weight` (n,) where given. raw: (n,) or (n, k)."""
        ...

    def scores(self, raw: Tensor, target: Tensor) -> dict[str, float]:
        """Validation metrics by name, unweighted; one that is undefined on these rows is left out."""
        ...


def mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of row losses (n,), weighted where `weight` is given."""
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


def auroc(score: Tensor, positive: Tensor) -> float | None:
    """Area under the ROC curve by mean ranks (Mann-Whitney U), ties counted half; None when a class is absent."""
    n_pos = int(positive.sum())
    n_neg = len(positive) - n_pos
    if n_pos == 0 or n_neg == 0:
        return None
    _, group, count = torch.unique(score.double(), return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    rank = last - (count.double() - 1) / 2
    rank_sum = float(rank[group[positive]].sum())
    return (rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)


def require_classes(label: Mapping[str, Any], objective: str) -> list[Any]:
    """The label's classes; StepError when it is a number."""
    if label["kind"] != "class":
        raise StepError(
            f"objective '{objective}' needs a label of classes, but '{label['name']}' is a number",
            where="objective.kind", hint="use objective=regression, or declare the label a category",
        )  # fmt: skip
    return list(label["classes"])

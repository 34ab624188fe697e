"""The linear benchmark: linear or logistic regression on the same prepared inputs, fitted in seconds by L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mldlc.artifacts.tensors import Tensors
from mldlc.evaluation.task import Task

_BATCH = 1 << 16


@dataclass(frozen=True)
class Linear:
    """A fitted linear model. It standardises numeric inputs itself and takes missing ones as their mean."""

    task: Task
    weight: Tensor
    table: Tensor
    bias: Tensor
    offsets: Tensor
    mean: np.ndarray
    sd: np.ndarray
    label_mean: float
    label_sd: float

    def predict(self, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        """(n,) probability of the second class or value, or (n, k) probabilities; float64."""
        outs = []
        for start in range(0, len(numeric), _BATCH):
            x = _standardised(numeric[start : start + _BATCH], self.mean, self.sd)
            raw = _raw(x, _codes(categorical[start : start + _BATCH], self.offsets), self.weight, self.table, self.bias)
            outs.append(self._meaning(raw))
        return torch.cat(outs).numpy() if outs else np.zeros((0, *self._meaning(self.bias[None]).shape[1:]))

    def _meaning(self, raw: Tensor) -> Tensor:
        match self.task.kind:
            case "binary":
                return torch.sigmoid(raw[:, 0])
            case "multiclass":
                return torch.softmax(raw, dim=1)
        return raw[:, 0] * self.label_sd + self.label_mean


Given = tuple[Task, np.ndarray, np.ndarray, list[int], np.ndarray, np.ndarray | None]
"""Task, numeric, categorical, cardinalities, label and weight: what `fit_linear` and `fit_boosting` begin with."""


def given(task: Task, tensors: Tensors, rows: np.ndarray, label: np.ndarray | None = None) -> Given:
    """Copies of these rows for a fit. label: (n,) in place of the table's own."""
    label = tensors.label[rows] if label is None else label
    return (
        task,
        tensors.numeric[rows],
        tensors.categorical[rows],
        [int(item["cardinality"]) for item in tensors.info["categorical"]],
        label.astype(np.float64 if task.kind == "regression" else np.int64),
        None if tensors.weight is None else tensors.weight[rows].astype(np.float64),
    )


def fit_linear(
    task: Task,
    numeric: np.ndarray,
    categorical: np.ndarray,
    cardinalities: Sequence[int],
    label: np.ndarray,
    weight: np.ndarray | None,
    *,
    iterations: int,
    l2: float,
) -> Linear:
    """Fit on labelled rows by full-batch L-BFGS in float64. l2: penalty on the squared weights, per row."""
    sizes = torch.tensor([0, *cardinalities], dtype=torch.int64)
    offsets = sizes.cumsum(0)[:-1]
    mean = np.nanmean(numeric, axis=0, dtype=np.float64) if numeric.size else np.zeros(numeric.shape[1])
    sd = np.nanstd(numeric, axis=0, dtype=np.float64) if numeric.size else np.ones(numeric.shape[1])
    regression = task.kind == "regression"
    centre, scale = (float(label.mean()), float(label.std()) or 1.0) if regression else (0.0, 1.0)
    outputs = max(len(task.classes), 1) if task.kind == "multiclass" else 1
    x, codes = _standardised(numeric, mean, sd), _codes(categorical, offsets)
    target = torch.from_numpy((label - centre) / scale if regression else label)
    share = torch.ones(len(label), dtype=torch.float64) if weight is None else torch.from_numpy(weight)
    share = share / share.sum()
    parameters = [
        torch.zeros(numeric.shape[1], outputs, dtype=torch.float64, requires_grad=True),
        torch.zeros(max(int(sizes.sum()), 1), outputs, dtype=torch.float64, requires_grad=True),
        torch.zeros(outputs, dtype=torch.float64, requires_grad=True),
    ]
    solver = torch.optim.LBFGS(parameters, max_iter=iterations, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        losses = _losses(task, _raw(x, codes, *parameters), target)
        loss = (losses * share).sum() + l2 * (parameters[0].square().sum() + parameters[1].square().sum())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[arg-type]
    fitted = [p.detach() for p in parameters]
    return Linear(task, *fitted, offsets, mean, sd, centre, scale)


def _losses(task: Task, raw: Tensor, target: Tensor) -> Tensor:
    match task.kind:
        case "binary":
            return functional.binary_cross_entropy_with_logits(raw[:, 0], target.to(raw.dtype), reduction="none")
        case "multiclass":
            return functional.cross_entropy(raw, target, reduction="none")
    return (raw[:, 0] - target).square()


def _raw(x: Tensor, codes: Tensor, weight: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    raw = x @ weight + bias
    return raw + functional.embedding_bag(codes, table, mode="sum") if codes.shape[1] else raw


def _standardised(numeric: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> Tensor:
    return torch.from_numpy(np.nan_to_num((numeric - mean) / np.where(sd > 0, sd, 1.0)))


def _codes(categorical: np.ndarray, offsets: Tensor) -> Tensor:
    return torch.from_numpy(categorical.astype(np.int64)) + offsets

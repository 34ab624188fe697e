"""What a training asks of the rows of a prepared table, wherever they are held, and the form of its batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from mldlc.artifacts.model import joined
from mldlc.plan.context import StepError
from mldlc.training.loader import Loader
from mldlc.training.objective import Objective

WEIGHED = "give `split` rows that weigh something, or the column of weights no role"
NAMES = ("numeric", "categorical", "label", "weight")


@dataclass(frozen=True)
class Form:
    """The form of a batch: `columns` (numeric, categorical, label[, weight]), the same as a `dict`, or (x, y) `joined`.

    encode: labels (n,) -> what a batch holds of them.
    """

    style: Literal["columns", "dict", "joined"]
    encode: Callable[[np.ndarray], Tensor]

    @property
    def weighs(self) -> bool:
        """Whether the loss is ours, which weighs the rows; what a user's does with weights is its own."""
        return self.style == "columns"

    def whole(self, parts: tuple[Tensor, ...]) -> Any:
        """A batch of tensors that are in the form already, but for the names."""
        return dict(zip(NAMES, parts, strict=False)) if self.style == "dict" else parts

    def batch(self, parts: tuple[Tensor, ...]) -> Any:
        """A batch of columns as they are stored: numbers become float32 and codes int32."""
        numeric, categorical, label, *weight = parts
        numeric, categorical = numeric.float(), categorical.int()
        if self.style == "joined":
            return joined(numeric, categorical), label
        return self.whole((numeric, categorical, label, *weight))


def form_of(cfg: Any, net: nn.Module, objective: Objective) -> Form:
    """The form for a network: a user's LightningModule gets labels as they are."""
    if not isinstance(net, pl.LightningModule):
        return Form("columns", objective.encode)
    dtype = torch.float32 if objective.kind == "regression" else torch.int64
    return Form("dict" if cfg.model.batch == "dict" else "joined", lambda label: torch.from_numpy(label).to(dtype))


class Rows(Protocol):
    """The rows of a table by part of its split. fed: see `mldlc.training.job.Job`."""

    fed: Mapping[str, Any]

    def count(self, part: str) -> int:
        """Rows of a part; 0 when the split has no such part."""
        ...

    def labels(self, part: str) -> np.ndarray:
        """The labels of a part, in table order; StepError when one is missing."""
        ...

    def train(self, form: Form) -> Loader:
        """Batches of part train."""
        ...

    def val(self, form: Form) -> Loader:
        """Batches of part val, which has rows."""
        ...


def check_labels(values: np.ndarray, rows: np.ndarray, part: str) -> None:
    """StepError when a label is missing. rows: numbers of these rows."""
    bad = ~np.isfinite(values) if np.issubdtype(values.dtype, np.floating) else values < 0
    if bad.any():
        raise StepError(
            f"{int(bad.sum())} rows of '{part}' have no label, first at row {int(rows[bad][0])}",
            where="clean", hint="drop rows without a label in `clean`",
        )  # fmt: skip

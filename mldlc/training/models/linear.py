"""`model: linear`: linear or logistic regression, with one weight for each value of a categorical column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mldlc.training.config import Linear
from mldlc.training.models.categorical import offsets


class TabularLinear(nn.Module):
    """Raw output = W numeric + sum over categorical columns of w[code] + b; starts at zero.

    numeric (B, F) float32, categorical (B, K) int32; gives (B,) when `out_features` is 1, else (B, out_features).
    """

    def __init__(self, n_numeric: int, cardinalities: Sequence[int], out_features: int) -> None:
        super().__init__()
        self.out_features = out_features
        self.numeric = nn.Linear(n_numeric, out_features)
        nn.init.zeros_(self.numeric.weight)
        nn.init.zeros_(self.numeric.bias)
        self.codes: nn.EmbeddingBag | None = None
        if cardinalities:
            self.codes = nn.EmbeddingBag(sum(cardinalities), out_features, mode="sum")
            nn.init.zeros_(self.codes.weight)
            self.register_buffer("offsets", offsets(cardinalities), persistent=False)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        raw = self.numeric(numeric)
        if self.codes is not None:
            raw = raw + self.codes(categorical + self.offsets)
        return raw.squeeze(1) if self.out_features == 1 else raw


def describe(cfg: Linear, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments of the model. sizes: n_numeric, cardinalities, in_features, out_features."""
    args = {name: sizes[name] for name in ("n_numeric", "cardinalities", "out_features")}
    return f"{__name__}:{TabularLinear.__name__}", args

"""`model: mlp`: a multilayer perceptron over numeric columns and embedded categorical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mldlc.training.config import Mlp
from mldlc.training.models.categorical import offsets
from mldlc.training.models.chain import Chain
from mldlc.training.models.numeric import Periodic, PiecewiseLinear

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
NORMS = {"none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class Block(nn.Module):
    """Linear, norm, activation, dropout; with `residual` the input is added where the widths agree."""

    def __init__(self, n_in: int, n_out: int, activation: str, norm: str, dropout: float, residual: bool) -> None:
        super().__init__()
        normalise = NORMS[norm]
        layers: list[nn.Module] = [nn.Linear(n_in, n_out)]
        layers += [normalise(n_out)] if normalise else []
        layers += [ACTIVATIONS[activation]()]
        layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers)
        self.residual = residual and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class TabularMLP(Chain):
    """Gives raw outputs (logits, or standardised values): (B,) when `out_features` is 1, else (B, out_features).

    numeric (B, F) float32 and categorical (B, K) int32 codes below `cardinalities`; F or K may be 0. All categorical
    columns share one embedding table with offsets, so a step costs one lookup.
    """

    entry, sequence, exit = ("numeric", "embedding", "input_dropout"), "body", ("head",)

    def __init__(
        self,
        n_numeric: int,
        cardinalities: Sequence[int],
        out_features: int,
        layers: Sequence[int] = (256, 128),
        dropout: float = 0.0,
        activation: str = "relu",
        norm: str = "none",
        residual: bool = False,
        embedding_dim: int = 8,
        embedding_dropout: float = 0.0,
        numeric_embedding: str = "none",
        numeric_dim: int = 16,
        numeric_bins: int = 32,
        frequency_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        width = n_numeric
        self.numeric: nn.Module | None = None
        if n_numeric and numeric_embedding == "piecewise":
            self.numeric = PiecewiseLinear(n_numeric, numeric_bins, numeric_dim)
        elif n_numeric and numeric_embedding == "periodic":
            self.numeric = Periodic(n_numeric, numeric_bins, frequency_scale, numeric_dim)
        if self.numeric is not None:
            width = n_numeric * numeric_dim
        self.embedding: nn.Embedding | None = None
        if cardinalities:
            self.embedding = nn.Embedding(sum(cardinalities), embedding_dim)
            self.register_buffer("offsets", offsets(cardinalities), persistent=False)
            width += len(cardinalities) * embedding_dim
        self.input_dropout = nn.Dropout(embedding_dropout) if embedding_dropout else None
        blocks = []
        for size in layers:
            blocks.append(Block(width, size, activation, norm, dropout, residual))
            width = size
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(width, out_features)

    def fit_inputs(self, numeric: Tensor) -> None:
        """Let encodings that need it look at the training rows once, before the first step."""
        if isinstance(self.numeric, PiecewiseLinear):
            self.numeric.fit(numeric)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        return self.leave(self.body(self.enter(numeric, categorical)))

    def enter(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        parts = [numeric if self.numeric is None else self.numeric(numeric).flatten(1)]
        if self.embedding is not None:
            parts.append(self.embedding(categorical + self.offsets).flatten(1))
        x = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return x if self.input_dropout is None else self.input_dropout(x)

    def leave(self, x: Tensor) -> Tensor:
        raw = self.head(x)
        return raw.squeeze(1) if self.out_features == 1 else raw


def describe(cfg: Mlp, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments of the model. sizes: n_numeric, cardinalities, in_features, out_features."""
    args = {name: sizes[name] for name in ("n_numeric", "cardinalities", "out_features")}
    return f"{__name__}:{TabularMLP.__name__}", args | cfg.model_dump(exclude={"kind"})

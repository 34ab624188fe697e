"""`model: ft_transformer`: every column becomes a token, a transformer mixes them, a class token is read.

After Gorishniy, Rubachev, Khrulkov, Babenko, "Revisiting Deep Learning Models for Tabular Data" (NeurIPS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mldlc.plan.context import StepError
from mldlc.training.config import FtTransformer
from mldlc.training.models.categorical import offsets
from mldlc.training.models.chain import Chain


class Tokens(nn.Module):
    """(B, F) numbers and (B, K) codes -> (B, 1 + F + K, dim): the class token, then a token a column.

    A number's token is value * weight + bias of its column, a category's its embedding + the bias of its column.
    """

    def __init__(self, n_numeric: int, cardinalities: Sequence[int], dim: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.empty(1 + n_numeric, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_numeric + len(cardinalities), dim).uniform_(-bound, bound))
        self.embedding: nn.Embedding | None = None
        if cardinalities:
            self.embedding = nn.Embedding(sum(cardinalities), dim)
            nn.init.uniform_(self.embedding.weight, -bound, bound)
            self.register_buffer("offsets", offsets(cardinalities), persistent=False)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        columns = [numeric[..., None] * self.weight[1:]]
        if self.embedding is not None:
            columns.append(self.embedding(categorical + self.offsets))
        first = self.weight[:1].expand(len(numeric), 1, -1)
        return torch.cat([first, torch.cat(columns, dim=1) + self.bias], dim=1)


class Block(nn.Module):
    """Pre-norm attention and a ReGLU feed-forward. first: no norm before attention. last: only the class token."""

    def __init__(
        self, dim: int, heads: int, hidden: int, dropouts: tuple[float, float, float], first: bool, last: bool
    ) -> None:
        super().__init__()
        attention, feed_forward, residual = dropouts
        self.heads, self.attention_dropout, self.last = heads, attention, last
        self.norm1 = nn.Identity() if first else nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.query, self.key_value, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 2 * hidden), nn.Linear(hidden, dim)
        self.drop = nn.Dropout(feed_forward)
        self.residual = nn.Dropout(residual)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm1(x)
        asking, x = (seen[:, :1], x[:, :1]) if self.last else (seen, x)
        x = x + self.residual(self._attend(asking, seen))
        value, gate = self.up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.residual(self.down(self.drop(value * torch.relu(gate))))

    def _attend(self, asking: Tensor, seen: Tensor) -> Tensor:
        key, value = self.key_value(seen).chunk(2, dim=-1)
        split = [t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.query(asking), key, value)]
        dropout = self.attention_dropout if self.training else 0.0
        return self.out(F.scaled_dot_product_attention(*split, dropout_p=dropout).transpose(1, 2).flatten(2))


class FTTransformer(Chain):
    """Gives raw outputs: (B,) when `out_features` is 1, else (B, out_features).

    numeric (B, F) float32 and categorical (B, K) int32 codes below `cardinalities`; F or K may be 0.
    """

    undecayed = ("tokens.",)
    entry, sequence, exit = ("tokens",), "body", ("head",)

    def __init__(
        self,
        n_numeric: int,
        cardinalities: Sequence[int],
        out_features: int,
        blocks: int = 3,
        dim: int = 192,
        heads: int = 8,
        hidden_factor: float = 4 / 3,
        attention_dropout: float = 0.2,
        hidden_dropout: float = 0.1,
        residual_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        self.tokens = Tokens(n_numeric, cardinalities, dim)
        dropouts, hidden = (attention_dropout, hidden_dropout, residual_dropout), round(dim * hidden_factor)
        self.body = nn.Sequential(
            *(Block(dim, heads, hidden, dropouts, first=i == 0, last=i == blocks - 1) for i in range(blocks))
        )
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, out_features))

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        return self.leave(self.body(self.enter(numeric, categorical)))

    def enter(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        return self.tokens(numeric, categorical)

    def leave(self, x: Tensor) -> Tensor:
        raw = self.head(x[:, 0])
        return raw.squeeze(1) if self.out_features == 1 else raw


def describe(cfg: FtTransformer, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments of the model. sizes: n_numeric, cardinalities, in_features, out_features."""
    if not sizes["in_features"]:
        raise StepError("model 'ft_transformer' needs at least one column", where="model.kind")
    args = {name: sizes[name] for name in ("n_numeric", "cardinalities", "out_features")}
    return f"{__name__}:{FTTransformer.__name__}", args | cfg.model_dump(exclude={"kind"})

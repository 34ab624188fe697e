"""A model of one's own: a plain `nn.Module`; mldlc gives it the loss, the optimizer and the sizes of the data.

A `LightningModule` works as well, unchanged, with its own steps and optimizer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GatedNet(nn.Module):
    """Numbers and embedded categories, then residual blocks in which one half gates the other."""

    def __init__(
        self,
        n_numeric: int,
        cardinalities: list[int],
        out_features: int,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = [min(16, 1 + size // 2) for size in cardinalities]
        self.embeddings = nn.ModuleList(
            nn.Embedding(count, size) for count, size in zip(cardinalities, sizes, strict=True)
        )
        self.first = nn.Linear(n_numeric + sum(sizes), width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(depth))
        self.last = nn.Linear(width, out_features)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Logits, (B, out_features), of numeric (B, F) and categorical (B, K) columns."""
        parts = [embed(categorical[:, i]) for i, embed in enumerate(self.embeddings)]
        x = self.first(torch.cat([numeric, *parts], dim=1))
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class Block(nn.Module):
    """x + half * sigmoid(other half)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.both = nn.Linear(width, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as `x`."""
        return x + self.dropout(nn.functional.glu(self.both(self.norm(x)), dim=1))

"""Embeddings of numeric columns: piecewise-linear and periodic encodings, each followed by a linear layer a column.

After Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning" (NeurIPS 2022).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ColumnLinear(nn.Module):
    """One linear layer a column: (B, F, n_in) -> (B, F, n_out), with its own weights for each of the F columns."""

    def __init__(self, columns: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(columns, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight).transpose(0, 1)


class PiecewiseLinear(nn.Module):
    """Encodes a value by how far it fills each of `bins` intervals between quantiles of the training rows.

    Component t of a value x is clamp((x - b[t]) / (b[t+1] - b[t]), 0, 1), open to the outside in the first and last
    interval, so that values beyond the training range keep their order. Edges are buffers: they travel with the
    weights. `fit` sets them; before that they are evenly spaced over [-3, 3].
    """

    def __init__(self, columns: int, bins: int, dim: int) -> None:
        super().__init__()
        edges = torch.linspace(-3, 3, bins + 1).repeat(columns, 1)
        self.register_buffer("low", edges[:, :-1].clone())
        self.register_buffer("scale", 1 / (edges[:, 1:] - edges[:, :-1]))
        floor, ceiling = torch.zeros(bins), torch.ones(bins)
        floor[0], ceiling[-1] = -math.inf, math.inf
        self.register_buffer("floor", floor, persistent=False)
        self.register_buffer("ceiling", ceiling, persistent=False)
        self.linear = ColumnLinear(columns, bins, dim)

    @torch.no_grad()
    def fit(self, numeric: Tensor) -> None:
        """Put the edges at the quantiles of `numeric` (rows, F). Equal quantiles give intervals that stay empty."""
        bins = self.low.shape[1]
        rows = numeric[:: max(1, len(numeric) // 200_000)]
        edges = torch.quantile(rows.double(), torch.linspace(0, 1, bins + 1, dtype=torch.double), dim=0).T.float()
        width = edges[:, 1:] - edges[:, :-1]
        self.low.copy_(edges[:, :-1])
        self.scale.copy_(torch.where(width > 0, 1 / width.clamp_min(1e-12), 0.0))

    def forward(self, x: Tensor) -> Tensor:
        filled = (x[..., None] - self.low) * self.scale
        return torch.relu(self.linear(torch.clamp(filled, self.floor, self.ceiling)))


class Periodic(nn.Module):
    """Encodes a value x by sin and cos of 2 pi c x with trained frequencies c, drawn from N(0, scale)."""

    def __init__(self, columns: int, frequencies: int, scale: float, dim: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(columns, frequencies) * scale)
        self.linear = ColumnLinear(columns, 2 * frequencies, dim)

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * self.frequency * x[..., None]
        return torch.relu(self.linear(torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)))

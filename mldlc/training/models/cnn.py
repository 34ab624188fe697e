"""`model: cnn`: a small convolutional network over images whose pixels are the numeric columns of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mldlc.plan.context import StepError
from mldlc.training.config import Cnn
from mldlc.training.models.mlp import ACTIVATIONS


class ImageCNN(nn.Module):
    """Stages of 3x3 convolutions with batch norm, halved by max-pooling between them; gives logits (B, out_features).

    numeric (B, C*H*W) float32: pixels by channel, row, column. They are standardised by the mean and the deviation of
    all training pixels of their channel, which travel with the weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (16, 32),
        convolutions: int = 2,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.shape, self.out_features = tuple(shape), out_features
        depth, height, width = self.shape
        self.register_buffer("mean", torch.zeros(depth, 1, 1))
        self.register_buffer("scale", torch.ones(depth, 1, 1))
        layers: list[nn.Module] = []
        for number, size in enumerate(channels):
            if number:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            for _ in range(convolutions):
                layers += [nn.Conv2d(depth, size, 3, padding=1, bias=False), nn.BatchNorm2d(size)]
                layers += [ACTIVATIONS[activation]()]
                depth = size
        self.body = nn.Sequential(*layers)
        self.pool = nn.AdaptiveMaxPool2d((min(height, 2), min(width, 2)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(depth * min(height, 2) * min(width, 2), out_features)

    @torch.no_grad()
    def fit_inputs(self, numeric: Tensor) -> None:
        """Take mean and deviation of each channel from the training rows, once, before the first step."""
        pixels = numeric.view(-1, self.shape[0], self.shape[1] * self.shape[2]).double()
        self.mean.copy_(pixels.mean(dim=(0, 2))[:, None, None])
        self.scale.copy_(1 / pixels.std(dim=(0, 2), correction=0).clamp_min(1e-12)[:, None, None])

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        x = (numeric.view(-1, *self.shape) - self.mean) * self.scale
        raw = self.head(self.dropout(self.pool(self.body(x)).flatten(1)))
        return raw.squeeze(1) if self.out_features == 1 else raw


def describe(cfg: Cnn, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments; StepError when the table's columns are not the pixels of the declared image."""
    shape, found = " x ".join(map(str, cfg.shape)), int(sizes["n_numeric"])
    if sizes["cardinalities"]:
        raise StepError(
            f"model 'cnn' reads pixels, but the table has {len(sizes['cardinalities'])} categorical columns",
            where="model.kind", hint="treat them as numeric or drop them in `prepare.columns`",
        )  # fmt: skip
    if math.prod(cfg.shape) != found:
        raise StepError(
            f"an image of {shape} has {math.prod(cfg.shape)} pixels, but the table has {found} numeric columns",
            where="model.shape", hint="set it to [channels, height, width] of the images",
        )  # fmt: skip
    return f"{__name__}:{ImageCNN.__name__}", {"out_features": sizes["out_features"]} | cfg.model_dump(exclude={"kind"})

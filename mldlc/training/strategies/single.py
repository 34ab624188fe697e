"""`strategy: auto` on one device: no other process, nothing to gather."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch import Tensor

FAMILY = "whole"
RESIZES = True
AVERAGES = True


def build(cfg: Any) -> Any:
    """What `lightning.Trainer(strategy=...)` gets."""
    return "auto"


def prepare(cfg: Any, module: pl.LightningModule) -> None:
    """Nothing to shard."""


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """A copy of all weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}

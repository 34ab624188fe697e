"""`strategy: single`, on one device: no other process, nothing to gather."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch import Tensor

RESIZES = True
AVERAGES = True
ROLLS_BACK = True


def family(cfg: Any) -> str:
    """Checkpoints of one family can be read by each other: here one file with the whole model."""
    return "whole"


def copies(cfg: Any) -> int:
    """Ranks that work on the same rows."""
    return 1


def build(cfg: Any, module: pl.LightningModule) -> Any:
    """What `lightning.Trainer(strategy=...)` gets."""
    return "auto"


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """A copy of all weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}

"""`strategy: ddp`: every rank has the whole model, gradients are averaged."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from mldlc.training.strategies.single import AVERAGES, RESIZES, ROLLS_BACK, copies, family, weights

__all__ = ["AVERAGES", "RESIZES", "ROLLS_BACK", "build", "copies", "family", "weights"]


def build(cfg: Any, module: pl.LightningModule) -> DDPStrategy:
    """Buffers are equal by construction, but for those of batch norm, where rank 0's count as in torch.

    Gradients lie in the buckets that are reduced: else each rank would have them twice.
    """
    return DDPStrategy(find_unused_parameters=False, gradient_as_bucket_view=True)

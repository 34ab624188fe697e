"""`strategy: ddp`: every rank has the whole model, gradients are averaged."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.strategies import DDPStrategy

from mldlc.training.strategies.single import AVERAGES, FAMILY, RESIZES, prepare, weights

__all__ = ["AVERAGES", "FAMILY", "RESIZES", "build", "prepare", "weights"]


def build(cfg: Any) -> DDPStrategy:
    """Buffers are equal by construction, but for those of batch norm, where rank 0's count as in torch."""
    return DDPStrategy(find_unused_parameters=False)

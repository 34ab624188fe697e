"""What settings do to a network before its strategy takes it; its weights keep their values and names."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import nn

from mldlc.plan.context import StepError
from mldlc.training.loop_config import LightningTrainer
from mldlc.training.module import TabularModule
from mldlc.training.recompute import recompute, repeated
from mldlc.training.toolchain import missing_compiler


def prepare(cfg: LightningTrainer, module: pl.LightningModule) -> None:
    """Compile it, and have its blocks compute their activations again, as asked; StepError where that cannot be."""
    net = module.net if isinstance(module, TabularModule) else module
    if cfg.compile:
        error = missing_compiler()
        if error is not None:
            raise error
        if net is module:
            raise StepError(
                f"{type(net).__name__} has steps of its own, which only it can compile", where="trainer.compile",
                hint="call torch.compile in its `configure_model`, and set it to false",
            )  # fmt: skip
        compile_blocks(net)
    if cfg.activation_checkpointing:
        recompute(net)


def compile_blocks(net: nn.Module) -> None:
    """Compile each block by itself, or a network without blocks whole, when it is called first.

    Equal blocks share what is compiled, and what shards a network stays outside of it. Only `forward` is replaced, so
    that weights keep their names.
    """
    for part in repeated(net) or [net]:
        part.forward = torch.compile(part.forward)

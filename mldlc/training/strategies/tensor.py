"""`strategy: tensor_parallel` and `tp_fsdp2`: linear layers are cut by their outputs over the ranks (torch's DTensor).

Ranks of one group work on the same rows. A pair of layers that a network names in `pairs` exchanges once, after its
second layer; any other layer gives its whole output to all. With fsdp2 what the cut leaves is sharded over the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from mldlc.plan.context import StepError
from mldlc.training.module import TabularModule
from mldlc.training.parts import Cut, blocks, cuts
from mldlc.training.strategies.fsdp2 import AVERAGES, ROLLS_BACK, Sharded, weights

__all__ = ["AVERAGES", "RESIZES", "ROLLS_BACK", "build", "copies", "family", "weights"]

RESIZES = False
PAIR = 2  # ranks of a group of tp_fsdp2


def copies(cfg: Any) -> int:
    """Ranks of a group."""
    return int(cfg.devices if cfg.strategy == "tensor_parallel" else PAIR)


def family(cfg: Any) -> str:
    """Shards of DTensors over the mesh of this very strategy."""
    return str(cfg.strategy)


def build(cfg: Any, module: pl.LightningModule) -> ModelParallelStrategy:
    """StepError for a network without a layer to cut, and for a user's LightningModule that does not cut itself."""
    size = copies(cfg)
    if isinstance(module, TabularModule):
        if not cuts(module.net, size):
            raise StepError(
                f"no linear layer of {type(module.net).__name__} has outputs that {size} ranks can share",
                where="trainer.strategy", hint="use trainer=fsdp2 or ddp",
            )  # fmt: skip
        module.parallelize = lambda made: cut(made, size)
    elif type(module).configure_model is pl.LightningModule.configure_model:
        raise StepError(
            f"{type(module).__name__} does not say how to cut itself", where="trainer.strategy",
            hint="call parallelize_module in its `configure_model`, or use trainer=ddp",
        )  # fmt: skip
    return Sharded(data_parallel_size=cfg.devices // size, tensor_parallel_size=size)


def styles(net: nn.Module, size: int) -> dict[str, ParallelStyle]:
    """torch's word for each cut, by the layer's name."""
    made: dict[Cut, Callable[[], ParallelStyle]] = {
        "outputs": ColwiseParallel,
        "inputs": RowwiseParallel,
        "gathered": lambda: ColwiseParallel(output_layouts=Replicate()),
    }
    return {name: made[kind]() for name, kind in cuts(net, size).items()}


def cut(module: TabularModule, size: int) -> None:
    """Cut the network in place; then shard it, where there are several groups."""
    mesh = module.device_mesh
    assert mesh is not None
    parallelize_module(module.net, mesh["tensor_parallel"], styles(module.net, size))
    if mesh["data_parallel"].size() > 1:
        for block in blocks(module.net):
            fully_shard(block, mesh=mesh["data_parallel"])
        fully_shard(module.net, mesh=mesh["data_parallel"])

"""`strategy: fsdp2`: parameters, gradients and optimizer states are sharded by torch's `fully_shard`."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard

from mldlc.plan.context import StepError
from mldlc.training.module import TabularModule

FAMILY = "sharded"
RESIZES = True
AVERAGES = False


def build(cfg: Any) -> ModelParallelStrategy:
    """All devices shard the data."""
    return ModelParallelStrategy(data_parallel_size=cfg.devices, tensor_parallel_size=1)


def prepare(cfg: Any, module: pl.LightningModule) -> None:
    """Shard the network when Lightning has its device mesh. A user's LightningModule does so in `configure_model`."""
    if isinstance(module, TabularModule):
        module.parallelize = lambda made: shard(made, made.device_mesh["data_parallel"])
    elif type(module).configure_model is pl.LightningModule.configure_model:
        raise StepError(
            f"{type(module).__name__} does not say how to shard itself", where="trainer.strategy",
            hint="call fully_shard in its `configure_model`, or use trainer=ddp",
        )  # fmt: skip


def shard(module: TabularModule, mesh: Any) -> None:
    """Each block of the network by itself, so that only one is whole at a time; then what is left."""
    module.net.to(module.trainer.strategy.root_device)
    for block in blocks(module.net):
        fully_shard(block, mesh=mesh)
    fully_shard(module.net, mesh=mesh)


def blocks(net: torch.nn.Module) -> list[torch.nn.Module]:
    """Members of the network's lists of layers that have parameters."""
    lists = [part for part in net.modules() if isinstance(part, torch.nn.Sequential | torch.nn.ModuleList)]
    inner = {id(part) for group in lists for member in group for part in member.modules()}
    outer = [group for group in lists if id(group) not in inner]
    return [member for group in outer for member in group if any(True for _ in member.parameters())]


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """All weights on the CPU, on rank 0 only; a collective."""
    found = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: tensor.clone() for name, tensor in found.items()}

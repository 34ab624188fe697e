"""`strategy: fsdp2`: parameters, gradients and optimizer states are sharded by torch's `fully_shard`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard

from mldlc.plan.context import StepError
from mldlc.training.module import TabularModule
from mldlc.training.parts import blocks
from mldlc.training.strategies.single import copies

__all__ = ["AVERAGES", "RESIZES", "ROLLS_BACK", "build", "copies", "family", "weights"]

RESIZES = True
AVERAGES = False
ROLLS_BACK = True


class Sharded(ModelParallelStrategy):
    """Lightning reads shards without saying that they hold more than weights, which torch then refuses."""

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        return super().load_checkpoint(checkpoint_path, weights_only=False)


def family(cfg: Any) -> str:
    """Shards of torch's distributed checkpoint, which other numbers of ranks can read."""
    return "sharded"


def build(cfg: Any, module: pl.LightningModule) -> ModelParallelStrategy:
    """All devices shard the data. A user's LightningModule shards itself in `configure_model`."""
    if isinstance(module, TabularModule):
        module.parallelize = lambda made: shard(made, made.device_mesh["data_parallel"])
    elif type(module).configure_model is pl.LightningModule.configure_model:
        raise StepError(
            f"{type(module).__name__} does not say how to shard itself", where="trainer.strategy",
            hint="call fully_shard in its `configure_model`, or use trainer=ddp",
        )  # fmt: skip
    return Sharded(data_parallel_size=cfg.devices, tensor_parallel_size=1)


def shard(module: TabularModule, mesh: Any) -> None:
    """Each block of the network by itself, so that only one is whole on the device at a time; then what is left.

    torch moves to the device what it shards, and Lightning what is left then.
    """
    for block in blocks(module.net):
        fully_shard(block, mesh=mesh)
    fully_shard(module.net, mesh=mesh)


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """All weights on the CPU, on rank 0 only; a collective."""
    found = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: found.pop(name).clone() for name in list(found)}

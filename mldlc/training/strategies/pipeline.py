"""`strategy: pipeline`: the network is cut between its blocks; micro-batches run along the ranks (torch's 1F1B).

Lightning keeps its loop. Its one step of a batch runs forward and backward of all micro-batches, so gradients are put
aside there and handed over where Lightning wants them.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.pipelining import ScheduleGPipe
from torch.optim import Optimizer

from mldlc.plan.context import StepError
from mldlc.training.models.chain import Chain
from mldlc.training.module import TabularModule
from mldlc.training.ranks import SEED_STEP
from mldlc.training.stages import Line
from mldlc.training.strategies.single import weights as own_weights

__all__ = ["AVERAGES", "RESIZES", "ROLLS_BACK", "build", "copies", "family", "weights"]

RESIZES = True
AVERAGES = False
ROLLS_BACK = True
FILE = "stage-{}.ckpt"


def copies(cfg: Any) -> int:
    """All ranks are given the same rows."""
    return int(cfg.devices)


def family(cfg: Any) -> str:
    """A file a stage, by the names of the weights: other numbers of stages can read them."""
    return "stages"


def build(cfg: Any, module: pl.LightningModule) -> DDPStrategy:
    """StepError for a network that cannot be cut over so many ranks."""
    if "return_outputs" not in inspect.signature(ScheduleGPipe.step).parameters:
        raise StepError(f"torch {torch.__version__} is too old for trainer=pipeline", where="trainer.strategy")
    net = module.net if isinstance(module, TabularModule) else module
    blocks = len(getattr(net, net.sequence)) if isinstance(net, Chain) else 0
    if cfg.devices > blocks + 1:
        raise StepError(
            f"{type(net).__name__} has {blocks} blocks, which {cfg.devices} devices cannot share"
            if isinstance(net, Chain)
            else f"{type(net).__name__} is no sequence of blocks that could be cut",
            where="trainer.strategy", hint="lower trainer.devices, or use trainer=fsdp2",
        )  # fmt: skip
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.modules()):
        raise StepError(
            "batch norm would see micro-batches, so the model would be another one than on one device",
            where="trainer.strategy", hint="use model.norm=layer, or trainer=fsdp2",
        )  # fmt: skip
    strategy = Staged()
    module.parallelize = lambda made: strategy.cut(made, cfg.micro_batches, cfg.seed)
    return strategy


class Staged(DDPStrategy):
    """Ranks with a stage each; a checkpoint is a folder with a file a stage."""

    line: Line
    fresh: list[Tensor | None]

    def cut(self, module: TabularModule, parts: int, seed: int) -> None:
        """Leave of the network what this rank computes, and give the rank random numbers of its own."""
        self.line = Line(module, parts, self.root_device, self.precision_plugin.forward_context)
        torch.manual_seed(seed + SEED_STEP * self.global_rank)

    def configure_ddp(self) -> None:
        """Nothing is equal on two ranks but what the ends share."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        own = list(self.lightning_module.parameters())
        before = [parameter.grad for parameter in own]
        for parameter in own:
            parameter.grad = None
        loss = self.line.learn(batch, 1 / self.lightning_module.trainer.accumulate_grad_batches)
        self.fresh = [parameter.grad for parameter in own]
        for parameter, grad in zip(own, before, strict=True):
            parameter.grad = grad
        return loss

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        module = self.lightning_module
        closure_loss = self.precision_plugin.pre_backward(closure_loss, module)
        for parameter, grad in zip(module.parameters(), self.fresh, strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad.add_(grad)
        self.fresh = []
        if not module.trainer.fit_loop._should_accumulate():
            self.line.add_shared()
        return self.precision_plugin.post_backward(closure_loss, module)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        out = self.line.tell(batch)
        if out is not None:
            with self.precision_plugin.val_step_context():
                self.lightning_module.keep(self.lightning_module.shaped(out), batch)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return get_optimizer_state_dict(self.lightning_module, getattr(optimizer, "_optimizer", optimizer))

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        folder = Path(filepath)
        folder.mkdir(exist_ok=True)
        torch.save(checkpoint, folder / FILE.format(self.global_rank))

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """What the own stage left, with the weights and optimizer states of all: their owners may be others now."""
        count = len(list(Path(checkpoint_path).glob(FILE.format("*"))))
        files = [Path(checkpoint_path) / FILE.format(number) for number in range(count)]
        stages = [torch.load(file, map_location="cpu", weights_only=False, mmap=True) for file in files]
        found = stages[min(self.global_rank, count - 1)]
        state = {name: value for stage in stages for name, value in stage["state_dict"].items()}
        found["state_dict"] = {name: state[name] for name in self.lightning_module.state_dict()}
        found["optimizer_states"] = [
            {
                "state": {name: value for part in parts for name, value in part["state"].items()},
                "param_groups": [group for part in parts for group in part["param_groups"]],
            }
            for parts in zip(*(stage["optimizer_states"] for stage in stages), strict=True)
        ]
        return found

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            set_optimizer_state_dict(self.lightning_module, optimizer, state)


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """All weights on the CPU, on rank 0 only; a collective."""
    own = own_weights(module)
    stages: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(own, stages)
    return {name: tensor for stage in reversed(stages or []) for name, tensor in stage.items()}

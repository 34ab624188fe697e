"""`strategy: deepspeed_*`: ZeRO stages of DeepSpeed, through Lightning; on CPU ranks over gloo as well.

zero1 shards optimizer states, zero2 gradients too, zero3 parameters too; offload is zero3 with parameters and optimizer
states in the memory of the host. Optimizers are torch's: no kernel of DeepSpeed's is compiled.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from mldlc.plan.context import StepError
from mldlc.training.parts import bucket_of
from mldlc.training.preload import on_cpu
from mldlc.training.strategies.single import copies

__all__ = ["AVERAGES", "RESIZES", "ROLLS_BACK", "build", "copies", "family", "weights"]

RESIZES = False
AVERAGES = False
ROLLS_BACK = False
STAGES = {"deepspeed_zero1": 1, "deepspeed_zero2": 2, "deepspeed_zero3": 3, "deepspeed_offload": 3}
WHOLE = 100_000  # parameters of fewer elements stay on every rank in stage 3, at most


def family(cfg: Any) -> str:
    """Shards of this very stage."""
    return str(cfg.strategy)


def build(cfg: Any, module: pl.LightningModule) -> DeepSpeedStrategy:
    """StepError when DeepSpeed is not installed."""
    if importlib.util.find_spec("deepspeed") is None:
        raise StepError(
            f"strategy '{cfg.strategy}' needs DeepSpeed", where="trainer.strategy",
            hint="pip install 'mldlc[deepspeed]', or use trainer=fsdp2",
        )  # fmt: skip
    if on_cpu(cfg):
        os.environ["DS_ACCELERATOR"] = "cpu"  # read when deepspeed is imported
        import deepspeed

        deepspeed.ops.__compatible_ops__ = {}  # else it compiles an all-reduce of its own that training never calls
        return CpuZero(config=settings(cfg, module, cpu=True))
    return Zero(config=settings(cfg, module, cpu=False))


def settings(cfg: Any, module: nn.Module, cpu: bool) -> dict[str, Any]:
    """DeepSpeed's own config of a stage. Its buffers are as large as it says, so it says no more than it needs."""
    count = sum(parameter.numel() for parameter in module.parameters())
    bucket, stage = bucket_of(count), STAGES[cfg.strategy]
    zero: dict[str, Any] = {
        "stage": stage, "contiguous_gradients": True, "overlap_comm": not cpu, "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
    }  # fmt: skip
    if stage == 3:
        zero |= {
            "stage3_param_persistence_threshold": min(WHOLE, count // 100), "stage3_prefetch_bucket_size": bucket,
            "stage3_max_live_parameters": bucket, "stage3_max_reuse_distance": bucket,
        }  # fmt: skip
    if cfg.strategy == "deepspeed_offload":
        place = {"device": "cpu", "pin_memory": not cpu}
        zero |= {"offload_optimizer": place, "offload_param": place}
    found: dict[str, Any] = {
        "zero_optimization": zero, "zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False,
        "train_micro_batch_size_per_gpu": 1,
    }  # fmt: skip
    if cfg.precision == "bf16-mixed":  # as Lightning means it: weights in fp32, operations under autocast
        found["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
    if cfg.precision == "bf16-true":
        found["bf16"] = {"enabled": True}
    return found


class Zero(DeepSpeedStrategy):
    """Lightning's strategy, with gradients accumulated as without it: an epoch's last batch always takes a step."""

    def setup(self, trainer: pl.Trainer) -> None:
        if "torch_autocast" in self.config:
            self.precision_plugin = DeepSpeedPrecision("32-true")  # casts no inputs; the engine's autocast does
        super().setup(trainer)

    @property
    def handles_gradient_accumulation(self) -> bool:
        return not self.lightning_module.trainer.fit_loop.epoch_loop._num_ready_batches_reached()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        waits = self.lightning_module.trainer.fit_loop._should_accumulate()
        self.deepspeed_engine.set_gradient_accumulation_boundary(not waits)

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        # Lightning has divided the loss by the number of accumulated batches; the engine would do so once more
        return super().backward(closure_loss, optimizer, *args, scale_wrt_gas=False, **kwargs)

    def _format_config(self) -> None:
        self._format_batch_size_and_grad_accum_config()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        return {}  # the engine writes the weights

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Tensor]:
        return {}  # and the states of the optimizer

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        return super().load_checkpoint(checkpoint_path, weights_only=False)


class CpuZero(Zero):
    """The same on CPU ranks, which Lightning refuses and DeepSpeed serves."""

    def setup_environment(self) -> None:
        assert self.parallel_devices is not None
        self.parallel_devices = [torch.device("cpu", number) for number in range(len(self.parallel_devices))]
        DDPStrategy.setup_environment(self)


def weights(module: pl.LightningModule) -> dict[str, Tensor]:
    """All weights in fp32 on the CPU, on rank 0 only; a collective."""
    from deepspeed import zero
    from deepspeed.utils import safe_get_full_fp32_param

    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        whole = safe_get_full_fp32_param(tensor) if tensor.requires_grad else None
        with zero.GatheredParameters([tensor] if whole is None and hasattr(tensor, "ds_id") else []):  # a frozen one
            if module.global_rank == 0:
                found[name] = (tensor if whole is None else whole).detach().cpu().clone()
    return found

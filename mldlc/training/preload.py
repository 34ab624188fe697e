"""What ranks share from before their start: modules of their strategy, which the worker itself does without."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import torch

from mldlc.training.spec import STRATEGIES

MUON = "deepspeed.runtime.zero.muon.muon_optimizer"  # asked for by every stage; it brings torch's compiler: 45 MB


def on_cpu(cfg: Any) -> bool:
    """Whether the ranks work on CPUs. Asks in a way that leaves CUDA usable in forked processes."""
    return cfg.accelerator == "cpu" or (cfg.accelerator == "auto" and torch.cuda.device_count() == 0)


def preload(cfg: Any) -> tuple[str, ...]:
    """Modules to import once for all ranks.

    DeepSpeed looks for a GPU when it is imported, which processes that use one must do themselves.
    """
    strategy = STRATEGIES[cfg.strategy]
    if not cfg.strategy.startswith("deepspeed") or importlib.util.find_spec("deepspeed") is None or not on_cpu(cfg):
        return (strategy,)
    os.environ["DS_ACCELERATOR"] = "cpu"
    return ("deepspeed", MUON, strategy)

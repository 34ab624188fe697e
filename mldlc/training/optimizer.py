"""Builds the optimizer and its learning-rate schedule from the config."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from mldlc.plan.context import StepError
from mldlc.training.config import Adam, Cosine, OneCycle, Plateau, Scheduler, Sgd, StepDown


def decayed(cfg: Adam | Sgd, net: nn.Module) -> list[dict[str, Any]] | list[nn.Parameter]:
    """Parameters for the optimizer: all alike, or in two groups of which the second is not decayed.

    A network exempts more than vectors by `undecayed`, prefixes of parameter names.
    """
    if cfg.decay == "all":
        return list(net.parameters())
    exempt: tuple[str, ...] = tuple(getattr(net, "undecayed", ()))
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    free = {name for name, p in named if p.ndim < 2 or (exempt and name.startswith(exempt))}
    groups = [
        {"params": [p for name, p in named if name not in free]},
        {"params": [p for name, p in named if name in free], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(cfg: Adam | Sgd, parameters: Iterable[Any], fused: bool) -> torch.optim.Optimizer:
    """torch's optimizer of that name; `fused` updates all weights in one kernel. parameters: or groups of them."""
    if isinstance(cfg, Sgd):
        nesterov = cfg.nesterov and cfg.momentum > 0
        return torch.optim.SGD(
            parameters, lr=cfg.lr, momentum=cfg.momentum, nesterov=nesterov, weight_decay=cfg.weight_decay, fused=fused
        )
    kind = torch.optim.AdamW if cfg.kind == "adamw" else torch.optim.Adam
    betas = (cfg.betas[0], cfg.betas[1])
    return kind(parameters, lr=cfg.lr, betas=betas, eps=cfg.eps, weight_decay=cfg.weight_decay, fused=fused)


def configure(
    cfg: Adam | Sgd, optimizer: torch.optim.Optimizer, epoch_steps: int, total_steps: int | None
) -> dict[str, Any]:
    """What `configure_optimizers` returns. epoch_steps, total_steps: optimizer steps (None: no end is set)."""
    schedule = cfg.scheduler
    if isinstance(schedule, Plateau):
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, schedule.mode, factor=schedule.factor, patience=schedule.patience
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "interval": "epoch", "monitor": schedule.monitor},
        }
    if isinstance(schedule, Cosine | OneCycle) and total_steps is None:
        raise StepError(
            f"schedule '{schedule.kind}' needs an end", where="trainer.max_epochs", hint="set max_epochs or max_steps"
        )
    if isinstance(schedule, OneCycle):
        assert total_steps is not None
        scheduler: Any = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, cfg.lr, total_steps=total_steps + 1, pct_start=schedule.pct_start,
            div_factor=schedule.div_factor, final_div_factor=schedule.final_div_factor, cycle_momentum=False,
        )  # fmt: skip
    elif schedule.kind == "none" and not cfg.warmup_steps:
        return {"optimizer": optimizer}
    else:
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: factor(schedule, step, cfg.warmup_steps, epoch_steps, total_steps)
        )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def factor(schedule: Scheduler, step: int, warmup: int, epoch_steps: int, total_steps: int | None) -> float:
    """The factor on lr at an optimizer step, from 0: a linear warm-up, then the schedule over the remaining steps."""
    if step < warmup:
        return (step + 1) / warmup
    if isinstance(schedule, Cosine):
        assert total_steps is not None
        done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * done)) / 2
    if isinstance(schedule, StepDown):
        return schedule.gamma ** (step // (epoch_steps * schedule.step_size))
    return 1.0

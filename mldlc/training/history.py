"""Keeps what a training found: one row an epoch, and the weights of the best validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.training.loop_config import BestCheckpoint
from mldlc.training.meter import Meter
from mldlc.training.ranks import Ranks

FORMAT = "mldlc.history/1"
Copy = Callable[[pl.LightningModule], dict[str, Tensor]]


def logged(trainer: pl.Trainer) -> dict[str, float]:
    """Metrics that were logged so far, finite ones only, by name."""
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {name: value for name, value in sorted(found.items()) if math.isfinite(value)}


class MonitorCheck(pl.Callback):
    """Names a monitored metric that no validation gives; stands before the callbacks that would stumble over it."""

    def __init__(self, monitors: Iterable[tuple[str, str]]) -> None:
        self.monitors = tuple(monitors)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        names = sorted(trainer.callback_metrics)
        for where, monitor in self.monitors:
            if monitor not in trainer.callback_metrics:
                hint = (
                    did_you_mean(monitor, names) or f"there is: {', '.join(names) or 'nothing; log one, or set null'}"
                )
                raise StepError(f"no metric '{monitor}' to monitor", where=where, hint=hint)


class History(pl.Callback):
    """One row an epoch: epoch (from 1), train_loss, what validation logged, lr at its end.

    Carries what was logged last: an epoch without a validation shows, and early stopping looks at, the one before.
    """

    def __init__(self, ctx: Context, meter: Meter) -> None:
        self.ctx, self.meter = ctx, meter
        self.epochs: list[dict[str, Any]] = []
        self._latest: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.callback_metrics.update(self._latest)
        self._latest = trainer.callback_metrics

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            for name, value in logged(trainer).items():
                self.ctx.metric(name, value, trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1, **logged(trainer)}
        if self.meter.train_loss is not None:
            row["train_loss"] = self.meter.train_loss
        if trainer.optimizers:
            row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.epochs.append(row)

    def state_dict(self) -> dict[str, Any]:
        latest = {name: value.detach().cpu().clone() for name, value in self._latest.items()}
        return {"epochs": self.epochs, "latest": latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self._latest = list(state_dict["epochs"]), dict(state_dict["latest"])


class BestWeights(pl.Callback):
    """Keeps a copy of the weights of the validation with the best monitor; they are part of the checkpoint.

    copy: gives all weights of a module, on rank 0 at least; a collective where they are sharded.
    """

    def __init__(self, cfg: BestCheckpoint, ranks: Ranks, copy: Copy) -> None:
        self.cfg, self.ranks, self.copy = cfg, ranks, copy
        self.best: float | None = None
        self.epoch: int | None = None
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        value = float(trainer.callback_metrics[self.cfg.monitor])
        if self.ranks.world > 1:  # a metric of the user's own may differ, but all must come to one opinion
            value = float(self.ranks.mean(torch.tensor(value, device=trainer.strategy.root_device)))
        better = self.best is None or (value < self.best if self.cfg.mode == "min" else value > self.best)
        if math.isfinite(value) and better:
            self.best, self.epoch = value, trainer.current_epoch + 1
            self.weights = {}  # makes room for the next ones
            self.weights = self.copy(pl_module)

    def restore(self, module: pl.LightningModule) -> None:
        """Put the best weights back, if a validation gave any."""
        if self.weights:
            module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.epoch, self.weights = state_dict["best"], state_dict["epoch"], state_dict["weights"]


class LastWeights(pl.Callback):
    """Copies the weights at the end, where no validation was best, while the strategy that shards them still stands."""

    def __init__(self, best: BestWeights | None, copy: Copy) -> None:
        self.best, self.copy = best, copy
        self.weights: dict[str, Tensor] = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.best is None or self.best.best is None:
            self.weights = self.copy(pl_module)

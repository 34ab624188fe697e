"""Watches for losses that jump or are no number: names the rows of the batch, and goes on, goes back or stops."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from mldlc.plan.context import Context, StepError
from mldlc.training.loader import Loader
from mldlc.training.loop_config import Spikes
from mldlc.training.ranks import Ranks

SHOWN = 8  # rows in a message; the step's log and history.json have them all
FEWEST = 10  # losses that say what is usual


class SpikeWatch(pl.Callback):
    """Looks at the loss of every step; stands before the callbacks that would take a bad one for good.

    found: {epoch, step, loss, usual, action, rows}: rows are row numbers of the table, the most extreme ones first
    where one process has the whole batch. `rollback` keeps a copy of weights and optimizer of every `every` steps and
    puts it back, so that the batches since then have no effect; the schedule of the rate goes on.
    """

    def __init__(self, ctx: Context, cfg: Spikes, loader: Loader, ranks: Ranks) -> None:
        self.ctx, self.cfg, self.loader, self.ranks = ctx, cfg, loader, ranks
        self.usual: deque[float] = deque(maxlen=cfg.window)
        self.found: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}
        self.bad = False
        self._since = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.cfg.action == "rollback" and not self.kept:
            self._keep(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bad = False
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None:
            return
        value = float(self.ranks.mean(loss.detach().clone().float())) * trainer.accumulate_grad_batches
        normal = median(self.usual) if len(self.usual) >= FEWEST else math.inf
        if math.isfinite(value) and value <= self.cfg.factor * max(normal, 1e-12):
            self.usual.append(value)
            self._since += 1
            if self.cfg.action == "rollback" and self._since >= self.cfg.every:
                self._keep(trainer, pl_module)
            return
        self.bad = True
        self._tell(trainer, value, normal, batch)
        if self.cfg.action == "rollback":
            self._back(trainer, pl_module)

    def _tell(self, trainer: pl.Trainer, value: float, normal: float, batch: Any) -> None:
        rows = ordered(self.loader.rows_at(self.loader.epoch, self.loader.position - 1), batch)
        step = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        action = self.cfg.action
        self.found.append(
            {
                "epoch": trainer.current_epoch + 1, "step": step, "loss": value if math.isfinite(value) else str(value),
                "usual": normal if math.isfinite(normal) else None, "action": action, "rows": rows,
            }
        )  # fmt: skip
        text = f"the loss became {value:.6g} in epoch {trainer.current_epoch + 1}, step {step}"
        text += f" (usual: {normal:.6g}); {named(rows)}" if math.isfinite(normal) else f"; {named(rows)}"
        if action == "stop" or (action == "report" and not math.isfinite(value)):
            raise StepError(text, where="callbacks.spikes", hint="look at these rows, or set spikes.action=rollback")
        if len(self.found) > self.cfg.limit:
            raise StepError(
                f"{text}; it is the {len(self.found)}th spike", where="callbacks.spikes.limit",
                hint="lower optimizer.lr, set trainer.gradient_clip_val, or look at the rows",
            )  # fmt: skip
        self.ctx.log.warning("%s: %s", text, action)

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._since = 0
        self.kept = {
            "module": {name: tensor.detach().clone() for name, tensor in module.state_dict().items()},
            "optimizers": [copy.deepcopy(optimizer.state_dict()) for optimizer in trainer.optimizers],
        }

    def _back(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.load_state_dict(self.kept["module"])
        for optimizer, state in zip(trainer.optimizers, self.kept["optimizers"], strict=True):
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(copy.deepcopy(state))
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"usual": list(self.usual), "found": self.found, "kept": self.kept, "since": self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.usual.extend(state_dict["usual"])
        self.found, self.kept, self._since = list(state_dict["found"]), state_dict["kept"], state_dict["since"]


def ordered(rows: np.ndarray, batch: Any) -> list[int]:
    """Row numbers of a batch, those with the largest input or label first; as they are where it has other rows."""
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    extremes = []
    for part in parts:
        if isinstance(part, Tensor) and part.is_floating_point() and len(part) == len(rows) and part.numel():
            size = torch.nan_to_num(part.detach().abs().double(), nan=math.inf, posinf=math.inf)
            extremes.append(size.reshape(len(rows), -1).amax(1).cpu().numpy())
    if not extremes:
        return [int(row) for row in rows]
    return [int(row) for row in rows[np.argsort(-np.max(extremes, axis=0), kind="stable")]]


def named(rows: list[int]) -> str:
    """The rows of a batch in words."""
    shown = ", ".join(map(str, rows[:SHOWN]))
    return f"rows of its batch: {shown}" + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")

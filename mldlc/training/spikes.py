"""Watches for losses that jump or are no number: names the rows of the batch, and goes on, goes back or stops."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mldlc.artifacts.table import write_json
from mldlc.plan.context import Context, StepError
from mldlc.training.loader import Loader
from mldlc.training.loop_config import Spikes
from mldlc.training.ranks import Ranks
from mldlc.training.sharding import is_shard

SHOWN = 8  # rows in a message
FILE = "bad_batch.json"  # in the step's scratch folder: all rows of the batch that ended a training
FEWEST = 10  # losses that say what is usual


class SpikeWatch(pl.Callback):
    """Looks at the loss of every step; stands before the callbacks that would take a bad one for good.

    found: {epoch, step, loss, usual, action, rows}: rows are row numbers of the table, the most extreme ones first
    where one process has the whole batch. `rollback` keeps a copy of weights and optimizer of every `every` steps and
    puts it back, so that the batches since then have no effect; the schedule of the rate goes on.
    kept: that copy, of what this rank has. sharded: it is not part of the state of the callback, which is rank 0's.
    """

    def __init__(self, ctx: Context, cfg: Spikes, loader: Loader, ranks: Ranks, sharded: bool) -> None:
        self.ctx, self.cfg, self.loader, self.ranks, self.sharded = ctx, cfg, loader, ranks, sharded
        self.usual: deque[float] = deque(maxlen=cfg.window)
        self.found: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}
        self.bad = False
        self._since = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.cfg.action == "rollback" and not self.kept:
            self.kept = copied(trainer.optimizers, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bad = False
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None or self.loader.empty:
            return
        value = float(self.ranks.mean(loss.detach().clone().float())) * trainer.accumulate_grad_batches
        normal = median(self.usual) if len(self.usual) >= FEWEST else math.inf
        if math.isfinite(value) and value <= self.cfg.factor * max(normal, 1e-12):
            self.usual.append(value)
            self._since += 1
            if self.cfg.action == "rollback" and self._since >= self.cfg.every:
                self._since, self.kept = 0, copied(trainer.optimizers, pl_module)
            return
        self.bad = True
        self._tell(trainer, value, normal, batch)
        if self.cfg.action == "rollback":
            put_back(self.kept, trainer.optimizers, pl_module)

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
        stops = action == "stop" or (action == "report" and not math.isfinite(value))
        many = len(self.found) > self.cfg.limit
        text = f"the loss became {value:.6g} in epoch {trainer.current_epoch + 1}, step {step}"
        text += f" (usual: {normal:.6g})" if math.isfinite(normal) else ""
        text += f"; {kept(self.ctx, self.found[-1]) if stops or many else named(rows)}"
        if stops:
            raise StepError(text, where="callbacks.spikes", hint="look at these rows, or set spikes.action=rollback")
        if many:
            raise StepError(
                f"{text}; it is the {len(self.found)}th spike", where="callbacks.spikes.limit",
                hint="lower optimizer.lr, set trainer.gradient_clip_val, or look at the rows",
            )  # fmt: skip
        if self.ctx.rank == 0:  # all ranks see the same
            self.ctx.log.warning("%s: %s", text, action)

    def state_dict(self) -> dict[str, Any]:
        kept = {} if self.sharded else self.kept
        return {"usual": list(self.usual), "found": self.found, "kept": kept, "since": self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.usual.extend(state_dict["usual"])
        self.found, self._since = list(state_dict["found"]), state_dict["since"]
        self.kept = state_dict["kept"] or self.kept


def _own(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies on this rank, not a copy."""
    return tensor.to_local() if is_shard(tensor) else tensor


def _params(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@torch.no_grad()
def copied(optimizers: Iterable[Optimizer], module: nn.Module) -> dict[str, Any]:
    """Weights, and the states of the optimizers by parameter: of what this rank has."""

    def copy(value: Any) -> Any:
        return _own(value).clone() if isinstance(value, Tensor) else value

    states = [
        [{name: copy(value) for name, value in optimizer.state.get(p, {}).items()} for p in _params(optimizer)]
        for optimizer in optimizers
    ]
    return {"module": [copy(tensor) for tensor in module.state_dict().values()], "optimizers": states}


@torch.no_grad()
def put_back(kept: dict[str, Any], optimizers: Iterable[Optimizer], module: nn.Module) -> None:
    """Make weights and states what `copied` gave, in place; gradients are dropped, and rates stay as they are."""
    for tensor, old in zip(module.state_dict().values(), kept["module"], strict=True):
        _own(tensor).copy_(old)
    for optimizer, states in zip(optimizers, kept["optimizers"], strict=True):
        for parameter, state in zip(_params(optimizer), states, strict=True):
            if not state:  # no step was made then
                optimizer.state.pop(parameter, None)
            for name, old in state.items():
                if isinstance(old, Tensor):
                    _own(optimizer.state[parameter][name]).copy_(old)
                else:
                    optimizer.state[parameter][name] = old
        optimizer.zero_grad(set_to_none=True)


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


def kept(ctx: Context, about: dict[str, Any]) -> str:
    """The same for the batch that ends a training; where a message cannot have all rows, they go to a file it names.

    about: epoch, step, loss and rows of the batch.
    """
    rows = about["rows"]
    if len(rows) <= SHOWN:
        return named(rows)
    file = ctx.scratch / FILE
    if ctx.rank == 0:
        write_json(file, about)
    return f"{named(rows)}, all in {file}"

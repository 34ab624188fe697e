"""Watches every training step at little cost: loss, progress, live metrics, the share of time that data took."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch

from mldlc.plan.context import Context, StepError
from mldlc.training.loader import Loader
from mldlc.training.ranks import Ranks
from mldlc.training.rows import WEIGHED
from mldlc.training.spikes import SpikeWatch, kept, named

BEAT_SECONDS = 0.5


class Meter(pl.Callback):
    """Means the training loss of an epoch and stops at a loss that is no number.

    Losses are kept in a buffer and read once in `every` steps, so a GPU is not waited for at each step. The buffer is
    part of the checkpoint as it stands: the mean of an epoch does not depend on when a checkpoint was written.
    spikes: tells which losses are not to be counted. empty: batches whose rows weigh nothing, which are not either.
    """

    def __init__(
        self, ctx: Context, every: int, total_steps: int | None, ranks: Ranks, loader: Loader,
        spikes: SpikeWatch | None = None,
    ) -> None:  # fmt: skip
        self.ctx, self.every, self.total, self.ranks, self.loader = ctx, every, total_steps, ranks, loader
        self.spikes = spikes
        self.places: list[int] = []
        self.seconds, self._mark, self._waited = 0.0, 0.0, loader.waited
        self.total_loss, self.count, self.filled, self.empty = 0.0, 0, 0, 0
        self.buffer = torch.zeros(every, dtype=torch.float64)
        self.train_loss: float | None = None
        self._beat = 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.buffer = self.buffer.to(trainer.strategy.root_device, torch.float32 if _is_mps(trainer) else torch.float64)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.total_loss, self.count, self.filled = 0.0, 0, 0
        self.places.clear()
        self._mark = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark = time.perf_counter()

    @property
    def data_wait(self) -> float:
        """Share of the time of the steps, without validations, in which the training waited for a batch."""
        return (self.loader.waited - self._waited) / self.seconds if self.seconds else 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if self.loader.empty:
            self._tell_empty(trainer)
        elif loss is not None and not (self.spikes is not None and self.spikes.bad):
            self.buffer[self.filled] = loss
            self.places.append(self.loader.position - 1)
            self.filled += 1
            if self.filled == self.every:
                self._read(trainer)
        done_at = time.perf_counter()
        self.seconds, self._mark = self.seconds + done_at - self._mark, done_at
        now = time.monotonic()
        if now >= self._beat:
            self._beat = now + BEAT_SECONDS
            done = trainer.global_step if self.total is None else min(trainer.global_step, self.total)
            self.ctx.progress(done, self.total, f"epoch {trainer.current_epoch + 1}")

    def _tell_empty(self, trainer: pl.Trainer) -> None:
        """Of the first one; all of them are counted."""
        self.empty += 1
        if self.empty == 1 and self.ranks.rank == 0:
            rows = [int(row) for row in self.loader.rows_at(self.loader.epoch, self.loader.position - 1)]
            self.ctx.log.warning(
                "a batch has weights that sum to 0, so nothing is learnt from it, in epoch %d, step %d; %s",
                trainer.current_epoch + 1, trainer.fit_loop.epoch_loop.total_batch_idx + 1, named(rows),
            )  # fmt: skip

    def _read(self, trainer: pl.Trainer) -> None:
        # Lightning divides the loss that it returns by accumulate_grad_batches
        losses = (
            self.ranks.mean(self.buffer[: self.filled].clone()).cpu().double() * trainer.accumulate_grad_batches
        ).tolist()
        latest = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        for number, loss in enumerate(losses):
            if not math.isfinite(loss):
                place = self.places[number]
                rows = [int(row) for row in self.loader.rows_at(self.loader.epoch, place)]
                epoch, step = trainer.current_epoch + 1, latest - (self.places[-1] - place)
                about = {"epoch": epoch, "step": step, "loss": str(loss), "rows": rows}
                raise StepError(
                    f"the loss became {loss} in epoch {epoch}, step {step}; {kept(self.ctx, about)}",
                    where="optimizer.lr",
                    hint="lower optimizer.lr, set trainer.gradient_clip_val, or look for extreme feature values; "
                    "callbacks.spikes={action: rollback} goes on without the batch",
                )
        self.total_loss += math.fsum(losses)
        self.count += len(losses)
        self.filled = 0
        self.places.clear()
        if losses:
            mean = math.fsum(losses) / len(losses)
            self.ctx.metric("train_loss", mean, trainer.global_step)
            for logger in trainer.loggers:
                logger.log_metrics({"train_loss": mean}, trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._read(trainer)
        if self.empty and not self.count:
            raise StepError("the rows of 'train' have weights that sum to 0", where="source.roles", hint=WEIGHED)
        self.train_loss = self.total_loss / self.count if self.count else None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # a broken loss is told as such, before metrics or early stopping stumble over it
        if trainer.sanity_checking or not self.filled:
            return
        broken = not bool(torch.isfinite(self.buffer[: self.filled]).all())
        if self.ranks.most([float(broken)], self.buffer.device)[0]:
            self._read(trainer)

    def state_dict(self) -> dict[str, Any]:
        losses = self.ranks.gather(self.buffer[: self.filled].cpu().clone())
        sums = {"total": self.total_loss, "count": self.count, "empty": self.empty}
        return sums | {"losses": losses, "places": list(self.places)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # the reading interval is a runtime setting: it may have changed since the checkpoint
        losses = state_dict["losses"]
        losses = losses[self.ranks.rank] if len(losses) == self.ranks.world else torch.stack(losses).mean(0)
        self.total_loss, self.count, self.empty = state_dict["total"], state_dict["count"], state_dict["empty"]
        self.places = list(state_dict["places"])
        self.every = max(self.every, len(losses) + 1)
        self.buffer = torch.zeros(self.every, dtype=self.buffer.dtype, device=self.buffer.device)
        self.buffer[: len(losses)] = losses.to(self.buffer)
        self.filled = len(losses)


def _is_mps(trainer: pl.Trainer) -> bool:
    return trainer.strategy.root_device.type == "mps"

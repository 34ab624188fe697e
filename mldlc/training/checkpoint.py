"""Exact resume: a checkpoint in the step's scratch folder that holds everything the next step depends on.

It is written at the end of a training step, never between epochs or at a validation, because Lightning does not
keep its place there exactly (resumed, it would skip a plateau schedule or a validation). Training whose epoch is one
batch therefore leaves no checkpoint and starts again.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from mldlc.plan.context import Cancelled, Context
from mldlc.training.loader import BatchLoader

NAME = "resume.ckpt"
PATIENCE_SECONDS = 5.0  # a run that was asked to stop waits so long for a step after which the place is exact


class RandomState(pl.Callback):
    """Carries the random generators of torch, CUDA, numpy and Python; stands first, so that it restores first."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "torch": torch.get_rng_state(),
            "cuda": cuda,
            "numpy": np.random.get_state(),
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._loaded is None:
            return
        torch.set_rng_state(self._loaded["torch"])
        if self._loaded["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(self._loaded["cuda"])
        np.random.set_state(self._loaded["numpy"])
        random.setstate(self._loaded["python"])
        self._loaded = None
        # Lightning takes the whole resumed epoch for restarting and would leave out its plateau schedule
        trainer.fit_loop._restarting = False


class Checkpointer(pl.Callback):
    """Writes the checkpoint once an epoch, every `seconds`, and when the run was asked to stop; stands last."""

    def __init__(self, ctx: Context, loader: BatchLoader, seconds: float) -> None:
        self.ctx, self.loader, self.seconds = ctx, loader, seconds
        self._next = time.monotonic() + seconds
        self._due = False
        self._look = 0.0
        self._give_up: float | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._due = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now >= self._look:
            self._look = now + 0.1
            if self._give_up is None and (self.ctx.cancelled() or trainer.received_sigterm):
                self._give_up = now + PATIENCE_SECONDS
            self._due = self._due or now >= self._next
        stopping = self._give_up is not None
        exact = (self._due or stopping) and self._exact(trainer, batch_idx)
        if exact:
            save(trainer, folder(self.ctx) / NAME)
            self._due, self._next = False, time.monotonic() + self.seconds
        if self._give_up is not None and (exact or now >= self._give_up):
            raise Cancelled(f"stopped in epoch {trainer.current_epoch + 1} at step {trainer.global_step}")

    def _exact(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Whether nothing is pending after this batch: no gradients, no validation, no end of the epoch."""
        loop, done = trainer.fit_loop.epoch_loop, batch_idx + 1
        if done >= trainer.num_training_batches or loop._should_accumulate():
            return False
        every = trainer.val_check_batch
        return not (trainer.enable_validation and isinstance(every, int) and done % every == 0)

    def state_dict(self) -> dict[str, Any]:
        return {"loader": self.loader.state_dict()}


def folder(ctx: Context) -> Path:
    """Where checkpoints of this key lie."""
    path = ctx.scratch / "checkpoints"
    path.mkdir(exist_ok=True)
    return path


def save(trainer: pl.Trainer, path: Path) -> None:
    """Write a checkpoint durably: a reader finds the old one or the new one, whole, whatever happens meanwhile."""
    fresh = path.with_suffix(".tmp")
    trainer.save_checkpoint(fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    where = os.open(path.parent, os.O_RDONLY)
    os.fsync(where)
    os.close(where)


def resumable(ctx: Context, loader: BatchLoader) -> Path | None:
    """The checkpoint to continue from, with the loader put at its place; None to start afresh.

    The loader is restored here and not by Lightning, which forgets it when a module asks for the number of steps
    while it configures its optimizers.
    """
    path = folder(ctx) / NAME
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=False)
        loader.load_state_dict(state["callbacks"][Checkpointer.__qualname__]["loader"])
    except Exception as error:
        ctx.log.warning("checkpoint cannot be read, training starts afresh: %s: %s", type(error).__name__, error)
        path.unlink()
        return None
    ctx.log.info("continues from epoch %d, step %d", state["epoch"] + 1, state["global_step"])
    return path

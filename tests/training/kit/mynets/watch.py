"""A user's own callbacks."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers.logger import DummyLogger


class DieOnce(pl.Callback):
    """Kills its process after each of some steps, once each; a mark in `folder` remembers it. rank: only that one."""

    def __init__(self, folder: str, steps: list[int], rank: int = 0) -> None:
        self.folder, self.steps, self.rank = Path(folder), steps, rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        mark = self.folder / f"died-{trainer.fit_loop.epoch_loop.total_batch_idx}"
        due = trainer.fit_loop.epoch_loop.total_batch_idx in self.steps and trainer.global_rank == self.rank
        if due and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Stop(pl.Callback):
    """Ends the training after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step >= self.steps


class Silent(DummyLogger):
    """A logger that keeps nothing."""

"""A user's own callbacks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import lightning.pytorch as pl
import psutil
import torch
from lightning.pytorch.loggers.logger import DummyLogger


class DieOnce(pl.Callback):
    """Kills a process before each of some batches, once each; a mark in `folder` remembers it.

    rank: kills only that one, of itself; None: rank 0 kills all ranks, in the order of the system. by: the signal.
    """

    def __init__(self, folder: str, steps: list[int], rank: int | None = 0, by: str = "SIGKILL") -> None:
        self.folder, self.steps, self.rank, self.by = Path(folder), steps, rank, signal.Signals[by]

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        mark = self.folder / f"died-{number}"
        if number not in self.steps or trainer.global_rank != (self.rank or 0) or mark.exists():
            return
        mark.touch()
        if self.rank is None:
            for other in psutil.Process(os.getppid()).children():
                if other.pid != os.getpid():
                    other.kill()
        os.kill(os.getpid(), self.by)


class StopInValidation(pl.Callback):
    """Asks the last rank to stop, by SIGTERM, in the first validation; each batch of that one takes `seconds`.

    A file in `folder` has a line for each batch of it that the last rank made; a second training is left alone.
    """

    def __init__(self, folder: str, seconds: float) -> None:
        self.file, self.seconds, self.slow = Path(folder) / "batches", seconds, False

    def on_validation_start(self, trainer, pl_module):
        self.slow = not trainer.sanity_checking and not self.file.exists()
        trainer.strategy.barrier()
        if self.slow and trainer.global_rank == trainer.world_size - 1:
            self.file.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        if self.slow:
            time.sleep(self.seconds)
            if trainer.global_rank == trainer.world_size - 1:
                with self.file.open("a") as out:
                    out.write("batch\n")


class Stop(pl.Callback):
    """Ends the training after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step >= self.steps


class Silent(DummyLogger):
    """A logger that keeps nothing."""


class Note(pl.Callback):
    """Writes a line of JSON a step, behind what watches for spikes: its place, rows and loss, and a digest of the weights."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_start(self, trainer, pl_module):
        self._write({"weights": _digest(pl_module)})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        loader = trainer.train_dataloader
        rows = loader.rows_at(loader.epoch, loader.position - 1).tolist()
        step = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        place = {"epoch": trainer.current_epoch + 1, "step": step, "rows": rows}
        self._write(place | {"loss": float(outputs["loss"]), "weights": _digest(pl_module)})

    def _write(self, line):
        with self.file.open("a") as out:
            out.write(json.dumps(line) + "\n")


def _digest(module):
    sums = hashlib.sha256()
    for tensor in module.state_dict().values():
        sums.update(tensor.numpy().tobytes())
    return sums.hexdigest()


class Levels(pl.Callback):
    """Writes down whether torch was told to be deterministic, and whether only to warn."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_start(self, trainer, pl_module):
        levels = [torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()]
        self.file.write_text(json.dumps(levels))

    def on_train_end(self, trainer, pl_module):
        torch.use_deterministic_algorithms(False)

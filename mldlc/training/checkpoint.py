"""Exact resume: a checkpoint in the step's scratch folder that holds everything the next step depends on.

It is written at the end of a training step, never between epochs or at a validation, because Lightning does not
keep its place there exactly (resumed, it would skip a plateau schedule or a validation). Training whose epoch is one
batch therefore leaves no checkpoint and starts again. A validation may last longer than a run that is asked to stop
has, so a checkpoint is written before one that is not known to be short. Ranks agree on the step, and write together:
one file where each has the whole model, a folder of shards otherwise.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from mldlc.plan.context import Cancelled, Context, StepError
from mldlc.training.loader import Loader
from mldlc.training.ranks import Ranks
from mldlc.training.spikes import SpikeWatch
from mldlc.training.stopping import PATIENCE_SECONDS, Wishes

NAME, FOLDER, MANIFEST, OWN = "resume.ckpt", "resume-*.shards", "mldlc.json", "rank-{}.ckpt"


class RandomState(pl.Callback):
    """Carries the random generators of torch, CUDA, numpy and Python; stands first, so that it restores first."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._loaded: dict[str, Any] | None = None
        self._resumes = False

    def state_dict(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        own = {
            "torch": torch.get_rng_state(),
            "cuda": cuda,
            "numpy": np.random.get_state(),
            "python": random.getstate(),
        }
        return {"ranks": self.ranks.gather(own)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        states, self._resumes = state_dict["ranks"], True
        if len(states) == self.ranks.world:
            self._loaded = states[self.ranks.rank]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._resumes:
            return
        self._resumes = False
        if self._loaded is not None:
            torch.set_rng_state(self._loaded["torch"])
            if self._loaded["cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(self._loaded["cuda"])
            np.random.set_state(self._loaded["numpy"])
            random.setstate(self._loaded["python"])
        # Lightning takes the whole resumed epoch for restarting and would leave out its plateau schedule
        trainer.fit_loop._restarting = False


class Checkpointer(pl.Callback):
    """Writes the checkpoint once an epoch, every `seconds`, and when the run was asked to stop; stands last."""

    def __init__(
        self, ctx: Context, loader: Loader, seconds: float, ranks: Ranks, family: str, spikes: SpikeWatch | None
    ) -> None:
        self.ctx, self.loader, self.ranks, self.family, self.spikes = ctx, loader, ranks, family, spikes
        self.wishes = Wishes(ctx, ranks, seconds)
        self._validation, self._began = math.inf, 0.0  # seconds of the last validation: none is known to be short
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning's handler ends the training with the very step, before its checkpoint, and talks to the other ranks
        # from within the signal, wherever they are
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm if callable(self._on_sigterm) else self._on_sigterm)

    def _sigterm(self, number: int, frame: Any) -> None:
        self.wishes.hurry()
        self._on_sigterm(number, frame)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.wishes.due = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        wishes = self.wishes
        wishes.look(trainer.strategy.root_device)
        wanted = wishes.due or wishes.stopping or self._last_before_validation(trainer, batch_idx)
        exact = wanted and self._exact(trainer, batch_idx)
        if exact:
            self._save(trainer)
            wishes.saved()
        if wishes.late or (exact and wishes.stopping):
            raise Cancelled(f"stopped in epoch {trainer.current_epoch + 1} at step {trainer.global_step}")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.monotonic()
        self.wishes.new_pace()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.wishes.look(trainer.strategy.root_device)
        if self.wishes.late:
            raise Cancelled(f"stopped in a validation of epoch {trainer.current_epoch + 1}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            lasted = [time.monotonic() - self._began]
            self._validation = self.ranks.most(lasted, trainer.strategy.root_device)[0]
        self.wishes.new_pace()

    def _exact(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Whether nothing is pending after this batch: no gradients, no validation, no end of the epoch."""
        loop, done = trainer.fit_loop.epoch_loop, batch_idx + 1
        if done >= trainer.num_training_batches or loop._should_accumulate():
            return False
        every = trainer.val_check_batch
        return not (trainer.enable_validation and isinstance(every, int) and done % every == 0)

    def _last_before_validation(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Whether no later step is exact before a validation that may last longer than a request to stop can wait."""
        if self._validation <= PATIENCE_SECONDS or not trainer.enable_validation:
            return False
        if (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1):
            return False
        every, done = min(trainer.val_check_batch, trainer.num_training_batches), batch_idx + 1
        left = min(every - done % every, trainer.num_training_batches - done)
        return left <= trainer.accumulate_grad_batches

    def _save(self, trainer: pl.Trainer) -> None:
        place = folder(self.ctx)
        if self.family == "whole":
            save(trainer, place / NAME, self.ranks)
            return
        about = self.state_dict() | {"epoch": trainer.current_epoch, "global_step": trainer.global_step}
        save_shards(trainer, place, about, self.ranks, self.spikes.kept if self.spikes is not None else {})

    def state_dict(self) -> dict[str, Any]:
        return {"loader": self.loader.state_dict(), "family": self.family, "world": self.ranks.world}


def folder(ctx: Context) -> Path:
    """Where checkpoints of this key lie."""
    path = ctx.scratch / "checkpoints"
    path.mkdir(exist_ok=True)
    return path


def save(trainer: pl.Trainer, path: Path, ranks: Ranks) -> None:
    """Write a checkpoint durably: a reader finds the old one or the new one, whole, whatever happens meanwhile."""
    fresh = path.with_suffix(".tmp")
    trainer.save_checkpoint(fresh)
    if ranks.rank == 0:
        _sync(fresh)
        fresh.replace(path)
        _sync(path.parent)
    ranks.wait()


def save_shards(trainer: pl.Trainer, place: Path, about: dict[str, Any], ranks: Ranks, own: dict[str, Any]) -> None:
    """The same for a folder that all ranks write: it gets its name when it is whole, then the older one goes.

    own: what this rank keeps of its own beside the shards.
    """
    step, fresh = about["global_step"], place / "fresh.tmp"
    if ranks.rank == 0:
        shutil.rmtree(fresh, ignore_errors=True)
    ranks.wait()
    trainer.save_checkpoint(fresh)
    if own:
        torch.save(own, fresh / OWN.format(ranks.rank))
    ranks.wait()
    if ranks.rank == 0:
        (fresh / MANIFEST).write_text(json.dumps(about))
        for path in [*fresh.rglob("*"), fresh]:
            _sync(path)
        old = list(place.glob(FOLDER))
        target = place / FOLDER.replace("*", f"{step:012d}-{time.time_ns()}")
        fresh.rename(target)
        _sync(place)
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
    ranks.wait()


def own_state(path: Path, ranks: Ranks) -> dict[str, Any]:
    """What this rank kept beside the shards of a checkpoint; nothing where so many ranks did not write it."""
    file = path / OWN.format(ranks.rank)
    if not file.exists() or json.loads((path / MANIFEST).read_text())["world"] != ranks.world:
        return {}
    found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=False)
    return found


def _sync(path: Path) -> None:
    """Have the storage take a file or a folder."""
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.close(number)


def resumable(ctx: Context, loader: Loader, ranks: Ranks, family: str, resizes: bool) -> Path | None:
    """The checkpoint to continue from, with the loader put at its place; None to start afresh.

    The loader is restored here and not by Lightning, which forgets it when a module asks for the number of steps
    while it configures its optimizers. StepError when the checkpoint is of a strategy, or of a number of ranks, that
    the present one cannot read.
    """
    place = folder(ctx)
    path = max(place.glob(FOLDER), default=place / NAME)
    if not path.exists():
        return None
    try:
        if path.is_dir():
            about = json.loads((path / MANIFEST).read_text())
        else:
            state = torch.load(path, map_location="cpu", weights_only=False)
            about = state["callbacks"][Checkpointer.__qualname__]
            about |= {"epoch": state["epoch"], "global_step": state["global_step"]}
        loader.load_state_dict(about["loader"])
        world, found = about["world"], about["family"]
    except Exception as error:
        ctx.log.warning("checkpoint cannot be read, training starts afresh: %s: %s", type(error).__name__, error)
        if ranks.rank == 0:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return None
    start_over = f"to start afresh, remove {place}"
    if found != family:
        raise StepError(
            f"the interrupted training left a checkpoint of another kind ('{found}', this strategy reads '{family}')",
            where="trainer.strategy", hint=f"continue with the trainer that it began with, or, {start_over}",
        )  # fmt: skip
    if world != ranks.world and not resizes:
        raise StepError(
            f"the interrupted training ran on {world} ranks; this strategy cannot continue it on {ranks.world}",
            where="trainer.devices", hint=f"set trainer.devices={world}, or, {start_over}",
        )  # fmt: skip
    ctx.log.info("continues from epoch %d, step %d", about["epoch"] + 1, about["global_step"])
    return path

"""A piece of a training: it ends at some epoch of the whole schedule and leaves a state that the next piece takes.

The pieces together make the steps, the weights and the history of the training in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json
from mldlc.plan.context import Context, StepError
from mldlc.training.averaging import Averaging
from mldlc.training.checkpoint import Checkpointer, save
from mldlc.training.loader import Loader
from mldlc.training.ranks import Ranks

STATE, FACTS = "state.ckpt", "rung.json"
BEYOND = ("min_epochs", "min_steps", "max_time")  # settings of `trainer` under which a cut training is another one


class Rung(pl.Callback):
    """Ends the training after `epochs` of it and saves what goes on from there; stands before what swaps weights.

    facts: epoch and step that are reached, and whether the whole training is over there. started: step it began with.
    """

    def __init__(self, ctx: Context, epochs: int, before: Any, ranks: Ranks) -> None:
        self.ctx, self.epochs, self.ranks, self.stopped = ctx, epochs, ranks, False
        self.before: Artifact | None = before
        fresh = {"epoch": 0, "step": 0, "ended": False}
        self.facts: dict[str, Any] = fresh if before is None else before.json(FACTS)
        self.started = int(self.facts["step"])
        self._continues = False

    @property
    def over(self) -> bool:
        """Whether the state that came in is the end already: of the whole training, or of as many epochs."""
        return bool(self.facts["ended"]) or self.facts["epoch"] >= self.epochs

    def begin(self, loader: Loader) -> Path | None:
        """The checkpoint that came in, with the loader at the start of the next epoch; None for the first piece."""
        if self.before is None:
            return None
        file = self.before.file(STATE)
        state = torch.load(file, map_location="cpu", weights_only=False)
        place = state["callbacks"][Checkpointer.__qualname__]["loader"]
        # an epoch may end before its batches do: by limit_train_batches
        loader.load_state_dict({"epoch": place["epoch"] + 1, "position": 0})
        self._continues = True
        return file

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._continues:  # Lightning takes a training with max_steps for one that broke off within its last epoch
            trainer.fit_loop.epoch_loop.restarting = False
            trainer.fit_loop._restarting = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stopped = trainer.should_stop  # early, by a callback before this one
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder, epoch, step = self.ctx.out("state"), trainer.current_epoch, trainer.global_step
        save(trainer, folder / STATE, self.ranks)
        # Lightning lets early stopping decide after all other callbacks of an epoch
        self.stopped |= any(isinstance(item, EarlyStopping) and item.stopped_epoch > 0 for item in trainer.callbacks)
        limits = ((trainer.max_epochs, epoch), (trainer.max_steps, step))
        reached = any(limit is not None and 0 <= limit <= now for limit, now in limits)
        self.facts = {"epoch": epoch, "step": step, "ended": self.stopped or reached or epoch < self.epochs}
        write_json(folder / FACTS, self.facts)

    def keep(self, module: pl.LightningModule, callbacks: list[pl.Callback]) -> None:
        """Give the state that came in on as it is, its weights and histories put back."""
        assert self.before is not None
        state = torch.load(self.before.file(STATE), map_location="cpu", weights_only=False)
        module.load_state_dict(state["state_dict"])
        for callback in callbacks:
            known = state["callbacks"].get(callback.state_key)
            if known is not None and callback is not self:
                callback.load_state_dict(known)
            if isinstance(callback, Averaging):
                callback.settle(module)
        for name in (STATE, FACTS):
            self.ctx.adopt("state", name, self.before.file(name))


def rung_of(ctx: Context, cfg: Any, inputs: Mapping[str, Any], ranks: Ranks, strategy: Any) -> Rung:
    """The rung that a config asks for; StepError where a training cannot be cut into pieces."""
    set_ = [name for name in BEYOND if getattr(cfg.trainer, name) is not None]
    if set_:
        raise StepError(
            f"a training with {set_[0]} cannot be cut into pieces",
            where=f"trainer.{set_[0]}", hint="leave it null in a search that halves",
        )  # fmt: skip
    if strategy.family(cfg.trainer) != "whole":
        raise StepError(
            f"strategy '{cfg.trainer.strategy}' shards the model, which pieces of a training cannot take over",
            where="trainer.strategy", hint="use trainer=ddp or one device in a search that halves",
        )  # fmt: skip
    return Rung(ctx, cfg.rung.epochs, inputs.get("state"), ranks)

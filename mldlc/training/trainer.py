"""Builds the Lightning Trainer from the config and runs it without stray files, banners or warnings on the terminal."""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mldlc.artifacts.target import construct
from mldlc.plan.context import Context, StepError
from mldlc.training.loop_config import LightningTrainer, Target

LOGGERS = ("lightning.pytorch", "lightning.fabric")
# fields of the group that are not keywords of lightning.Trainer
OURS = {
    "kind", "seed", "identity", "threads", "checkpoint_every_seconds", "profiler", "micro_batches", "memory_gb",
    "activation_checkpointing", "compile",
}  # fmt: skip


class Unwatched(Profiler):
    """No profiler. Lightning opens a context for each of the forty hooks of a step: here it is the same empty one."""

    _nothing = nullcontext()

    def start(self, action_name: str) -> None: ...

    def stop(self, action_name: str) -> None: ...

    def profile(self, action_name: str) -> AbstractContextManager[Any]:
        return self._nothing


def seed_everything(cfg: LightningTrainer, threads: int) -> None:
    """Seed torch, numpy and Python, and set torch's CPU threads."""
    torch.set_num_threads(threads)
    random.seed(cfg.seed)
    np.random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)


def planned_steps(cfg: LightningTrainer, batches: int) -> tuple[int, int | None]:
    """Optimizer steps of one epoch and of the whole training (None when nothing ends it) of an epoch of `batches`."""
    limit = cfg.overfit_batches or cfg.limit_train_batches
    taken = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    epochs = cfg.max_epochs
    if cfg.fast_dev_run:
        taken, epochs = min(batches, int(cfg.fast_dev_run)), 1
    steps = max(1, math.ceil(taken / cfg.accumulate_grad_batches))
    total = None if epochs < 0 else epochs * steps
    if cfg.max_steps >= 0 and not cfg.fast_dev_run:
        total = cfg.max_steps if total is None else min(total, cfg.max_steps)
    return steps, total


def user_objects(targets: list[Target], kind: type, where: str) -> list[Any]:
    """Build the user's callbacks or loggers; StepError when one is not of the `kind` that Lightning wants."""
    made = []
    for number, item in enumerate(targets):
        place = f"{where}[{number}]"
        thing = construct(item.target, item.args, place)
        if not isinstance(thing, kind):
            raise StepError(f"'{item.target}' is no lightning {kind.__name__}", where=f"{place}.target")
        made.append(thing)
    return made


def build_trainer(
    cfg: LightningTrainer, ctx: Context, strategy: Any, callbacks: list[pl.Callback], loggers: list[Any], validate: bool
) -> pl.Trainer:
    """`lightning.Trainer` of the config; its own default files go to the step's scratch folder."""
    given = {name: value for name, value in cfg.model_dump().items() if name not in OURS}
    if not validate:
        given["limit_val_batches"] = 0
    if cfg.gradient_clip_val is None:
        del given["gradient_clip_algorithm"]
    given |= {"strategy": strategy, "callbacks": callbacks, "logger": loggers or False, "enable_checkpointing": False}
    given |= {
        "default_root_dir": ctx.scratch,
        "profiler": cfg.profiler or Unwatched(),
        "use_distributed_sampler": False,
    }
    try:
        trainer = pl.Trainer(**given)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise StepError(f"Lightning refuses these settings: {error}", where="trainer") from error
    if cfg.precision == "16-mixed" and trainer.strategy.root_device.type == "cpu":
        raise StepError("16-mixed needs a GPU", where="trainer.precision", hint="on CPUs there is bf16-mixed")
    return trainer


@contextmanager
def quiet(log: logging.Logger) -> Iterator[None]:
    """Send Lightning's messages and all warnings to the step's log."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.log(min(record.levelno, logging.DEBUG), "lightning: %s", record.getMessage())

    sources = [logging.getLogger(name) for name in LOGGERS]
    before = [(source.handlers, source.propagate) for source in sources]
    for source in sources:
        source.handlers, source.propagate = [Forward()], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = lambda message, category, *_: log.debug("%s: %s", category.__name__, message)
            yield
    finally:
        for source, (handlers, propagate) in zip(sources, before, strict=True):
            source.handlers, source.propagate = handlers, propagate

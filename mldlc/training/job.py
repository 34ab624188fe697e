"""What one training is made of, whatever its data: the module, its batches, what is kept with the weights."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
from torch import nn

from mldlc.plan.context import StepError
from mldlc.training.loader import Loader
from mldlc.training.module import TabularModule
from mldlc.training.spec import COMPONENTS
from mldlc.training.trainer import planned_steps


@dataclass(frozen=True)
class Job:
    """One training. total: its optimizer steps, None when nothing ends it. target, args: how the network is rebuilt.

    card: of the objective; features: of the inputs; both are kept with the model. fed: what the summary tells of how
    rows come: `held`, in words where they lie, and `workers`, threads that read ahead, if there are such.
    """

    module: pl.LightningModule
    train: Loader
    val: Loader | None
    total: int | None
    target: str
    args: Mapping[str, Any]
    card: Mapping[str, Any]
    features: Mapping[str, Any]
    fed: Mapping[str, Any] = field(default_factory=lambda: {"held": "in memory"})

    @property
    def net(self) -> nn.Module:
        """The network whose weights are the model: a user's LightningModule is one itself."""
        return self.module.net if isinstance(self.module, TabularModule) else self.module


def component(group: str, cfg: Any) -> Any:
    """The module of the chosen kind of a group."""
    return importlib.import_module(COMPONENTS[group][getattr(cfg, group).kind])


def steps_of(cfg: Any, train: Loader) -> tuple[int, int | None]:
    """Optimizer steps of an epoch and of the whole training; StepError when an epoch has no batch."""
    if len(train) == 0:
        raise StepError(
            f"{train.count} training rows give no batch of {cfg.ingest.batch_size}",
            where="ingest.batch_size", hint="lower it, or set ingest.drop_last to false",
        )  # fmt: skip
    return planned_steps(cfg.trainer, len(train))

"""The step `training.distill`: a training whose loss also listens to teachers, by their kept lessons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mldlc.artifacts.lessons import Lessons, load_lessons
from mldlc.plan.context import Context, StepError
from mldlc.training import tabular
from mldlc.training.distill_config import Features, Schedule
from mldlc.training.hidden import Tap
from mldlc.training.job import Job
from mldlc.training.loader import BatchLoader
from mldlc.training.module import TabularModule
from mldlc.training.objective import mean
from mldlc.training.ranks import Ranks
from mldlc.training.train import fit, start


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """As `training.train`: the model is the student."""
    start(ctx, cfg, inputs, train, f"{__name__}:{train.__name__}")


def train(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """The same in this process, which is the only one or one of several ranks."""
    fit(ctx, cfg, inputs, job)


class DistilledModule(TabularModule):
    """Trains `net` on batches (numeric, categorical, target[, weight], said[, hidden]); validates on the label alone.

    said: (B, teachers, k) raw outputs, or (B,) the mean teacher's target of a number.
    """

    def __init__(self, base: TabularModule, cfg: Any, shares: Tensor, tap: Tap | None, widths: tuple[int, int]) -> None:
        super().__init__(base.net, base.objective, base.optimizer_cfg, base.epoch_steps, base.total_steps)
        self.ranks, self.share, self.empty = base.ranks, base.share, base.empty
        self.cfg, self.tap, self.extras = cfg, tap, 2 if tap else 1
        self.register_buffer("shares", shares, persistent=False)
        self.projection = nn.Linear(*widths) if tap else None

    def weight(self, batch: tuple[Tensor, ...]) -> Tensor | None:
        return super().weight(batch[: -self.extras])

    def scored(self, raw: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        _, _, target, *rest = batch
        weight, taught, share = rest[: -self.extras], rest[-self.extras :], self.share()
        if share == 0.0:
            weight = []  # weights that sum to nothing give a mean of no number
        part, temperature = scheduled(self.cfg, self.trainer.global_step, self.total_steps)
        loss = (1 - part) * self.objective.loss(raw, target, *weight)
        loss = loss + part * self._soft(raw, taught[0], temperature, *weight)
        if self.tap is not None and self.projection is not None:
            own = self.projection(self.tap.take("distill.hidden"))
            loss = loss + self.cfg.hidden_weight * mean(
                _distance(own, taught[1], self.cfg.distance), *(weight or [None])
            )
        return loss if share == 1.0 else loss * share

    def _soft(self, raw: Tensor, said: Tensor, temperature: float, weight: Tensor | None = None) -> Tensor:
        """The loss against the teachers' mean opinion."""
        if self.objective.kind == "regression":
            return self.objective.loss(raw, said, weight)
        if self.objective.kind == "binary":
            wanted = torch.sigmoid(said.squeeze(2) / temperature) @ self.shares
            losses = F.binary_cross_entropy_with_logits(raw / temperature, wanted, reduction="none")
        else:
            wanted = torch.einsum("btk,t->bk", torch.softmax(said / temperature, dim=2), self.shares)
            losses = F.cross_entropy(raw / temperature, wanted, reduction="none")
        return temperature**2 * mean(losses, weight)

    def trained(self) -> list[Any]:
        own = super().trained()
        if self.projection is None:
            return own
        more = list(self.projection.parameters())
        return [*own, {"params": more}] if own and isinstance(own[0], dict) else [*own, *more]


def scheduled(cfg: Any, step: int, total: int | None) -> tuple[float, float]:
    """The teachers' share of the loss and the temperature at an optimizer step, from 0."""
    schedule: Schedule = cfg.schedule
    if schedule.kind == "constant" or not total:
        return cfg.weight, cfg.temperature
    done = min(1.0, step / max(1, total - 1))
    moved = done if schedule.kind == "linear" else (1 - math.cos(math.pi * done)) / 2
    ends = (schedule.final_weight, schedule.final_temperature)
    weight, temperature = (
        begin if end is None else begin + (end - begin) * moved
        for begin, end in zip((cfg.weight, cfg.temperature), ends, strict=True)
    )
    return weight, temperature


def job(ctx: Context, cfg: Any, inputs: Mapping[str, Any], ranks: Ranks) -> Job:
    """The training of a table with its split, and lessons for every row."""
    made, lessons = tabular.job(ctx, cfg, inputs, ranks), load_lessons(inputs["lessons"])
    assert isinstance(made.train, BatchLoader)
    if not isinstance(made.module, TabularModule):
        raise StepError(
            "a LightningModule of your own has a loss of its own", where="model.target",
            hint="give a plain nn.Module as the student",
        )  # fmt: skip
    if cfg.distill.schedule.kind != "constant" and made.total is None:
        raise StepError("the schedule needs an end", where="distill.schedule", hint="set max_epochs or max_steps")
    shares = _shares(cfg.distill, lessons)
    arrays = [_said(made.module, lessons, shares, inputs["table"].rows)]
    tap, widths = None, (0, 0)
    if isinstance(cfg.distill, Features):
        tap, hidden = (
            Tap(made.module.net, cfg.distill.hidden, "distill.hidden", "the student"),
            _hidden(lessons, made.train.rows),
        )
        arrays.append(hidden)
        widths = _width(made.module, made.train, tap), hidden.shape[1]
    made.train.tensors = (*made.train.tensors, *arrays)
    return replace(made, module=DistilledModule(made.module, cfg.distill, shares, tap, widths))


def _shares(distill: Any, lessons: Lessons) -> Tensor:
    """What each teacher counts; together 1."""
    names = lessons.card["teachers"]
    if distill.kind != "ensemble" and len(names) > 1:
        raise StepError(
            f"distill={distill.kind} has one teacher, but there are {len(names)}: {', '.join(names)}",
            where="distill.kind", hint="use distill=ensemble, or drop teachers",
        )  # fmt: skip
    if distill.kind == "ensemble" and len(names) < 2:
        raise StepError(
            f"an ensemble has at least two teachers, but there is only '{names[0]}'", where="distill.teacher",
            hint="name several models: distill.teacher=[...], or use teacher=three",
        )  # fmt: skip
    weights = getattr(distill, "weights", None) or [1.0] * len(names)
    if len(weights) != len(names):
        raise StepError(
            f"there are {len(weights)} weights for {len(names)} teachers: {', '.join(names)}", where="distill.weights"
        )
    return torch.tensor(weights, dtype=torch.float32) / sum(weights)


def _said(module: TabularModule, lessons: Lessons, shares: Tensor, rows: int) -> Tensor:
    """What a batch is cut from; StepError when the lessons are of other rows or of another task."""
    kind = module.objective.kind
    if len(lessons.outputs) != rows or lessons.card["kind"] != kind:
        raise StepError(
            f"the lessons are of {len(lessons.outputs)} rows of a {lessons.card['kind']} task, the table has {rows} of "
            f"a {kind} one", where="lifecycle.stages", hint="give `lessons` and `student` the same table",
        )  # fmt: skip
    if kind != "regression":
        return lessons.outputs
    return module.objective.encode((lessons.outputs.squeeze(2) @ shares).numpy())


def _hidden(lessons: Lessons, rows: Tensor) -> Tensor:
    """The teacher's hidden layer in standard units of the training rows; a unit that never moves stays at 0."""
    assert lessons.hidden is not None
    train = lessons.hidden.index_select(0, rows)
    std, middle = torch.std_mean(train, dim=0, correction=0)
    return (lessons.hidden - middle) / torch.where(std > 1e-6, std, torch.ones_like(std))


@torch.no_grad()
def _width(module: TabularModule, train: BatchLoader, tap: Tap) -> int:
    """Width of the student's hidden layer."""
    batch = [tensor.index_select(0, train.rows[:2]) for tensor in train.tensors[:2]]
    module.eval()
    module.raw(*batch)
    module.train()
    return int(tap.take("distill.hidden").shape[1])


def _distance(own: Tensor, wanted: Tensor, kind: str) -> Tensor:
    return (own - wanted).square().mean(1) if kind == "mse" else 1 - F.cosine_similarity(own, wanted, dim=1)

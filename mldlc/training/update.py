"""The step `training.update`: a trained model goes on along a stream of rows: each batch is told first, then learnt."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.model import LoadedModel, load_model, write_model
from mldlc.artifacts.table import write_json
from mldlc.artifacts.tensors import Tensors, load_tensors
from mldlc.artifacts.told import learnt, learnt_rows, write_told
from mldlc.plan.artifact import BEFORE
from mldlc.plan.context import Cancelled, Context, StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.training.fitting import check_fit
from mldlc.training.guard import Slices, score
from mldlc.training.job import component
from mldlc.training.learner import Learner, replayed
from mldlc.training.module import TabularModule
from mldlc.training.prequential import report
from mldlc.training.trainer import seed_everything
from mldlc.training.update_config import Batch, Online

CHECKPOINT = "stream.ckpt"
PULSE = 0.1  # seconds between two looks at the request to stop


@dataclass(frozen=True)
class Rows:
    """Row numbers. old: learnt by a training; held: only judge; stream: in its order, of which `first` were learnt by
    earlier updates. parts: of the split, that make the stream now.
    """

    old: Tensor
    held: Tensor
    stream: Tensor
    first: int
    parts: list[str]


@dataclass
class Progress:
    """How far the stream is. said: predictions of its rows so far. snapshot: where a rollback goes, with its batch."""

    done: int = 0
    said: list[np.ndarray] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    snapshot: dict[str, Any] = field(default_factory=dict)
    since: int = 0


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `model`, the model at the end of the stream, `metrics`, what it scored along it, and `told`."""
    seed_everything(cfg.trainer, cfg.trainer.threads)
    data, start = load_tensors(inputs["table"]), load_model(inputs["start"])
    check_fit("the model", start, data.info, "update.model")
    rows = _rows(cfg.update, inputs["split"], data, start)
    learner = _learner(cfg, start, data, rows.old)
    new = rows.stream[rows.first :]
    frozen = learner.tell(new)
    progress = _along(ctx, cfg, learner, data, rows)
    card, due = start.card, inputs["due"]
    tick = due.json("decision.json")["tick"] if due is not None else ""
    write_model(
        ctx.out("model"), learner.module.net, target=card["target"], args=card["args"], objective=card["objective"],
        features=card["features"], learnt=learnt(card, inputs["split"], rows.parts, tick),
    )  # fmt: skip
    said = np.concatenate(progress.said)
    write_told(ctx.out("told"), new.numpy(), said)
    found = report(start, data.label[new.numpy()], {"updated": said, "frozen": frozen}, cfg.update.windows)
    found["updates"] = {"kind": cfg.update.kind, "batches": progress.done, "events": progress.events}
    write_json(ctx.out("metrics") / "metrics.json", found)
    kinds = [event["what"] for event in progress.events]
    counts = {f"{what}s": kinds.count(what) for what in dict.fromkeys(kinds)}
    wait = round(learner.waited / learner.seconds, 4) if learner.seconds else 0.0
    ctx.summary({"metrics": found["parts"], "batches": progress.done, "data_wait": wait, **counts})


def _rows(update: Any, split: Any, data: Tensors, start: LoadedModel) -> Rows:
    """In the order of the table. StepError for an empty stream."""
    names = list(split.names)
    wanted = [name for name in names if name not in BEFORE] if update.parts == "all" else update.parts
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"parts: {', '.join(names)}"
            raise StepError(f"the split has no part '{name}'", where="update.parts", hint=hint)
    stream = np.sort(np.concatenate([split.rows(name) for name in wanted] or [np.empty(0, np.int64)]))
    if not len(stream):
        raise StepError(f"the stream is empty: parts {', '.join(wanted) or 'none'}", where="update.parts")
    past = learnt_rows(start.card, split)
    stream = np.concatenate([past, np.setdiff1d(stream, past, assume_unique=True)])
    if len(stream) == len(past):
        raise StepError(
            f"there are no new rows: the model has learnt all {len(past):,} of {', '.join(wanted)}",
            where="update.model", hint="the stage `due` lets an update through once there are some",
        )  # fmt: skip
    before = [split.rows(name) if name in names and name not in wanted else stream[:0] for name in ("train", "val")]
    every = np.concatenate([*before, stream])
    label = data.label[every]
    bad = ~np.isfinite(label) if np.issubdtype(label.dtype, np.floating) else label < 0
    if bad.any():
        raise StepError(
            f"{int(bad.sum())} rows have no label, first at row {int(every[bad][0])}", where="clean",
            hint="drop rows without a label in `clean`",
        )  # fmt: skip
    old, held = (torch.from_numpy(np.array(rows)) for rows in before)
    return Rows(old, held, torch.from_numpy(stream), len(past), wanted)


def _learner(cfg: Any, start: LoadedModel, data: Tensors, old: Tensor) -> Learner:
    """The start model with the config's objective, in the units that the model was trained in."""
    known = data.label[old.numpy()] if len(old) else data.label
    objective = component("objective", cfg).build(cfg.objective, data.info["label"], known)
    objective = replace(objective, card=dict(start.card["objective"]))
    module = TabularModule(start.module, objective, cfg.optimizer, 1, None)
    tensors = [torch.from_numpy(data.numeric), torch.from_numpy(data.categorical), objective.encode(data.label)]
    if data.weight is not None:
        tensors.append(torch.from_numpy(data.weight).float())
    return Learner(module, tuple(tensors), cfg.update.rate, cfg.trainer.seed)


def _along(ctx: Context, cfg: Any, learner: Learner, data: Tensors, rows: Rows) -> Progress:
    """All new batches of the stream, from the last checkpoint on."""
    update = cfg.update
    progress = _resume(ctx, learner) or Progress(snapshot=learner.state())
    batches = rows.stream[rows.first :].split(update.batch_size)
    due, look = time.monotonic() + cfg.trainer.checkpoint_every_seconds, 0.0
    for number in range(progress.done, len(batches)):
        progress.said.append(learner.tell(batches[number]))
        seen = rows.first + number * update.batch_size
        if isinstance(update, Batch):
            _period(cfg, learner, data, progress, rows, batches[number], seen)
        else:
            _micro(cfg, learner, data, progress, rows, batches[number], seen)
        progress.done = number + 1
        ctx.progress(progress.done, len(batches))
        now = time.monotonic()
        stop = now >= look and ctx.cancelled()
        look = now + PULSE if now >= look else look
        if stop or now >= due:
            _save(ctx, learner, progress)
            due = time.monotonic() + cfg.trainer.checkpoint_every_seconds
        if stop:
            raise Cancelled(f"stopped after {progress.done} of {len(batches)} batches of the stream")
    return progress


def _period(
    cfg: Any, learner: Learner, data: Tensors, progress: Progress, rows: Rows, batch: Tensor, seen: int
) -> None:
    """Learn from a period; put the former weights back when a slice of old rows pays for it."""
    update: Batch = cfg.update
    guard, number = update.guard, progress.done
    past = rows.stream[:seen]
    if guard is not None:
        kept, past = past[:: guard.hold], _without(past, guard.hold)
        fresh, judges = _without(batch, guard.hold, seen), torch.cat([rows.held, kept])
        before, slices = learner.state(), Slices(guard, data, judges)
        was = slices.scores(learner.tell(judges), learner.module.objective.kind) if len(judges) else {}
    else:
        fresh = batch
    again = replayed(torch.cat([rows.old, past]), len(fresh), update.replay, learner.seed, number)
    learner.learn(torch.cat([fresh, again]), cfg.ingest.batch_size, update.epochs, number)
    if guard is not None and was:
        fell = slices.fallen(was, learner.tell(judges), learner.module.objective.kind)
        if fell:
            learner.restore(before)
        what = "rejection" if fell else "update"
        progress.events.append({"what": what, "batch": number, "row": seen} | ({"slices": fell} if fell else {}))


def _micro(cfg: Any, learner: Learner, data: Tensors, progress: Progress, rows: Rows, batch: Tensor, seen: int) -> None:
    """Learn from a micro-batch; every so many look back, and take a snapshot or go back to the last one."""
    update: Online = cfg.update
    number, past = progress.done, rows.old
    if update.replay:
        past = torch.cat([past, rows.stream[:seen]])
    again = replayed(past, len(batch), update.replay, learner.seed, number)
    learner.learn(torch.cat([batch, again]), len(batch) + len(again), update.epochs, number)
    if (number + 1) % update.snapshot_every:
        return
    if update.guard is not None:
        first = rows.first + progress.since * update.batch_size
        looked = rows.stream[first : seen + len(batch)]
        truth, kind = data.label[looked.numpy()], learner.module.objective.kind
        mine = score(truth, np.concatenate(progress.said[progress.since :]), kind)
        theirs = score(truth, learner.told_by(progress.snapshot, looked), kind)
        if mine < theirs - update.guard.max_drop:
            learner.restore(progress.snapshot)
            progress.since = number + 1
            fall = {"scored": round(mine, 6), "snapshot": round(theirs, 6)}
            progress.events.append({"what": "rollback", "batch": number, "row": seen} | fall)
            return
    progress.snapshot, progress.since = learner.state(), number + 1
    progress.events.append({"what": "snapshot", "batch": number, "row": seen})


def _without(rows: Tensor, hold: int, first: int = 0) -> Tensor:
    """The rows that are learnt from: all but every `hold`-th, counted from the beginning of the stream."""
    return rows[(torch.arange(len(rows)) + first) % hold != 0]


def _save(ctx: Context, learner: Learner, progress: Progress) -> None:
    """Write the checkpoint durably: a reader finds the old one or the new one, whole."""
    path, fresh = ctx.scratch / CHECKPOINT, ctx.scratch / f"{CHECKPOINT}.tmp"
    state = {"learner": learner.state(), "progress": vars(progress)}
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _resume(ctx: Context, learner: Learner) -> Progress | None:
    path: Path = ctx.scratch / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=False)
        learner.restore(state["learner"])
        progress = Progress(**state["progress"])
    except Exception as error:
        ctx.log.warning("checkpoint cannot be read, the stream starts afresh: %s: %s", type(error).__name__, error)
        path.unlink()
        return None
    ctx.log.info("continues after %d batches", progress.done)
    return progress

"""The step `training.train`: rows of a prepared table in, weights and their history out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch import Tensor, nn

from mldlc.artifacts.model import joined, takes_columns, write_model
from mldlc.artifacts.table import Table, write_json
from mldlc.artifacts.target import construct
from mldlc.artifacts.tensors import LAYOUT, Tensors, load_tensors
from mldlc.plan.context import Cancelled, Context, StepError
from mldlc.training.averaging import Averaging
from mldlc.training.checkpoint import Checkpointer, RandomState, resumable
from mldlc.training.history import FORMAT, BestWeights, History, MonitorCheck
from mldlc.training.loader import BatchLoader
from mldlc.training.meter import Meter
from mldlc.training.module import TabularModule, check_network
from mldlc.training.objective import Objective
from mldlc.training.spec import COMPONENTS
from mldlc.training.trainer import build_trainer, planned_steps, quiet, seed_everything, user_objects


@dataclass
class Watch:
    """The callbacks of one training, by what is read from them afterwards."""

    history: History
    best: BestWeights | None
    early: EarlyStopping | None
    all: list[pl.Callback]


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Train, put the best weights back, write the model and its history. Continues from a checkpoint in scratch."""
    with quiet(ctx.log):
        _train(ctx, cfg, inputs)


def _train(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    began = time.monotonic()
    seed_everything(cfg.trainer, cfg.trainer.threads)
    data = _data(inputs["table"])
    parts = {name: inputs["split"].rows(name) for name in inputs["split"].names}
    label = _label(data, parts)
    objective = _component("objective", cfg).build(cfg.objective, data.info["label"], label[parts["train"]])
    target, args = _component("model", cfg).describe(cfg.model, _sizes(data, objective))
    net = construct(target, args, "model")
    train, val = _loaders(cfg, net, data, objective, parts)
    if len(train) == 0:
        raise StepError(
            f"{len(train.rows)} training rows give no batch of {cfg.ingest.batch_size}",
            where="ingest.batch_size", hint="lower it, or set ingest.drop_last to false",
        )  # fmt: skip
    steps, total = planned_steps(cfg.trainer, len(train))
    module, card = _module(cfg, net, objective, train, steps, total)
    watch = _watch(cfg, ctx, train, total)
    resume = resumable(ctx, train)
    loggers = user_objects(cfg.callbacks.loggers, Logger, "callbacks.loggers")
    trainer = build_trainer(cfg.trainer, ctx, watch.all, loggers, val is not None)
    _fit(trainer, module, train, val, resume)
    if watch.best is not None:
        watch.best.restore(module)
    own = module.net if isinstance(module, TabularModule) else module
    count = write_model(
        ctx.out("model"), own, target=target, args=args, objective=card, features=_features(data.info)
    )  # fmt: skip
    _write_history(ctx, cfg, watch, trainer)
    seconds = time.monotonic() - began
    ctx.summary(
        {"parameters": count, "steps": trainer.global_step, "seconds": round(seconds, 3), "resumed": bool(resume)}
    )


def _component(group: str, cfg: Any) -> Any:
    return importlib.import_module(COMPONENTS[group][getattr(cfg, group).kind])


def _data(table: Table) -> Tensors:
    """The arrays of the table; StepError when it was not prepared or has no label."""
    if table.info.get("layout") != LAYOUT:
        raise StepError("this table is not prepared", where="lifecycle.stages", hint="bind `table` to a prepare stage")
    if "label" not in {column.name for column in table.columns}:
        raise StepError("the table has no label", where="source.roles", hint="give a column the role label")
    return load_tensors(table)


def _label(data: Tensors, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The label, checked where rows are used for training or validation."""
    if len(parts.get("train", ())) == 0:
        raise StepError("the split has no rows in 'train'", where="split")
    for name in ("train", "val"):
        rows = parts.get(name, np.empty(0, np.int64))
        values = data.label[rows]
        bad = ~np.isfinite(values) if np.issubdtype(values.dtype, np.floating) else values < 0
        if bad.any():
            raise StepError(
                f"{int(bad.sum())} rows of '{name}' have no label, first at row {int(rows[bad][0])}",
                where="clean", hint="drop rows without a label in `clean`",
            )  # fmt: skip
    return data.label


def _sizes(data: Tensors, objective: Objective) -> dict[str, Any]:
    """What a model's constructor may ask for."""
    cardinalities = [int(column["cardinality"]) for column in data.info["categorical"]]
    n_numeric = int(data.numeric.shape[1])
    return {
        "n_numeric": n_numeric, "cardinalities": cardinalities, "in_features": n_numeric + len(cardinalities),
        "out_features": objective.out_features,
    }  # fmt: skip


def _features(info: Mapping[str, Any]) -> dict[str, Any]:
    return {"numeric": list(info["numeric"]), "categorical": list(info["categorical"]), "label": dict(info["label"])}


def _loaders(
    cfg: Any, net: nn.Module, data: Tensors, objective: Objective, parts: Mapping[str, np.ndarray]
) -> tuple[BatchLoader, BatchLoader | None]:
    """Loaders of the train rows and of the val rows (None without such rows)."""
    tensors, collate = _batches(cfg, net, data, objective)
    ingest, seed = cfg.ingest, cfg.trainer.seed
    shuffle = ingest.shuffle and not cfg.trainer.overfit_batches
    train_rows = torch.from_numpy(parts["train"])
    train = BatchLoader(
        tensors, train_rows, ingest.batch_size, shuffle=shuffle, drop_last=ingest.drop_last, seed=seed, collate=collate
    )
    rows = parts.get("val", np.empty(0, np.int64))
    val = BatchLoader(tensors, torch.from_numpy(rows), ingest.eval_batch_size, collate=collate) if len(rows) else None
    if val is None and (cfg.callbacks.early_stopping or cfg.callbacks.checkpoint):
        raise StepError(
            "callbacks watch the validation, but the split has no rows in 'val'",
            where="callbacks", hint="give `split` a share for val, or use callbacks=none",
        )  # fmt: skip
    return train, val


def _batches(cfg: Any, net: nn.Module, data: Tensors, objective: Objective) -> tuple[list[Tensor], Any]:
    """The tensors to cut batches from, and the form of a batch."""
    numeric, categorical = torch.from_numpy(data.numeric), torch.from_numpy(data.categorical)
    weight = [] if data.weight is None else [torch.from_numpy(data.weight).float()]
    if not isinstance(net, pl.LightningModule):
        return [numeric, categorical, objective.encode(data.label), *weight], tuple
    plain = torch.from_numpy(data.label)
    label = plain.float() if objective.kind == "regression" else plain.long()
    if cfg.model.batch == "dict":
        names = ["numeric", "categorical", "label", "weight"][: 3 + len(weight)]
        return [numeric, categorical, label, *weight], lambda parts: dict(zip(names, parts, strict=True))
    return [joined(numeric, categorical), label], tuple


def _module(
    cfg: Any, net: nn.Module, objective: Objective, train: BatchLoader, steps: int, total: int | None
) -> tuple[pl.LightningModule, dict[str, Any]]:
    """The LightningModule to fit and the objective's card; a user's own one stays as it is, in the label's unit."""
    card = dict(objective.card)
    if isinstance(net, pl.LightningModule):
        takes_columns(net)
        if objective.kind == "regression":
            card |= {"mean": 0.0, "std": 1.0, "log_target": False}
        return net, card
    module = TabularModule(net, objective, cfg.optimizer, steps, total)
    rows = train.rows[:2]
    check_network(module, tuple(t.index_select(0, rows) for t in train.tensors))
    if hasattr(net, "fit_inputs"):
        net.fit_inputs(train.tensors[0].index_select(0, train.rows))
    return module, card


def _watch(cfg: Any, ctx: Context, train: BatchLoader, total: int | None) -> Watch:
    """All callbacks in their order: generators first, the checkpoint last."""
    meter = Meter(ctx, cfg.trainer.log_every_n_steps, total)
    history = History(ctx, meter)
    stop, keep, schedule = cfg.callbacks.early_stopping, cfg.callbacks.checkpoint, cfg.optimizer.scheduler
    monitors = [("callbacks.early_stopping.monitor", stop.monitor)] if stop else []
    monitors += [("callbacks.checkpoint.monitor", keep.monitor)] if keep else []
    if schedule.kind == "plateau" and cfg.model.kind != "custom":
        monitors += [("optimizer.scheduler.monitor", schedule.monitor)]
    early = best = None
    if stop:
        early = EarlyStopping(
            stop.monitor, min_delta=stop.min_delta, patience=max(1, stop.patience), mode=stop.mode, check_finite=False
        )
    if keep:
        best = BestWeights(keep)
    extra = user_objects(cfg.callbacks.extra, pl.Callback, "callbacks.extra")
    last = Checkpointer(ctx, train, cfg.trainer.checkpoint_every_seconds)
    mean = Averaging(cfg.callbacks.averaging) if cfg.callbacks.averaging else None
    ours: list[Any] = [RandomState(), MonitorCheck(monitors), meter, history, best, early, *extra, mean, last]
    return Watch(history, best, early, [callback for callback in ours if callback is not None])


def _fit(trainer: pl.Trainer, module: pl.LightningModule, train: Any, val: Any, resume: Any) -> None:
    try:
        trainer.fit(module, train, val, ckpt_path=resume, weights_only=False if resume else None)
    except SIGTERMException as error:
        raise Cancelled("stopped by SIGTERM") from error
    except MisconfigurationException as error:
        raise StepError(f"Lightning refuses this model: {error}", where="model") from error


def _write_history(ctx: Context, cfg: Any, watch: Watch, trainer: pl.Trainer) -> None:
    """`history.json`: the epochs, which one is the model, and why training ended. No times: equal runs, equal bytes."""
    monitor = watch.best.cfg.monitor if watch.best else None
    reached = cfg.trainer.max_steps >= 0 and trainer.global_step >= cfg.trainer.max_steps
    early = watch.early is not None and watch.early.stopped_epoch > 0
    timers = [callback.time_remaining() for callback in trainer.callbacks if isinstance(callback, Timer)]
    late = any(left is not None and left <= 0 for left in timers) and trainer.current_epoch != cfg.trainer.max_epochs
    ends = {"early_stopping": early, "max_steps": reached, "max_time": late}
    write_json(
        ctx.out("history") / "history.json",
        {
            "format": FORMAT,
            "epochs": watch.history.epochs,
            "best_epoch": watch.best.epoch if watch.best else None,
            "monitor": monitor,
            "stopped": next((why for why, so in ends.items() if so), "max_epochs"),
        },
    )
    row = watch.history.epochs[-1] if watch.history.epochs else {}
    if watch.best and watch.best.epoch:
        row = watch.history.epochs[watch.best.epoch - 1]
        ctx.summary({"best_epoch": watch.best.epoch})
    ctx.summary({"epochs": len(watch.history.epochs)} | {k: v for k, v in row.items() if k not in ("epoch", "lr")})

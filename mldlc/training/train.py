"""The steps `training.train` and `training.rung`: rows of a prepared table in, weights and their history out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch import nn

from mldlc.artifacts.model import write_model
from mldlc.artifacts.table import write_json
from mldlc.artifacts.target import construct
from mldlc.artifacts.tokens import Tokens
from mldlc.plan.context import Cancelled, Context, StepError
from mldlc.training import language, tabular
from mldlc.training.averaging import Averaging
from mldlc.training.checkpoint import Checkpointer, RandomState, own_state, resumable
from mldlc.training.checkpoint_io import Straight
from mldlc.training.history import FORMAT, BestWeights, History, LastWeights, MonitorCheck
from mldlc.training.hold import shown
from mldlc.training.job import Job
from mldlc.training.loader import BatchLoader, Loader
from mldlc.training.meter import Meter
from mldlc.training.module import TabularModule
from mldlc.training.network import prepare
from mldlc.training.placed import placed
from mldlc.training.placing import memory
from mldlc.training.preload import preload
from mldlc.training.ranks import Ranks
from mldlc.training.resident import stays
from mldlc.training.rung import Rung, rung_of
from mldlc.training.spec import STRATEGIES
from mldlc.training.spikes import SpikeWatch
from mldlc.training.trainer import build_trainer, quiet, seed_everything, user_objects

Run = Callable[[Context, Any, Mapping[str, Any]], None]
Make = Callable[[Context, Any, Mapping[str, Any], Ranks], Job]


@dataclass
class Watch:
    """The callbacks of one training, by what is read from them afterwards."""

    history: History
    best: BestWeights | None
    last: LastWeights | None
    early: EarlyStopping | None
    meter: Meter
    spikes: SpikeWatch | None
    all: list[pl.Callback]


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Train, put the best weights back, write the model and its history. Continues from a checkpoint in scratch.

    A config with a `rung` trains up to that epoch of the whole, from the state of an earlier rung, and leaves a state.
    """
    start(ctx, cfg, inputs, train, f"{__name__}:{train.__name__}")


def start(ctx: Context, cfg: Any, inputs: Mapping[str, Any], here: Run, entry: str) -> None:
    """Run `here` in this process, or `entry`, its name, in as many ranks as there are devices."""
    cfg = placed(ctx, cfg, inputs)
    if cfg.trainer.strategy == "single":
        here(ctx, cfg, inputs)
    else:
        ctx.ranks(cfg.trainer.devices, entry, preload(cfg.trainer))


def train(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """The same in this process, which is the only one or one of several ranks."""
    fit(ctx, cfg, inputs, (language if isinstance(inputs["table"], Tokens) else tabular).job)


def fit(ctx: Context, cfg: Any, inputs: Mapping[str, Any], make: Make) -> None:
    """Train what `make` gives, and write the model and its history."""
    cfg = placed(ctx, cfg, inputs)
    with quiet(ctx.log):
        _train(ctx, cfg, inputs, make)


def _train(ctx: Context, cfg: Any, inputs: Mapping[str, Any], make: Make) -> None:
    began = time.monotonic()
    seed_everything(cfg.trainer, cfg.trainer.threads)
    strategy = importlib.import_module(STRATEGIES[cfg.trainer.strategy])
    ranks = Ranks(ctx.rank, ctx.world, strategy.copies(cfg.trainer))
    job = make(ctx, cfg, inputs, ranks)
    resume = resumable(ctx, job.train, ranks, strategy.family(cfg.trainer), strategy.RESIZES)
    prepare(cfg.trainer, job.module)
    built = strategy.build(cfg.trainer, job.module)
    ranks.seed(cfg.trainer.seed)
    rung = rung_of(ctx, cfg, inputs, ranks, strategy) if hasattr(cfg, "rung") else None
    watch = _watch(cfg, ctx, job.train, job.total, ranks, strategy, rung)
    if resume is not None and watch.spikes is not None:
        watch.spikes.kept = own_state(resume, ranks)
    loggers = user_objects(cfg.callbacks.loggers, Logger, "callbacks.loggers") if ranks.rank == 0 else []
    trainer = build_trainer(cfg.trainer, ctx, built, watch.all, loggers, job.val is not None)
    if strategy.family(cfg.trainer) == "whole":
        trainer.strategy.checkpoint_io = Straight()
    fed = {**job.fed, **_hold(cfg, job, trainer.strategy.root_device)}
    if rung is not None and rung.over:
        rung.keep(job.module, watch.all)
    else:
        begin = resume or (rung.begin(job.train) if rung is not None else None)
        _fit(trainer, job.module, job.train, job.val, begin)
    steps = rung.facts["step"] if rung is not None else trainer.global_step
    net = job.net
    if cfg.trainer.strategy != "single":
        net = _whole(job, watch, strategy, ranks)
    elif watch.best is not None:
        watch.best.restore(job.module)
    _write_history(ctx, cfg, watch, trainer, steps, rung)
    if ranks.rank:
        return
    count = write_model(
        ctx.out("model"), net, target=job.target, args=job.args, objective=job.card, features=job.features
    )
    seconds = time.monotonic() - began
    facts = {
        "parameters": count, "steps": steps, "seconds": round(seconds, 3), "resumed": bool(resume),
        "data_wait": round(watch.meter.data_wait, 4), **fed,
    }  # fmt: skip
    if trainer.strategy.root_device.type == "cuda":
        facts["gpu_memory"] = torch.cuda.max_memory_allocated(trainer.strategy.root_device)
    if watch.meter.empty:
        facts["empty_batches"] = watch.meter.empty
    if rung is not None:
        facts["steps_executed"] = steps - rung.started
    ctx.summary(facts)


def _hold(cfg: Any, job: Job, device: torch.device) -> dict[str, Any]:
    """Move the rows to a GPU that has room for them; what the summary tells of it."""
    loaders = [loader for loader in (job.train, job.val) if isinstance(loader, BatchLoader)]
    own = isinstance(job.module, TabularModule) or cfg.ingest.hold == "device"
    if device.type != "cuda" or not loaders or not own:
        return {}
    room = memory({"memory_gb": cfg.trainer.memory_gb}, torch.cuda.get_device_properties(device).total_memory)
    size, moved = sum(loader.size for loader in loaders), dict[int, torch.Tensor]()
    if not stays(cfg.ingest.hold, size, room):
        return {}
    for loader in loaders:
        loader.hold_on(device, moved)
    return {"held": f"on the GPU ({shown(size)})"}


def _whole(job: Job, watch: Watch, strategy: Any, ranks: Ranks) -> nn.Module:
    """The network as one process has it, with the best weights or, of a training without, the last ones."""
    found = (watch.last.weights if watch.last else {}) or (watch.best.weights if watch.best else {})
    weights = found if found or ranks.rank else strategy.weights(job.module)  # none: a piece that had no step to make
    ranks.wait()
    net: nn.Module = construct(job.target, job.args, "model")
    if ranks.rank == 0:
        prefix = "" if isinstance(job.module, type(net)) else "net."
        net.load_state_dict({name.removeprefix(prefix): value for name, value in weights.items()}, assign=True)
    return net


def _watch(
    cfg: Any, ctx: Context, train: Loader, total: int | None, ranks: Ranks, strategy: Any, rung: Rung | None
) -> Watch:
    """All callbacks in their order: generators first, the checkpoint last."""
    if cfg.callbacks.averaging and not strategy.AVERAGES:
        raise StepError(
            f"strategy '{cfg.trainer.strategy}' has no whole weights to average",
            where="callbacks.averaging", hint="use trainer=ddp, or set callbacks.averaging=null",
        )  # fmt: skip
    spikes = _spikes(cfg, ctx, train, ranks, strategy)
    meter = Meter(ctx, cfg.trainer.log_every_n_steps, total, ranks, train, spikes)
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
        best = BestWeights(keep, ranks, strategy.weights)
    extra = user_objects(cfg.callbacks.extra, pl.Callback, "callbacks.extra")
    mean = Averaging(cfg.callbacks.averaging) if cfg.callbacks.averaging else None
    last = LastWeights(best, strategy.weights) if cfg.trainer.strategy != "single" else None
    save = Checkpointer(ctx, train, cfg.trainer.checkpoint_every_seconds, ranks, strategy.family(cfg.trainer), spikes)
    ours: list[Any] = [
        RandomState(ranks), MonitorCheck(monitors), spikes, meter, history, best, early, *extra, rung, mean, last, save,
    ]  # fmt: skip
    return Watch(history, best, last, early, meter, spikes, [callback for callback in ours if callback is not None])


def _spikes(cfg: Any, ctx: Context, train: Loader, ranks: Ranks, strategy: Any) -> SpikeWatch | None:
    if cfg.callbacks.spikes is None:
        return None
    if cfg.callbacks.spikes.action == "rollback" and not strategy.ROLLS_BACK:
        raise StepError(
            f"strategy '{cfg.trainer.strategy}' has weights and optimizer states where they cannot be put back",
            where="callbacks.spikes.action", hint="use report or stop, or trainer=fsdp2 or ddp",
        )  # fmt: skip
    return SpikeWatch(ctx, cfg.callbacks.spikes, train, ranks, strategy.family(cfg.trainer) != "whole")


def _fit(trainer: pl.Trainer, module: pl.LightningModule, train: Any, val: Any, resume: Any) -> None:
    try:
        trainer.fit(module, train, val, ckpt_path=resume, weights_only=False if resume else None)
    except SIGTERMException as error:
        raise Cancelled("stopped by SIGTERM") from error
    except MisconfigurationException as error:
        raise StepError(f"Lightning refuses this model: {error}", where="model") from error


def _write_history(ctx: Context, cfg: Any, watch: Watch, trainer: pl.Trainer, steps: int, rung: Rung | None) -> None:
    """`history.json`: the epochs, which one is the model, and why training ended. No times: equal runs, equal bytes."""
    monitor = watch.best.cfg.monitor if watch.best else None
    reached = cfg.trainer.max_steps >= 0 and steps >= cfg.trainer.max_steps
    early = watch.early is not None and watch.early.stopped_epoch > 0
    timers = [callback.time_remaining() for callback in trainer.callbacks if isinstance(callback, Timer)]
    late = any(left is not None and left <= 0 for left in timers) and trainer.current_epoch != cfg.trainer.max_epochs
    cut = rung is not None and not rung.facts["ended"]
    ends = {"early_stopping": early, "max_steps": reached, "max_time": late, "rung": cut}
    write_json(
        ctx.out("history") / "history.json",
        {
            "format": FORMAT,
            "epochs": watch.history.epochs,
            "best_epoch": watch.best.epoch if watch.best else None,
            "monitor": monitor,
            "stopped": next((why for why, so in ends.items() if so), "max_epochs"),
        }
        | ({"empty_batches": watch.meter.empty} if watch.meter.empty else {})
        | ({"spikes": watch.spikes.found} if watch.spikes is not None else {}),
    )
    row = watch.history.epochs[-1] if watch.history.epochs else {}
    if watch.best and watch.best.epoch:
        row = watch.history.epochs[watch.best.epoch - 1]
        ctx.summary({"best_epoch": watch.best.epoch})
    ctx.summary({"epochs": len(watch.history.epochs)} | {k: v for k, v in row.items() if k not in ("epoch", "lr")})

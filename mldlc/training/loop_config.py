"""Config of how it is trained: groups `trainer` (Lightning's own keyword names), `callbacks` and `ingest`. Light."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mldlc.config.schema import Config, placement, result, runtime

PRECISIONS = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _precision(value: Any) -> Any:
    """Lightning's short names mean the long ones, so that both have one identity."""
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return PRECISIONS.get(str(value), value) if known else value


Duration = Annotated[str, BeforeValidator(lambda value: _duration(value))]
Gigabytes = Annotated[float, BeforeValidator(lambda value: _gigabytes(value)), Field(gt=0)]
Precision = Annotated[
    Literal["32-true", "64-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"], BeforeValidator(_precision)
]


def _duration(value: Any) -> Any:
    """Lightning's two forms of a time become one, so that both have one identity: text DD:HH:MM:SS."""
    units = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604800}
    if isinstance(value, dict) and value and all(isinstance(n, int | float) for n in value.values()):
        if not set(value) <= set(units):
            raise ValueError(f"write DD:HH:MM:SS in quotes, or a mapping of {', '.join(units)}")
        whole = int(sum(number * units[unit] for unit, number in value.items()))
    elif isinstance(value, str) and (found := re.fullmatch(r"(\d+):(\d+):(\d+):(\d+)", value)):
        whole = sum(int(part) * size for part, size in zip(found.groups(), (86400, 3600, 60, 1), strict=True))
    else:
        raise ValueError("write DD:HH:MM:SS in quotes ('00:00:10:00' is ten minutes), or {minutes: 10}")
    days, rest = divmod(whole, 86400)
    return f"{days:02}:{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def _gigabytes(value: Any) -> Any:
    """The key's name says the unit, so a text can only be one that has another."""
    if isinstance(value, str):
        raise ValueError("a number of GB without a unit: 4, or 0.5")
    return value


Strategy = Literal[
    "single", "auto", "ddp", "fsdp2", "tensor_parallel", "tp_fsdp2", "pipeline",
    "deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3", "deepspeed_offload",
]  # fmt: skip


class LightningTrainer(Config):
    """`lightning.Trainer` under its own keyword names, on one device or, with a `strategy`, on several.

    Batch size and accumulation count the rows of all devices together, so `strategy` and `devices` only place the work.

    An int counts batches (or epochs, steps) and a float is a share, as in Lightning. `threads` are torch's CPU threads:
    one serves a small network best, as more wait for each other at every step, and much longer on a busy machine.
    `identity: exact` makes accelerator, devices and threads part of the identity of the model.
    `max_time` stops after so much time of training, over all resumptions (DD:HH:MM:SS, or {minutes: 10}): at which
    step depends on the machine, so two such trainings are not equal.
    `memory_gb`: of one device, for `strategy: auto`; null takes what is found. `activation_checkpointing`: blocks
    compute their activations again in the backward pass. `compile`: by torch.compile, which rounds in another order, as
    another strategy does.
    `micro_batches`: parts of a batch that are under way at once along the stages of `strategy: pipeline`.
    `checkpoint_every_seconds`: how often a resumable checkpoint is written, besides once an epoch.
    """

    kind: Literal["lightning"]
    seed: int = result(0, ge=0, lt=2**32)
    identity: Literal["placement", "exact"] = result("placement", neutral="placement")
    max_epochs: int = result(20, ge=-1)
    min_epochs: Annotated[int, Field(ge=1)] | None = result(None)
    max_steps: int = result(-1, ge=-1)
    min_steps: Annotated[int, Field(ge=1)] | None = result(None)
    max_time: Duration | None = result(None, neutral=None)
    precision: Precision = result("32-true")
    accumulate_grad_batches: int = result(1, ge=1)
    gradient_clip_val: Annotated[float, Field(gt=0)] | None = result(None)
    gradient_clip_algorithm: Literal["norm", "value"] = result("norm")
    val_check_interval: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)] = result(1.0)
    check_val_every_n_epoch: int = result(1, ge=1)
    limit_train_batches: Count | Share = result(1.0)
    limit_val_batches: Count | Share = result(1.0)
    overfit_batches: Count | Share = result(0.0)
    fast_dev_run: bool | Count = result(False)
    deterministic: bool | Literal["warn"] = result(False)
    accelerator: Literal["cpu", "gpu", "cuda", "mps", "auto"] = placement("cpu")
    strategy: Strategy = placement("single")
    devices: int = placement(1, ge=1)
    memory_gb: Gigabytes | None = placement(None, neutral=None)
    activation_checkpointing: bool = placement(False, neutral=False)
    compile: bool = placement(False, neutral=False)
    num_nodes: int = placement(1, ge=1, le=1)
    micro_batches: int = placement(4, ge=1)
    threads: int = placement(1, ge=1)
    benchmark: bool = placement(False)
    detect_anomaly: bool = runtime(False)
    inference_mode: bool = runtime(True)
    num_sanity_val_steps: int = runtime(0, ge=-1)
    log_every_n_steps: int = runtime(50, ge=1)
    enable_progress_bar: bool = runtime(False)
    enable_model_summary: bool = runtime(False)
    profiler: Literal["simple", "advanced"] | None = runtime(None)
    checkpoint_every_seconds: float = runtime(30.0, gt=0)

    @model_validator(mode="after")
    def _strategy_fits(self) -> LightningTrainer:
        if self.strategy == "single" and self.devices > 1:
            raise ValueError("several devices need a strategy: trainer=auto chooses one, trainer=ddp is the usual one")
        if self.strategy == "auto" and self.identity == "exact":
            raise ValueError("identity: exact needs a strategy by name, as auto chooses by the machine: trainer=ddp")
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ValueError("16-mixed needs a GPU, on CPUs there is bf16-mixed (Lightning would take it unasked)")
        if self.strategy == "tp_fsdp2" and self.devices % 2:
            raise ValueError(f"tp_fsdp2 cuts layers over pairs of devices, and {self.devices} are no pairs")
        if self.strategy == "pipeline" and self.micro_batches < self.devices:
            raise ValueError(f"{self.micro_batches} micro_batches leave some of {self.devices} stages without work")
        if self.strategy == "pipeline" and self.precision == "16-mixed":
            raise ValueError("a pipeline trains in 32-true, 64-true or bf16 here: 16-mixed scales losses between steps")
        if self.compile and self.strategy in ("deepspeed_zero3", "deepspeed_offload"):
            raise ValueError("compile does not see weights that ZeRO 3 gathers layer by layer: trainer=fsdp2")
        if self.strategy.startswith("deepspeed"):
            if self.precision in ("16-mixed", "16-true", "64-true"):
                raise ValueError(f"DeepSpeed trains in 32-true, bf16-mixed or bf16-true here, not in {self.precision}")
            if self.gradient_clip_val is not None and self.gradient_clip_algorithm == "value":
                raise ValueError("DeepSpeed clips gradients by their norm only: gradient_clip_algorithm=norm")
        return self


class Target(Config):
    """An object of the user's: `package.module:Name` and the keyword arguments of its constructor."""

    target: str = result(..., min_length=3)
    args: dict[str, Any] = result({})


class EarlyStopping(Config):
    """Stops when `monitor` has not improved by more than `min_delta` in `patience` validations."""

    monitor: str = result("val_loss")
    mode: Literal["min", "max"] = result("min")
    patience: int = result(5, ge=0)
    min_delta: float = result(0.0, ge=0)


class BestCheckpoint(Config):
    """The weights of the validation with the best `monitor` become the model."""

    monitor: str = result("val_loss")
    mode: Literal["min", "max"] = result("min")


class Ema(Config):
    """An exponential moving average of the weights, taken at every optimizer step."""

    kind: Literal["ema"]
    decay: float = result(0.999, gt=0, lt=1)


class Swa(Config):
    """The plain mean of the weights at the end of every epoch from `start_epoch` (counted from 1) on."""

    kind: Literal["swa"]
    start_epoch: int = result(5, ge=1)


Average = Annotated[Ema | Swa, Field(discriminator="kind")]


class Spikes(Config):
    """What to do about a loss that is no number, or above `factor` times the median of the last `window` steps.

    report: tell it with the rows of its batch, and go on (one that is no number still stops: the weights are broken).
    stop: fail. rollback: put back weights and optimizer of at most `every` steps ago and go on behind the batch;
    `limit` spikes are the most that a training survives.
    """

    action: Literal["report", "stop", "rollback"] = result("report")
    factor: float = result(10.0, gt=1)
    window: int = result(50, ge=10)
    every: int = result(20, ge=1)
    limit: int = result(20, ge=1)


class Callbacks(Config):
    """What watches the training. null switches one off; `extra` are the user's Lightning callbacks.

    `spikes`: null stops at a loss that is no number, naming the rows of its batch.
    `averaging`: a mean of the weights along the way is validated and becomes the model, instead of the last ones.

    `loggers` are Lightning loggers that get what the journal gets; they never change the model.
    """

    early_stopping: EarlyStopping | None = result(EarlyStopping())
    checkpoint: BestCheckpoint | None = result(BestCheckpoint())
    averaging: Average | None = result(None, neutral=None)
    spikes: Spikes | None = result(None, neutral=None)
    extra: list[Target] = result([])
    loggers: list[Target] = runtime([])


class InCore(Config):
    """Batches cut straight from arrays in memory; every epoch has its own permutation, from the seed and its number.

    hold: rows in the memory of the `host`, of the `device` that learns from them, or `auto`: on a GPU where they take
    at most a twentieth of it, unless a LightningModule of your own is trained. The batches are the same.
    """

    kind: Literal["in_core"]
    batch_size: int = result(1024, ge=1)
    eval_batch_size: int = runtime(8192, ge=1)
    shuffle: bool = result(True)
    drop_last: bool = result(False)
    hold: Literal["auto", "host", "device"] = placement("auto")


class Streaming(Config):
    """Batches from blocks of rows that are mixed in a buffer, so that the table need not fit into memory.

    An epoch lays the blocks of `block_rows` rows in a new order, splits it into `lanes` equal spans that are read side
    by side, and permutes the rows of each lane in windows; the windows of all lanes are `buffer_rows` rows. That order
    hangs on the seed and the epoch alone, so where the table is held and how many ranks there are only place the work;
    a rank reads its own lanes.
    hold: in `memory`, on `disk`, or `auto`: in memory where it fits into `memory_gb` (null: half of what is free).
    cache: decode Parquet once into a mapped file beside the checkpoints, not at every epoch. workers: threads that read
    ahead; null: the plan picks, one more than in the last run if that waited for data; 0 reads when a window is due.
    """

    kind: Literal["streaming"]
    batch_size: int = result(1024, ge=1)
    eval_batch_size: int = runtime(8192, ge=1)
    shuffle: bool = result(True)
    drop_last: bool = result(False)
    lanes: int = result(8, ge=1, le=4096)
    block_rows: int = result(16384, ge=1)
    buffer_rows: int = result(131072, ge=1)
    hold: Literal["auto", "memory", "disk"] = placement("auto")
    memory_gb: Gigabytes | None = placement(None)
    cache: bool = placement(True)
    workers: Annotated[int, Field(ge=0, le=64)] | None = placement(None)


Ingest = Annotated[InCore | Streaming, Field(discriminator="kind")]


class Rung(Config):
    """A piece of a training. epochs: where it ends, counted from the first epoch of the whole training."""

    epochs: int = result(..., ge=1)

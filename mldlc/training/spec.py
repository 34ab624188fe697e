"""The training room: its kinds of step, `training.train` and a piece of it, `training.rung`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mldlc.plan.artifact import Dataset, Decision, Lessons, Metrics, Model, Split, State, Table
from mldlc.plan.spec import Resources, StepSpec, optional, port, some
from mldlc.training import config, distill_config, update_config
from mldlc.training.limits import check_alone, check_blocks, check_cut, check_lessons, check_stream
from mldlc.training.loop_config import Callbacks, Ingest, LightningTrainer, Rung

_MODELS, _OBJECTIVES = "mldlc.training.models", "mldlc.training.objectives"
COMPONENTS = {
    "model": {kind: f"{_MODELS}.{kind}" for kind in ("mlp", "linear", "cnn", "ft_transformer", "gpt", "custom")},
    "objective": {
        kind: f"{_OBJECTIVES}.{kind}" for kind in ("auto", "binary", "multiclass", "regression", "language_model")
    },
}
# Objective -> its scores of a validation, besides the loss; a test holds the implementations to it.
SCORES = {
    "binary": ("auroc", "accuracy"),
    "multiclass": ("accuracy",),
    "regression": ("r2", "rmse", "mae"),
    "language_model": (),
}
_STRATEGIES = "mldlc.training.strategies"
STRATEGIES = {
    "single": f"{_STRATEGIES}.single",
    "ddp": f"{_STRATEGIES}.ddp",
    "fsdp2": f"{_STRATEGIES}.fsdp2",
    "tensor_parallel": f"{_STRATEGIES}.tensor",
    "tp_fsdp2": f"{_STRATEGIES}.tensor",
    "pipeline": f"{_STRATEGIES}.pipeline",
    **{f"deepspeed_{stage}": f"{_STRATEGIES}.deepspeed" for stage in ("zero1", "zero2", "zero3", "offload")},
}


def train_needs(cfg: Any) -> Resources:
    """The configured threads of every device, its accelerator if one is asked for, and a process of its own."""
    if hasattr(cfg, "model"):
        check_cut(cfg)
        check_blocks(cfg)
    if hasattr(cfg, "distill"):
        check_alone(cfg)
        check_lessons(cfg)
    if hasattr(cfg, "update"):
        check_stream(cfg)
    devices = cfg.trainer.devices
    gpus = devices if cfg.trainer.accelerator in ("gpu", "cuda") else 0
    # torchmetrics comes with lightning anyway; named, so that the evaluation is given this process afterwards
    preload = (
        "numpy",
        "polars",
        "torch",
        "lightning.pytorch",
        "torchmetrics",
        "safetensors.torch",
        "mldlc.training.train",
    )
    return Resources(cpu=cfg.trainer.threads * devices, gpu=gpus, process="fresh", preload=preload)


def by_chance(cfg: Any) -> tuple[str, ...]:
    """Outputs that may differ next time: a clock ends the training, or kernels of a GPU add in any order."""
    trainer = cfg.trainer
    timed = trainer.max_time is not None
    loose = trainer.accelerator != "cpu" and trainer.deterministic is not True
    return ("model", "history") if timed or loose else ()


def ends_by(cfg: Any) -> str:
    """What the plan says of a training that may not give the same model again."""
    return f"not reproducible: trainer.max_time={cfg.trainer.max_time} ends it" if cfg.trainer.max_time else ""


def train_measures(cfg: Any) -> tuple[str, ...] | None:
    """What a validation logs; None where code of the user's may log more."""
    if cfg.model.kind == "custom" or cfg.callbacks.extra:
        return None
    kinds = SCORES if cfg.objective.kind == "auto" else (cfg.objective.kind,)
    return tuple(dict.fromkeys(("val_loss", *(f"val_{name}" for kind in kinds for name in SCORES[kind]))))


TRAIN = StepSpec(
    kind="training.train",
    version=1,
    impl="mldlc.training.train:run",
    inputs={"table": port(Dataset), "split": optional(Split)},
    outputs={"model": Model, "history": Metrics},
    reads={
        "model": config.Model,
        "objective": config.Objective,
        "optimizer": config.Optimizer,
        "trainer": LightningTrainer,
        "callbacks": Callbacks,
        "ingest": Ingest,
    },
    needs=train_needs,
    packages=("torch", "lightning"),
    components=COMPONENTS,
    nondeterministic=by_chance,
    describe=ends_by,
    advise="mldlc.training.advice:advise",
    measures=train_measures,
    doc="Trains a model on the train part of a prepared table (with its split) or of a text in tokens, watched by "
    "its val part.",
)

RECALL = StepSpec(
    kind="training.recall",
    version=1,
    impl="mldlc.training.recall:run",
    outputs={"model": Model},
    reads={"earlier": distill_config.EarlierModel},
    sources=distill_config.earlier_refs,
    needs=Resources(process="light"),
    doc="Takes models that were made earlier: by a run, in a registry, under version or in a folder.",
)

TEACH = StepSpec(
    kind="training.teach",
    version=1,
    impl="mldlc.training.teach:run",
    inputs={"teachers": some(Model), "table": port(Table)},
    outputs={"lessons": Lessons},
    reads={"lessons": distill_config.Lessons},
    needs=Resources(process="light", preload=("torch",)),
    packages=("torch",),
    doc="What teachers say about every row of a prepared table, kept for all their students.",
)

DISTILL = replace(
    TRAIN,
    kind="training.distill",
    impl="mldlc.training.distillation:run",
    inputs={"table": port(Table), "split": port(Split), "lessons": port(Lessons)},
    reads={**TRAIN.reads, "distill": distill_config.Distill},
    doc="Trains a student: as training.train, with a loss that also listens to teachers by their lessons.",
)

RUNG = replace(
    TRAIN,
    kind="training.rung",
    inputs={**TRAIN.inputs, "state": optional(State)},
    outputs={**TRAIN.outputs, "state": State},
    reads={**TRAIN.reads, "rung": Rung},
    nondeterministic=lambda cfg: (*by_chance(cfg), "state") if by_chance(cfg) else (),
    doc="Trains up to some epoch of the whole schedule, from the state of an earlier rung, and leaves a state too.",
)

UPDATE = StepSpec(
    kind="training.update",
    version=1,
    impl="mldlc.training.update:run",
    inputs={"start": port(Model), "table": port(Table), "split": port(Split), "due": optional(Decision)},
    outputs={"model": Model, "metrics": Metrics, "told": Table},
    reads={
        "objective": config.Objective,
        "optimizer": config.Optimizer,
        "trainer": LightningTrainer,
        "ingest": Ingest,
        "update": update_config.Update,
    },
    needs=train_needs,
    packages=("torch",),
    components={"objective": COMPONENTS["objective"]},
    advise="mldlc.training.advice:advise_update",
    doc="Goes on with a model along a stream of rows: each batch is told first, then learnt; with guards.",
)

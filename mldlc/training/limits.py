"""What a training cannot do with its model, trainer or ingest: told by the plan, from the config alone. Light."""

from __future__ import annotations

from typing import Any

from mldlc.plan.diagnostic import fail

BLOCKS = {"mlp": "layers", "ft_transformer": "blocks", "gpt": "layers"}  # kind -> key that counts or lists its blocks


def check_blocks(cfg: Any) -> None:
    """DiagnosticError for a model whose blocks cannot compute their activations again, as they are none."""
    model = cfg.model
    if cfg.trainer.activation_checkpointing and model.kind not in (*BLOCKS, "custom"):
        raise fail(
            "no_blocks", f"model '{model.kind}' has no blocks, which trainer.activation_checkpointing recomputes",
            key="kind", found=model.kind, allowed=(*BLOCKS, "custom"), hint="set it to false",
        )  # fmt: skip


def check_alone(cfg: Any) -> None:
    """DiagnosticError for a student that looks at hidden layers on several devices, which have them in parts."""
    trainer = cfg.trainer
    alone = trainer.strategy == "single" or (trainer.strategy == "auto" and trainer.devices == 1)
    if cfg.distill.kind == "features" and not alone:
        raise fail(
            "not_alone", f"distill=features runs on one device, and not under trainer.strategy={trainer.strategy}",
            key="trainer.strategy", found=trainer.strategy, allowed=("single",),
            hint="use trainer=cpu or gpu, or distill=logits, which any strategy runs",
        )  # fmt: skip


def check_lessons(cfg: Any) -> None:
    """DiagnosticError for a student whose rows are streamed: its lessons are a column beside rows in memory."""
    if cfg.ingest.kind == "streaming":
        raise fail(
            "not_in_core", "a student is given its lessons from memory", key="ingest.kind", found="streaming",
            allowed=("in_core",), hint="use ingest=in_core to distil",
        )  # fmt: skip


def check_stream(cfg: Any) -> None:
    """DiagnosticError for a stream (`update`) that is to be learnt on anything but one CPU."""
    trainer = cfg.trainer
    if trainer.strategy != "single":
        raise fail(
            "not_alone", f"a stream is learnt on one CPU, and not under trainer.strategy={trainer.strategy}",
            key="trainer.strategy", found=trainer.strategy, allowed=("single",), hint="use trainer=cpu",
        )  # fmt: skip
    if trainer.accelerator not in ("cpu", "auto"):
        raise fail(
            "not_alone", "a stream is learnt on one CPU", key="trainer.accelerator", found=trainer.accelerator,
            allowed=("cpu", "auto"), hint="use trainer=cpu",
        )  # fmt: skip


def check_cut(cfg: Any) -> None:
    """DiagnosticError for a model that trainer=pipeline cannot cut; one of the user's own is looked at when it runs."""
    model, devices = cfg.model, cfg.trainer.devices
    if cfg.trainer.strategy != "pipeline" or model.kind == "custom":
        return
    if model.kind not in BLOCKS:
        raise fail(
            "not_cut", f"model '{model.kind}' is no sequence of blocks, which trainer=pipeline cuts", key="kind",
            found=model.kind, allowed=(*BLOCKS, "custom"), hint="use trainer=ddp or fsdp2",
        )  # fmt: skip
    told = getattr(model, BLOCKS[model.kind])
    blocks = told if isinstance(told, int) else len(told)
    if devices > blocks + 1:
        raise fail(
            "not_cut", f"trainer=pipeline cannot cut {blocks} blocks over {devices} devices", key=BLOCKS[model.kind],
            found=str(told), hint=f"use trainer.devices={blocks + 1} at most, or more blocks",
        )  # fmt: skip
    if model.kind == "mlp" and model.norm == "batch":
        raise fail(
            "not_cut", "batch norm would see the micro-batches of trainer=pipeline, so the model would be another one",
            key="norm", found="batch", allowed=("layer", "none"), hint="use model.norm=layer, or trainer=fsdp2",
        )  # fmt: skip

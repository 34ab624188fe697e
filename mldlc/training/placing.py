"""`strategy: auto`: the first strategy whose ranks fit the devices, of all whose needs can be told. Light.

Plan and worker ask the same functions, so they answer alike.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mldlc.plan.context import StepError
from mldlc.training.hold import free_memory, shown
from mldlc.training.needs import PARTS, Load, Need, need
from mldlc.training.resident import stays

# of the need, kept free: what predictions miss, and what an allocator keeps (tests/bench/auto_memory.py)
SPARE = {"gpu": 0.15, "cpu": 0.3}
PROCESS = 2**28  # bytes of a rank on a CPU before it has a tensor: its imports
ORDER = (
    "single", "ddp", "deepspeed_zero1", "deepspeed_zero2", "fsdp2", "deepspeed_zero3", "deepspeed_offload",
    "tensor_parallel", "tp_fsdp2",
)  # fmt: skip
WHOLE = ("single", "ddp")
LESS = (
    "a smaller ingest.batch_size or ingest.eval_batch_size, trainer.activation_checkpointing=true, or more "
    "trainer.devices need less"
)


@dataclass(frozen=True)
class Choice:
    """The needs of all strategies in their order, and the first that fits; "" when none does. memory: of a device."""

    strategy: str
    needs: tuple[Need, ...]
    devices: int
    memory: int
    spare: float

    def fits(self, item: Need) -> bool:
        """Whether a device holds it, with some to spare."""
        return not item.why and item.total * (1 + self.spare) <= self.memory

    def facts(self) -> dict[str, Any]:
        """The same as JSON values; sizes in bytes."""
        rows = []
        for item in self.needs:
            sizes = {part: getattr(item, part) for part in PARTS} | {"total": item.total, "fits": self.fits(item)}
            rows.append({"strategy": item.strategy} | ({"why": item.why} if item.why else sizes))
        told = {"strategy": self.strategy or None, "devices": self.devices, "memory": self.memory}
        return told | {"spare": self.spare, "needs": rows}

    def text(self) -> str:
        """What was chosen, and a line a strategy."""
        number = f"{self.devices} devices" if self.devices > 1 else "1 device"
        limit = f"{number} of {shown(self.memory)}, {self.spare:.0%} of the need kept free"
        head = f"strategy: {self.strategy or 'none fits'} ({limit})"
        rows = [["", *PARTS, "in all", ""]]
        for item in self.needs:
            sizes = ["-" if item.why else shown(getattr(item, part)) for part in (*PARTS, "total")]
            rows.append([item.strategy, *sizes, item.why or ("fits" if self.fits(item) else "does not fit")])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = []
        for name, *sizes, verdict in rows:
            cells = [size.rjust(width) for size, width in zip(sizes, widths[1:-1], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *cells, verdict]).rstrip())
        return "\n".join([head, *lines])


def choose(params: Mapping[str, Any], footprint: Mapping[str, Any]) -> Choice:
    """The first strategy that fits. params: all groups of the step; footprint: see `footprint.measure`."""
    trainer = params["trainer"]
    needs = tuple(needed(name, params, footprint) for name in candidates(trainer["devices"]))
    gpu = footprint["device"] is not None
    choice = Choice("", needs, trainer["devices"], memory(trainer, footprint["device"]), SPARE["gpu" if gpu else "cpu"])
    first = next((item.strategy for item in needs if choice.fits(item)), "")
    return Choice(first, needs, choice.devices, choice.memory, choice.spare)


def too_large(choice: Choice) -> StepError:
    """What a training that fits no device ends with, before it starts."""
    return StepError(f"no strategy fits these devices; {LESS}\n{choice.text()}", where="trainer.strategy")


def memory(trainer: Mapping[str, Any], device: int | None) -> int:
    """Bytes of a device: as configured, else a GPU's own, else an equal part of what the machine has free."""
    if trainer["memory_gb"] is not None:
        return int(trainer["memory_gb"] * 2**30)
    return device if device is not None else max(0, free_memory() // trainer["devices"] - PROCESS)


def candidates(devices: int) -> tuple[str, ...]:
    """Strategies for so many devices, in the order in which they are tried."""
    return ("single", "deepspeed_offload") if devices == 1 else ORDER[1:]


def needed(strategy: str, params: Mapping[str, Any], footprint: Mapping[str, Any]) -> Need:
    """What one rank of a strategy needs, or why it cannot be had."""
    why = refused(strategy, params, footprint)
    if why:
        return Need(strategy, why=why)
    trainer, callbacks = params["trainer"], params["callbacks"]
    host = footprint["device"] is None  # where the copies of the weights lie, too
    best = int(host and bool(callbacks["checkpoint"]))
    averages = int(bool(callbacks["averaging"]))
    rolls = 3 if (callbacks["spikes"] or {}).get("action") == "rollback" else 0  # weights and two states a weight
    load = Load(
        devices=trainer["devices"],
        footprint=footprint,
        step=footprint["steps"][str(rows(strategy, params, footprint["known"]))],
        optimizer=params["optimizer"],
        accumulates=trainer["accumulate_grad_batches"] > 1,
        host=host,
        kept=best + averages + rolls,
        written=int(host),
        beside=0 if host else _beside(params, footprint),
    )
    return need(strategy, load)


def _beside(params: Mapping[str, Any], footprint: Mapping[str, Any]) -> int:
    """Bytes on a GPU that are no part of the model: what libraries take, and rows that are held there."""
    ingest, size = params["ingest"], int(footprint["rows"])
    held = ingest["kind"] == "in_core" and stays(ingest["hold"], size, memory(params["trainer"], footprint["device"]))
    return int(footprint["libraries"]) + held * size


def rows(strategy: str, params: Mapping[str, Any], known: int) -> int:
    """Rows of a batch that one rank works on. known: rows of the data, of which a batch has no more."""
    devices = params["trainer"]["devices"]
    copies = {"tensor_parallel": devices, "tp_fsdp2": 2}.get(strategy, 1)
    return math.ceil(min(params["ingest"]["batch_size"], known) * copies / devices)


def refused(strategy: str, params: Mapping[str, Any], footprint: Mapping[str, Any]) -> str:
    """Why a strategy is no candidate for this training, "" if it is."""
    trainer, callbacks = params["trainer"], params["callbacks"]
    size = trainer["devices"] if strategy == "tensor_parallel" else 2
    if strategy.startswith("deepspeed"):
        if find_spec("deepspeed") is None:
            return "needs DeepSpeed: pip install 'mldlc[deepspeed]'"
        if trainer["precision"] in ("16-mixed", "16-true", "64-true"):
            return f"DeepSpeed does not train in {trainer['precision']} here"
        if trainer["gradient_clip_val"] is not None and trainer["gradient_clip_algorithm"] == "value":
            return "DeepSpeed clips gradients by their norm only"
    if strategy == "deepspeed_offload" and footprint["device"] is None:
        return "the memory of the host is that of the devices here"
    if trainer["compile"] and strategy in ("deepspeed_zero3", "deepspeed_offload"):
        return "is not combined with trainer.compile"
    if strategy == "tp_fsdp2" and (trainer["devices"] < 4 or trainer["devices"] % 2):
        return "needs 4 devices or more, in pairs"
    if strategy in ("tensor_parallel", "tp_fsdp2") and not footprint["cut"][str(size)]:
        return f"no linear layer that {size} ranks can share"
    if strategy not in WHOLE and callbacks["averaging"]:
        return "has no whole weights to average"
    if strategy not in WHOLE and "rung" in params:
        return "pieces of a training cannot take over its shards"
    if strategy != "single" and params.get("distill", {}).get("kind") == "features":
        return "distill=features runs on one device"
    return ""


def question(params: Mapping[str, Any], read: Callable[[str, str], Any]) -> dict[str, Any] | None:
    """What `mldlc.training.footprint.measure` is asked, as JSON; None where the table is not known yet.

    read: gives a JSON file of the artifact of a port.
    """
    manifest = read("table", "manifest.json")
    about = None if manifest is None else _data(manifest)
    if about is None:
        return None
    trainer, devices = params["trainer"], params["trainer"]["devices"]
    names = candidates(devices)
    return about | {
        "model": params["model"],
        "objective": params["objective"],
        "precision": trainer["precision"],
        "checkpointing": trainer["activation_checkpointing"],
        "gpu": on_gpu(trainer["accelerator"]),
        "devices": devices,
        "rows": sorted({rows(name, params, about["known"]) for name in names}),
        "eval_rows": math.ceil(min(params["ingest"]["eval_batch_size"], about["known"]) / devices),
        "sizes": sorted({devices, 2} - {1}),
    }


def _data(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a model's size hangs on in the data, and its number of rows; None for no prepared table."""
    if "vocabulary" in manifest:
        tokens = sum(part["stop"] - part["start"] for part in manifest["parts"])
        return {"tokens": {"vocabulary": manifest["vocabulary"]}, "known": tokens}
    info = manifest.get("info", {})
    if not {"label", "numeric", "categorical"} <= set(info):
        return None
    label = dict(info["label"])
    if "classes" in label:
        label["classes"] = list(range(len(label["classes"])))
    table = {
        "n_numeric": len(info["numeric"]),
        "cardinalities": [column["cardinality"] for column in info["categorical"]],
        "label": label,
        "weight": any(column["name"] == "weight" for column in manifest["columns"]),
    }
    return {"table": table, "known": manifest["rows"]}


def on_gpu(accelerator: str) -> bool:
    """Whether a training runs on CUDA devices, as far as can be told without torch."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    found = not hidden and any(Path("/dev").glob("nvidia[0-9]*"))
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and found)

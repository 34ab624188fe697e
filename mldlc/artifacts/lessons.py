"""Lessons: what teachers say about every row of a prepared table. Arrays as safetensors, and a JSON card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json

FORMAT = "mldlc.lessons/1"


@dataclass(frozen=True)
class Lessons:
    """outputs: (rows, teachers, k) float32, raw outputs of a class label, predictions in the label's unit of a number.

    hidden: (rows, width) float32 of one teacher's hidden layer, or None. card: {kind, classes, teachers: [labels]}.
    """

    outputs: Tensor
    hidden: Tensor | None
    card: Mapping[str, Any]


def write_lessons(out: Path, outputs: Tensor, hidden: Tensor | None, card: Mapping[str, Any]) -> None:
    """Write an artifact into `out`; equal values give equal bytes."""
    arrays = {"outputs": outputs.contiguous()} | ({} if hidden is None else {"hidden": hidden.contiguous()})
    save_file(arrays, out / "lessons.safetensors")
    write_json(out / "lessons.json", {"format": FORMAT, **card, "rows": len(outputs)})


def load_lessons(artifact: Artifact) -> Lessons:
    """Read an artifact."""
    arrays: dict[str, torch.Tensor] = load_file(artifact.file("lessons.safetensors"))
    return Lessons(arrays["outputs"], arrays.get("hidden"), artifact.json("lessons.json"))

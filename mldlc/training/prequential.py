"""Prequential evaluation: every row is told before it is learnt, and what was told is scored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from mldlc.artifacts.model import LoadedModel

BETTER = {
    "regression": {"rmse": "lower", "mae": "lower"},
    "binary": {"accuracy": "higher", "log_loss": "lower"},
    "multiclass": {"accuracy": "higher", "log_loss": "lower"},
}
SMALLEST = 1e-12


def report(model: LoadedModel, label: np.ndarray, said: Mapping[str, np.ndarray], windows: int) -> dict[str, Any]:
    """metrics.json of a stream. said: learner -> predictions of all its rows; the first one is the part `stream`."""
    kind = model.kind
    scores = {name: {"n": len(label), **scored(kind, label, values)} for name, values in said.items()}
    first = next(iter(said))
    primary = next(iter(BETTER[kind]))
    ends = np.linspace(0, len(label), min(windows, len(label)) + 1).astype(int)
    curve = {
        name: [scored(kind, label[a:b], values[a:b])[primary] for a, b in itertools.pairwise(ends)]
        for name, values in said.items()
    }
    return {
        "format": "mldlc.metrics/1", "task": kind, "classes": [str(c) for c in model.classes], "better": BETTER[kind],
        "primary": primary, "parts": {"stream": scores[first], **{n: v for n, v in scores.items() if n != first}},
        "slices": [], "curves": {}, "prequential": {"ends": ends[1:].tolist(), "metric": primary, "learners": curve},
    }  # fmt: skip


def scored(kind: str, label: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """The metrics of a task, to ten digits."""
    if kind == "regression":
        error = said - label.astype(np.float64)
        found = {"rmse": np.sqrt(np.square(error).mean()), "mae": np.abs(error).mean()}
    else:
        every = said if said.ndim == 2 else np.stack([1 - said, said], axis=1)
        chosen = every.argmax(1) if said.ndim == 2 else (said >= 0.5).astype(np.int64)
        own = np.maximum(every[np.arange(len(label)), label.astype(np.int64)], SMALLEST)
        found = {"accuracy": (chosen == label).mean(), "log_loss": -np.log(own).mean()}
    return {name: float(f"{value:.10g}") for name, value in found.items()}

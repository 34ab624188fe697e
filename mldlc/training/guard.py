"""Scores that guards compare, and the slices of old rows on which an update must not do worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from mldlc.artifacts.tensors import Tensors
from mldlc.training.advice import unknown_input
from mldlc.training.update_config import SliceGuard


def score(label: np.ndarray, said: np.ndarray, kind: str, scale: float | None = None) -> float:
    """Accuracy, of a number minus the root mean squared error over `scale` (the labels' deviation)."""
    if kind == "regression":
        error = said - label.astype(np.float64)
        return -float(np.sqrt(np.square(error).mean()) / (scale or float(label.std()) or 1.0))
    chosen = said.argmax(1) if said.ndim == 2 else (said >= 0.5).astype(np.int64)
    return float((chosen == label).mean())


class Slices:
    """The slices of some judging rows: name -> positions among them."""

    def __init__(self, guard: SliceGuard, data: Tensors, rows: Tensor) -> None:
        self.guard, index = guard, rows.numpy()
        self.label = data.label[index]
        self.scale = float(self.label.std()) if len(index) else 1.0
        spans = np.array_split(np.arange(len(index)), guard.ages)
        self.positions = {f"age {number + 1} of {guard.ages}": span for number, span in enumerate(spans)}
        known = [column["name"] for column in data.info["categorical"]]
        error = unknown_input(guard.columns, known)
        if error is not None:
            raise error
        for name in guard.columns:
            codes = data.categorical[index, known.index(name)]
            values = data.info["categorical"][known.index(name)].get("values") or []
            for code in np.unique(codes):
                value = values[code - 2] if 2 <= code < len(values) + 2 else ("missing", "other")[min(int(code), 1)]
                self.positions[f"{name}={value}"] = np.flatnonzero(codes == code)
        self.positions = {name: at for name, at in self.positions.items() if len(at) >= guard.min_rows}

    def scores(self, said: np.ndarray, kind: str) -> dict[str, float]:
        """The score on every slice."""
        return {name: score(self.label[at], said[at], kind, self.scale) for name, at in self.positions.items()}

    def fallen(self, was: Mapping[str, float], said: np.ndarray, kind: str) -> dict[str, Any]:
        """Slices whose score has fallen by more than is allowed: {name: [before, after]}."""
        now = self.scores(said, kind)
        return {
            name: [round(value, 6), round(now[name], 6)]
            for name, value in was.items()
            if now[name] < value - self.guard.max_drop
        }

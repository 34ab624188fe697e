"""Builds small prepared tables, splits and models in a folder, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import write_model
from mldlc.artifacts.split import write_split
from mldlc.artifacts.table import write_table
from mldlc.artifacts.tensors import tensor_frame, write_tensors
from mldlc.training.models.linear import TabularLinear
from tests.step_harness import artifact

CONF = Path(__file__).resolve().parents[2] / "conf"
PARTS = ("train", "val", "test")


def option(group: str, name: str, **changes: Any) -> dict[str, Any]:
    """A shipped option of a config group, with top-level keys replaced."""
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text()) | changes


@dataclass(frozen=True)
class World:
    """Inputs of a study, and the arrays they were made of."""

    inputs: dict[str, Artifact]
    numeric: np.ndarray
    categorical: np.ndarray
    label: np.ndarray
    codes: np.ndarray


def linear_model(folder: Path, weights: Sequence[Sequence[float]], codes: Sequence[Sequence[float]], info: dict,
                 objective: dict[str, Any]) -> Artifact:  # fmt: skip
    """A linear model: weights (outputs, F) on the numeric inputs, codes: weight of each value of each category."""
    args = {"n_numeric": len(weights[0]), "cardinalities": [len(c) for c in codes], "out_features": len(weights)}
    module = TabularLinear(**args)
    with torch.no_grad():
        module.numeric.weight.copy_(torch.tensor(weights))
        if codes:
            flat = torch.tensor([value for column in codes for value in column])
            module.codes.weight.copy_(flat[:, None].expand(-1, len(weights)))
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder, module, target="mldlc.training.models.linear:TabularLinear", args=args, objective=objective,
                features=info)  # fmt: skip
    return artifact("Model", folder)


def world(folder: Path, kind: str, rows: int = 3000, partitions: int = 2, weight: bool = False, seed: int = 0) -> World:
    """Rows whose label follows numeric input x0 and category c0, a model that knows so, and the raw columns beside.

    Inputs: x0 (strong), x1 (weak), x2 (none); c0 of 3 values, c1 of 4 (none).
    """
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(rows, 3)).astype(np.float32)
    categorical = np.column_stack([rng.integers(0, 3, rows), rng.integers(0, 4, rows)]).astype(np.int32)
    signal = 2.0 * numeric[:, 0] + 0.3 * numeric[:, 1] + np.array([-1.0, 0.0, 1.0])[categorical[:, 0]]
    weights, codes = [[2.0, 0.3, 0.0]], [[-1.0, 0.0, 1.0], [0.0] * 4]
    match kind:
        case "binary":
            label = (signal + rng.logistic(size=rows) > 0).astype(np.float32)
            classes, objective = ["no", "yes"], {"kind": "binary", "classes": ["no", "yes"]}
        case "multiclass":
            noisy = signal + rng.logistic(size=rows)
            label = np.digitize(noisy, [-1.0, 1.0]).astype(np.float32)
            classes = ["low", "mid", "high"]
            objective = {"kind": "multiclass", "classes": classes}
            weights, codes = [[-2.0, -0.3, 0.0], [0.0, 0.0, 0.0], [2.0, 0.3, 0.0]], [[0.0] * 3, [0.0] * 4]
        case _:
            label = (10 + 3 * (signal + 0.5 * rng.normal(size=rows))).astype(np.float32)
            classes, objective = [], {"kind": "regression", "mean": 10.0, "std": 3.0, "log_target": False}
    split = rng.choice(3, size=rows, p=[0.6, 0.15, 0.25]).astype(np.uint8)
    info = _info(kind, classes)
    pieces = np.array_split(np.arange(rows), partitions)
    _tables(folder, pieces, numeric, categorical, label, rng.integers(1, 5, rows) if weight else None, info)
    write_split(_made(folder / "split"), PARTS, [(f"p{i}", split[p]) for i, p in enumerate(pieces)])
    inputs = {name: artifact(kind_, folder / name) for name, kind_ in (("table", "Table"), ("raw", "Table"))}
    inputs["split"] = artifact("Split", folder / "split")
    inputs["model"] = linear_model(folder / "model", weights, codes, {}, objective)
    return World(inputs, numeric, categorical, label, split)


def _info(kind: str, classes: list[str]) -> dict[str, Any]:
    values = [[None, "b", "c"], [None, ":other", "r", "s"]]
    return {
        "numeric": ["x0", "x1", "x2"],
        "categorical": [{"name": f"c{i}", "cardinality": len(v), "values": v} for i, v in enumerate(values)],
        "label": {"name": "y", "kind": "value" if kind == "regression" else "class", "classes": classes},
    }


def _tables(folder: Path, pieces: list[np.ndarray], numeric: np.ndarray, categorical: np.ndarray, label: np.ndarray,
            weight: np.ndarray | None, info: dict[str, Any]) -> None:  # fmt: skip
    kinds = np.array(["a", "b", "c"])
    other = np.array(["p", "q", "r", "s"])

    def prepared():
        for number, rows in enumerate(pieces):
            weights = None if weight is None else weight[rows]
            yield f"p{number}", tensor_frame(numeric[rows], categorical[rows], label[rows], weights)

    def raw():
        for number, rows in enumerate(pieces):
            kind = [None if r % 17 == 0 else str(kinds[categorical[r, 0]]) for r in rows]
            yield (
                f"p{number}",
                pl.DataFrame(
                    {
                        "age": numeric[rows, 0] * 10 + 40,
                        "kind": kind,
                        "other": other[categorical[rows, 1]],
                        "y": label[rows],
                    }
                ),
            )

    write_tensors(_made(folder / "table"), prepared(), info)
    write_table(_made(folder / "raw"), raw(), roles={"y": "label"})


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

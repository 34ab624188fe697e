"""Prepared tables of the real data and of random numbers, in the tensor layout, for tests of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.split import write_split
from mldlc.artifacts.table import write_table
from tests.step_harness import artifact

ADULT = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
]  # fmt: skip


def prepared(
    folder: Path,
    numeric: np.ndarray,
    categorical: np.ndarray,
    label: np.ndarray,
    label_info: dict[str, Any],
    *,
    cardinalities: Sequence[int] = (),
    weight: np.ndarray | None = None,
    shares: tuple[float, float] = (0.6, 0.2),
    seed: int = 0,
) -> dict[str, Artifact]:
    """Table and Split artifacts of the arrays: train and val by `shares`, the rest test."""
    rows = len(label)
    columns: dict[str, Any] = {}
    if numeric.shape[1]:
        columns["numeric"] = pl.Series(values=numeric.astype(np.float32), dtype=pl.Array(pl.Float32, numeric.shape[1]))
    if categorical.shape[1]:
        kind = pl.Array(pl.Int32, categorical.shape[1])
        columns["categorical"] = pl.Series(values=categorical.astype(np.int32), dtype=kind)
    columns["label"] = label.astype(np.int32 if label_info["kind"] == "class" else np.float32)
    if weight is not None:
        columns["weight"] = weight.astype(np.float32)
    info = {
        "layout": "tensor",
        "numeric": [f"n{i}" for i in range(numeric.shape[1])],
        "categorical": [
            {"name": f"c{i}", "cardinality": size, "values": [str(v) for v in range(size)]}
            for i, size in enumerate(cardinalities)
        ],
        "label": {"name": "label", **label_info},
    }
    table, split = folder / "table", folder / "split"
    table.mkdir(parents=True)
    split.mkdir()
    roles = {"label": "label", "weight": "weight"}
    write_table(table, [("all", pl.DataFrame(columns))], roles=roles, info=info)
    draw = np.random.default_rng(seed).random(rows)
    codes = (draw >= shares[0]).astype(np.uint8) + (draw >= sum(shares)).astype(np.uint8)
    write_split(split, ("train", "val", "test"), [("all", codes)])
    return {"table": artifact("Table", table), "split": artifact("Split", split)}


def adult(path: Path, folder: Path, rows: int = 40_000, seed: int = 0) -> dict[str, Artifact]:
    """Adult: logarithm of the capital columns, standardised numbers, categories by code."""
    raw = path.read_text().replace(", ", ",").encode()
    frame = pl.read_csv(raw, has_header=False, new_columns=ADULT, null_values="?").drop_nulls("income").head(rows)
    names = [name for name in ADULT[:-1] if frame[name].dtype.is_numeric()]
    numeric = frame.select(names).with_columns(pl.col("capital_gain", "capital_loss").log1p()).to_numpy().astype(float)
    texts = [frame[name].fill_null("?") for name in ADULT[:-1] if name not in names]
    levels = [sorted(text.unique()) for text in texts]
    codes = [
        text.replace_strict(level, range(len(level))).to_numpy() for text, level in zip(texts, levels, strict=True)
    ]
    return prepared(
        folder,
        (numeric - numeric.mean(0)) / numeric.std(0),
        np.stack(codes, axis=1),
        (frame["income"] == ">50K").to_numpy(),
        {"kind": "class", "classes": ["<=50K", ">50K"]},
        cardinalities=[len(level) for level in levels],
        seed=seed,
    )


def blobs(folder: Path, rows: int = 2000, classes: int = 2, seed: int = 0, **options: Any) -> dict[str, Artifact]:
    """Classes that a linear model separates well: 6 numbers and 2 categories."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    numeric = rng.normal(size=(rows, 6)) + rng.normal(size=(classes, 6))[label]
    categorical = np.stack([(label + rng.integers(0, 2, rows)) % classes, rng.integers(0, 4, rows)], axis=1)
    info = {"kind": "class", "classes": [f"k{i}" for i in range(classes)]}
    return prepared(folder, numeric, categorical, label, info, cardinalities=[classes, 4], **options)


def line(folder: Path, rows: int = 2000, seed: int = 0, lift: float = 0.0, **options: Any) -> dict[str, Artifact]:
    """A number that is linear in 5 others, in a unit of its own: mean 50,000, deviation about 20,000."""
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(rows, 5))
    label = 50_000 + 10_000 * numeric @ np.array([1.0, -1.0, 1.0, 0.5, 0.0]) + rng.normal(size=rows) * 1000
    return prepared(folder, numeric, np.empty((rows, 0)), label + lift, {"kind": "value"}, **options)


def config(**groups: dict[str, Any]) -> dict[str, Any]:
    """A small quick configuration of all groups, with some groups' keys replaced."""
    shipped: dict[str, Any] = {
        "model": {"kind": "mlp", "layers": [16], "dropout": 0.1},
        "objective": {"kind": "auto"},
        "optimizer": {"kind": "adamw", "lr": 0.01, "scheduler": {"kind": "cosine"}},
        "trainer": {"kind": "lightning", "max_epochs": 3, "threads": 1, "log_every_n_steps": 5},
        "callbacks": {},
        "ingest": {"kind": "in_core", "batch_size": 64},
    }
    for name, keys in groups.items():
        changes_kind = "kind" in keys and keys["kind"] != shipped[name].get("kind")
        shipped[name] = dict(keys) if changes_kind else shipped[name] | keys
    return shipped

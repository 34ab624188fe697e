"""What a training needs of a prepared table: batches of its rows, the network and its objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from mldlc.artifacts.model import joined, takes_columns
from mldlc.artifacts.table import Table
from mldlc.artifacts.target import construct
from mldlc.artifacts.tensors import LAYOUT, Tensors, load_tensors
from mldlc.plan.context import StepError
from mldlc.training.job import Job, component, steps_of
from mldlc.training.loader import BatchLoader, Shard
from mldlc.training.module import TabularModule, check_network
from mldlc.training.objective import Objective
from mldlc.training.ranks import Ranks


def job(cfg: Any, inputs: Mapping[str, Any], ranks: Ranks) -> Job:
    """The training of a table with its split."""
    data = _data(inputs["table"])
    if inputs["split"] is None:
        raise StepError("training on a table needs a split", where="lifecycle.stages", hint="bind `split` to one")
    parts = {name: inputs["split"].rows(name) for name in inputs["split"].names}
    label = _label(data, parts)
    objective = component("objective", cfg).build(cfg.objective, data.info["label"], label[parts["train"]])
    target, args = component("model", cfg).describe(cfg.model, _sizes(data, objective))
    net = construct(target, args, "model")
    train, val = _loaders(cfg, net, data, objective, parts, ranks.shard)
    steps, total = steps_of(cfg, train)
    module, card = _module(cfg, net, objective, train, steps, total)
    if isinstance(module, TabularModule):
        module.ranks, module.share = ranks, lambda: train.share
    return Job(module, train, val, total, target, args, card, _features(data.info))


def _data(table: Table) -> Tensors:
    """The arrays of the table; StepError when it was not prepared or has no label."""
    if table.info.get("layout") != LAYOUT:
        raise StepError("this table is not prepared", where="lifecycle.stages", hint="bind `table` to a prepare stage")
    if "label" not in {column.name for column in table.columns}:
        raise StepError("the table has no label", where="source.roles", hint="give a column the role label")
    return load_tensors(table)


def _label(data: Tensors, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The label, checked where rows are used for training or validation."""
    if len(parts.get("train", ())) == 0:
        raise StepError("the split has no rows in 'train'", where="split")
    for name in ("train", "val"):
        rows = parts.get(name, np.empty(0, np.int64))
        values = data.label[rows]
        bad = ~np.isfinite(values) if np.issubdtype(values.dtype, np.floating) else values < 0
        if bad.any():
            raise StepError(
                f"{int(bad.sum())} rows of '{name}' have no label, first at row {int(rows[bad][0])}",
                where="clean", hint="drop rows without a label in `clean`",
            )  # fmt: skip
    return data.label


def _sizes(data: Tensors, objective: Objective) -> dict[str, Any]:
    """What a model's constructor may ask for."""
    cardinalities = [int(column["cardinality"]) for column in data.info["categorical"]]
    n_numeric = int(data.numeric.shape[1])
    return {
        "n_numeric": n_numeric, "cardinalities": cardinalities, "in_features": n_numeric + len(cardinalities),
        "out_features": objective.out_features,
    }  # fmt: skip


def _features(info: Mapping[str, Any]) -> dict[str, Any]:
    named = {"numeric": list(info["numeric"]), "categorical": list(info["categorical"]), "label": dict(info["label"])}
    return named | ({"preprocessor": info["preprocessor"]} if "preprocessor" in info else {})


def _loaders(
    cfg: Any, net: nn.Module, data: Tensors, objective: Objective, parts: Mapping[str, np.ndarray], shard: Shard
) -> tuple[BatchLoader, BatchLoader | None]:
    """Loaders of the train rows and of the val rows (None without such rows)."""
    tensors, collate = _batches(cfg, net, data, objective)
    ingest, seed = cfg.ingest, cfg.trainer.seed
    shuffle = ingest.shuffle and not cfg.trainer.overfit_batches
    train_rows = torch.from_numpy(parts["train"])
    weight = tensors[3] if len(tensors) > 3 else None
    train = BatchLoader(
        tensors, train_rows, ingest.batch_size, shuffle=shuffle, drop_last=ingest.drop_last, seed=seed,
        collate=collate, shard=shard, weight=weight,
    )  # fmt: skip
    rows = torch.from_numpy(parts.get("val", np.empty(0, np.int64)))
    val = None
    if len(rows):
        val = BatchLoader(tensors, rows, ingest.eval_batch_size, collate=collate, shard=shard, even=shard.world > 1)
    if val is None and (cfg.callbacks.early_stopping or cfg.callbacks.checkpoint):
        raise StepError(
            "callbacks watch the validation, but the split has no rows in 'val'",
            where="callbacks", hint="give `split` a share for val, or use callbacks=none",
        )  # fmt: skip
    return train, val


def _batches(cfg: Any, net: nn.Module, data: Tensors, objective: Objective) -> tuple[list[Tensor], Any]:
    """The tensors to cut batches from, and the form of a batch."""
    numeric, categorical = torch.from_numpy(data.numeric), torch.from_numpy(data.categorical)
    weight = [] if data.weight is None else [torch.from_numpy(data.weight).float()]
    if not isinstance(net, pl.LightningModule):
        return [numeric, categorical, objective.encode(data.label), *weight], tuple
    plain = torch.from_numpy(data.label)
    label = plain.float() if objective.kind == "regression" else plain.long()
    if cfg.model.batch == "dict":
        names = ["numeric", "categorical", "label", "weight"][: 3 + len(weight)]
        return [numeric, categorical, label, *weight], lambda parts: dict(zip(names, parts, strict=True))
    return [joined(numeric, categorical), label], tuple


def _module(
    cfg: Any, net: nn.Module, objective: Objective, train: BatchLoader, steps: int, total: int | None
) -> tuple[pl.LightningModule, dict[str, Any]]:
    """The LightningModule to fit and the objective's card; a user's own one stays as it is, in the label's unit."""
    card = dict(objective.card)
    if isinstance(net, pl.LightningModule):
        takes_columns(net)
        if objective.kind == "regression":
            card |= {"mean": 0.0, "std": 1.0, "log_target": False}
        return net, card
    module = TabularModule(net, objective, cfg.optimizer, steps, total)
    rows = train.rows[:2]
    check_network(module, tuple(t.index_select(0, rows) for t in train.tensors))
    if hasattr(net, "fit_inputs"):
        net.fit_inputs(train.tensors[0].index_select(0, train.rows))
    return module, card

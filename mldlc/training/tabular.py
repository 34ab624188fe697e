"""What a training needs of a prepared table: batches of its rows, the network and its objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from torch import nn

from mldlc.artifacts.model import takes_columns
from mldlc.artifacts.table import Table
from mldlc.artifacts.target import construct
from mldlc.artifacts.tensors import LAYOUT
from mldlc.plan.context import Context, StepError
from mldlc.training.in_core import CoreRows
from mldlc.training.job import Job, component, steps_of
from mldlc.training.loader import Loader
from mldlc.training.module import TabularModule, check_network
from mldlc.training.objective import Objective
from mldlc.training.out_of_core import StreamedRows
from mldlc.training.ranks import Ranks
from mldlc.training.rows import Form, Rows, form_of
from mldlc.training.streaming import StreamLoader


def job(ctx: Context, cfg: Any, inputs: Mapping[str, Any], ranks: Ranks) -> Job:
    """The training of a table with its split."""
    table, split = _prepared(inputs["table"]), inputs["split"]
    if split is None:
        raise StepError("training on a table needs a split", where="lifecycle.stages", hint="bind `split` to one")
    rows: Rows = (StreamedRows if cfg.ingest.kind == "streaming" else CoreRows)(ctx, cfg, table, split, ranks)
    if not rows.count("train"):
        raise StepError("the split has no rows in 'train'", where="split")
    labels = rows.labels("train")
    rows.labels("val")
    objective = component("objective", cfg).build(cfg.objective, table.info["label"], labels)
    target, args = component("model", cfg).describe(cfg.model, _sizes(table.info, objective))
    net = construct(target, args, "model")
    train, val = _loaders(cfg, rows, form_of(cfg, net, objective))
    steps, total = steps_of(cfg, train)
    module, card = _module(cfg, net, objective, train, steps, total)
    if isinstance(module, TabularModule):
        module.ranks, module.share, module.empty = ranks, lambda: train.share, lambda: train.empty
    if isinstance(train, StreamLoader):
        train.mean = lambda values: ranks.mean(values.to(module.device)).cpu()
    return Job(module, train, val, total, target, args, card, _features(table.info), rows.fed)


def _prepared(table: Table) -> Table:
    """StepError when it was not prepared or has no label."""
    if table.info.get("layout") != LAYOUT:
        raise StepError("this table is not prepared", where="lifecycle.stages", hint="bind `table` to a prepare stage")
    if "label" not in {column.name for column in table.columns}:
        raise StepError("the table has no label", where="source.roles", hint="give a column the role label")
    return table


def _sizes(info: Mapping[str, Any], objective: Objective) -> dict[str, Any]:
    """What a model's constructor may ask for."""
    cardinalities = [int(column["cardinality"]) for column in info["categorical"]]
    n_numeric = len(info["numeric"])
    return {
        "n_numeric": n_numeric, "cardinalities": cardinalities, "in_features": n_numeric + len(cardinalities),
        "out_features": objective.out_features,
    }  # fmt: skip


def _features(info: Mapping[str, Any]) -> dict[str, Any]:
    named = {"numeric": list(info["numeric"]), "categorical": list(info["categorical"]), "label": dict(info["label"])}
    return named | ({"preprocessor": info["preprocessor"]} if "preprocessor" in info else {})


def _loaders(cfg: Any, rows: Rows, form: Form) -> tuple[Loader, Loader | None]:
    """Loaders of the train rows and of the val rows (None without such rows)."""
    val = rows.val(form) if rows.count("val") else None
    if val is None and (cfg.callbacks.early_stopping or cfg.callbacks.checkpoint):
        raise StepError(
            "callbacks watch the validation, but the split has no rows in 'val'",
            where="callbacks", hint="give `split` a share for val, or use callbacks=none",
        )  # fmt: skip
    return rows.train(form), val


def _module(
    cfg: Any, net: nn.Module, objective: Objective, train: Loader, steps: int, total: int | None
) -> tuple[pl.LightningModule, dict[str, Any]]:
    """The LightningModule to fit and the objective's card; a user's own one stays as it is, in the label's unit."""
    card = dict(objective.card)
    if isinstance(net, pl.LightningModule):
        takes_columns(net)
        if objective.kind == "regression":
            card |= {"mean": 0.0, "std": 1.0, "log_target": False}
        return net, card
    module = TabularModule(net, objective, cfg.optimizer, steps, total)
    check_network(module, train.first(2))
    if hasattr(net, "fit_inputs"):
        net.fit_inputs(train.inputs())
    return module, card

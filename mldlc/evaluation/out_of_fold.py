"""out_of_fold: what models say about train rows that they did not learn from; many rules for labels share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_table
from mldlc.artifacts.tensors import Tensors
from mldlc.evaluation.benchmark import fit_linear, given
from mldlc.evaluation.boosting import fit_boosting
from mldlc.evaluation.config import Scores
from mldlc.evaluation.scoring import load_rows
from mldlc.evaluation.task import Task, task_of
from mldlc.evaluation.threads import one_thread
from mldlc.plan.context import Context, StepError


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `scores`: a row a labelled train row: its number, then of every class a score, or the value."""
    tensors, codes = load_rows(inputs["table"], inputs["split"])
    task, rows = task_of_table(tensors), labelled_train_rows(tensors, codes, inputs["split"])
    said = out_of_fold(ctx, task, tensors, rows, cfg.scores)
    columns = {"row": pl.Series(rows, dtype=pl.Int64)}
    columns |= {f"s{number}": pl.Series(values) for number, values in enumerate(said.reshape(len(rows), -1).T)}
    info = {"task": task.kind, "classes": list(task.classes)}
    write_table(ctx.out("scores"), [("train", pl.DataFrame(columns))], roles={"row": "row_id"}, info=info)
    ctx.summary({"train_rows": len(rows), "folds": cfg.scores.folds})


def read_scores(table: Table, task: Task, rows: np.ndarray) -> np.ndarray:
    """(n,) or (n, k) scores as `out_of_fold` gave them; StepError when they are not of these rows and this task."""
    frame = table.load()
    known = np.array_equal(frame["row"].to_numpy(), rows)
    if not known or table.info != {"task": task.kind, "classes": list(task.classes)}:
        raise StepError(
            "the scores are of other rows", hint="bind `scores`, `table` and `split` to stages of one table"
        )
    said = frame.drop("row").to_numpy()
    return said if task.kind == "multiclass" else said[:, 0]


def task_of_table(tensors: Tensors) -> Task:
    """The task that the label of a prepared table asks for."""
    label = tensors.info["label"]
    if label["kind"] == "value":
        return task_of("regression", ())
    return task_of("binary" if len(label["classes"]) == 2 else "multiclass", label["classes"])


def labelled_train_rows(tensors: Tensors, codes: np.ndarray, split: Split) -> np.ndarray:
    """Numbers of the labelled train rows, ascending."""
    if "train" not in split.names:
        raise StepError("the split has no part 'train' whose labels could be mended", where="labels.kind")
    known = np.isfinite(tensors.label) if tensors.info["label"]["kind"] == "value" else tensors.label >= 0
    rows = np.flatnonzero((codes == split.names.index("train")) & known)
    if not len(rows):
        raise StepError("part 'train' has no labelled rows", where="labels.kind")
    return rows


def out_of_fold(ctx: Context, task: Task, tensors: Tensors, rows: np.ndarray, cfg: Scores) -> np.ndarray:
    """(n,) probability of the second class or value, or (n, k) probabilities, each by a model that did not see the row.

    Folds are dealt within classes (of numbers: within neighbours by value), so that each has its share of all.
    """
    if len(rows) < 2 * cfg.folds:
        raise StepError(f"{len(rows)} train rows are too few for {cfg.folds} folds", where="labels.scores.folds")
    draw = np.random.default_rng(cfg.seed)
    order = draw.permutation(len(rows))
    order = order[np.argsort(tensors.label[rows[order]], kind="stable")]
    fold = np.empty(len(rows), np.int64)
    fold[order] = np.arange(len(rows)) % cfg.folds
    said = np.zeros((len(rows), len(task.classes)) if task.kind == "multiclass" else len(rows))
    for number in range(cfg.folds):
        seen, held = rows[fold != number], rows[fold == number]
        if len(seen) > cfg.rows:
            seen = np.sort(draw.choice(seen, cfg.rows, replace=False))
        known = given(task, tensors, seen)
        with one_thread():
            model = (
                fit_linear(*known, iterations=cfg.iterations, l2=cfg.l2)
                if cfg.boosting is None
                else fit_boosting(*known, cfg.boosting, "labels.scores.boosting")
            )
            said[fold == number] = model.predict(tensors.numeric[held], tensors.categorical[held])
        ctx.progress(number + 1, cfg.folds, "folds scored")
    return said

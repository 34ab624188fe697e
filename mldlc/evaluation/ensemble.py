"""ensemble: what the mean prediction of the best points of a sweep scores, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.table import Table
from mldlc.evaluation.compare import rank
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.task import Task
from mldlc.plan.context import Context, StepError


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write metrics.json of the ensemble; row weights count for nothing here, every row is one."""
    found = rank(inputs["metrics"], cfg.compare)
    chosen = [label for label in found.order if found.rows[label].value is not None][: cfg.ensemble.top]
    if len(chosen) < 2:
        raise StepError("an ensemble takes at least two points", where="ensemble.top", hint="sweep over more")
    first: Table = inputs["predictions"][chosen[0]]
    rows, mean, task = _mean([(label, inputs["predictions"][label]) for label in chosen])
    label = _labels(rows, task)
    part = rows["part"].cast(pl.String).to_numpy()
    parts = {}
    for name in first.info["parts"]:
        index = np.flatnonzero(part == name)
        if len(index):
            sample = task.sample(rows["row"].to_numpy()[index], label[index], mean[index])
            parts[name] = {"n": len(sample), **task.measure(sample)}
    report = {
        "format": "mldlc.metrics/1",
        "task": task.kind,
        "classes": list(task.classes),
        "better": dict(task.better),
        "primary": task.primary,
        "parts": parts,
        "baseline": {},
        "curves": {},
        "slices": [],
        "members": chosen,
    }
    written = write_report(ctx.out("metrics") / "metrics.json", report)
    judged = written["parts"].get(found.part, {}).get(found.metric)
    ctx.summary({"members": len(chosen), f"{found.part}.{found.metric}": judged})


def _mean(members: list[tuple[str, Table]]) -> tuple[pl.DataFrame, np.ndarray, Task]:
    """(row, part and label of every row, the mean prediction, the task); StepError where the rows are not the same."""
    total: np.ndarray | None = None
    rows = pl.DataFrame()
    for name, table in members:
        frame = table.load()
        columns = [column for column in frame.columns if column == "prediction" or column.startswith("probability")]
        values = frame.select(columns).to_numpy().astype(np.float64)
        if total is None:
            rows, total = frame.select("row", "part", "label"), values
        elif total.shape != values.shape or not rows.equals(frame.select("row", "part", "label")):
            raise StepError(
                f"point {name} was evaluated on other rows than {members[0][0]}", where="ensemble",
                hint="an ensemble needs one data set and one split: sweep over the model only, or ensemble=none",
            )  # fmt: skip
        else:
            total = total + values
    assert total is not None
    info = members[0][1].info
    mean = total / len(members)
    task = Task(info["task"], tuple(info["classes"]), threshold=float(info["threshold"]))
    return rows, mean[:, 0] if mean.shape[1] == 1 else mean, task


def _labels(rows: pl.DataFrame, task: Task) -> np.ndarray:
    """The labels as the metrics take them: values, or numbers of classes with -1 for none."""
    if task.kind == "regression":
        return rows["label"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return rows["label"].to_physical().cast(pl.Int64).fill_null(-1).to_numpy()

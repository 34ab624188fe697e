"""The predictions artifact: one row for every row of the evaluated parts, in the table's order and partitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from mldlc.artifacts.table import Table, write_table
from mldlc.evaluation.scoring import Study

ROLES = {"row": "row_id", "part": "group", "label": "label"}


def write_predictions(out: Path, table: Table, study: Study, rows: np.ndarray, prediction: np.ndarray) -> int:
    """Write the table and give its number of rows. rows: ascending row numbers; prediction: (n,) or (n, k)."""
    starts = np.cumsum([0, *(part.rows for part in table.partitions)])
    cuts = np.searchsorted(rows, starts)

    def frames():
        for number, part in enumerate(table.partitions):
            chosen = slice(cuts[number], cuts[number + 1])
            yield part.name, _frame(study, rows[chosen], prediction[chosen])

    info = {"task": study.task.kind, "parts": list(study.names), "classes": list(study.task.classes)}
    return write_table(out, frames(), roles=ROLES, info={**info, "threshold": study.task.threshold})


def _frame(study: Study, rows: np.ndarray, prediction: np.ndarray) -> pl.DataFrame:
    task, label = study.task, study.tensors.label[rows]
    columns = {"row": pl.Series(rows, dtype=pl.Int64), "part": _named(study.codes[rows], study.names)}
    if task.kind == "regression":
        columns["label"] = pl.Series(label.astype(np.float64)).fill_nan(None)
        columns["prediction"] = pl.Series(prediction, dtype=pl.Float32)
        return pl.DataFrame(columns)
    columns["label"] = _named(label, task.classes)
    columns["class"] = _named(task.predicted_class(prediction), task.classes)
    if task.kind == "binary":
        columns["probability"] = pl.Series(prediction, dtype=pl.Float32)
    else:
        for number, name in enumerate(task.classes):
            columns[f"probability_{name}"] = pl.Series(prediction[:, number], dtype=pl.Float32)
    return pl.DataFrame(columns)


def _named(codes: np.ndarray, names: tuple[str, ...]) -> pl.Series:
    """Codes as an enumeration of names; null where a code is not one of them (no label)."""
    known = np.isfinite(codes) & (codes >= 0) & (codes < len(names))
    index = pl.Series(np.where(known, codes, 0).astype(np.uint32))
    if not known.all():
        index = index.set(pl.Series(~known), None)
    return pl.Series(names, dtype=pl.Enum(list(names))).gather(index)

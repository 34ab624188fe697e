"""labels: finds train rows whose label is likely wrong, and drops or mends them. No other part is ever changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.handle import plain
from mldlc.artifacts.split import Split, write_split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import Tensors, is_parquet, write_tensor_part
from mldlc.evaluation.confident import Doubts, doubtful_classes, doubtful_numbers, limited
from mldlc.evaluation.config import ConfidentLabels, Nothing
from mldlc.evaluation.out_of_fold import labelled_train_rows, read_scores, task_of_table
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import load_rows
from mldlc.evaluation.task import Task
from mldlc.plan.artifact import DOUBTFUL
from mldlc.plan.context import Context

FORMAT = "mldlc.labels/1"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write table and split, changed in train rows only, and labels.json: which rows, why, and what was suggested."""
    settings: ConfidentLabels | Nothing = cfg.labels
    table, split = inputs["table"], inputs["split"]
    if isinstance(settings, Nothing):
        _pass_on(ctx, "table", table)
        _pass_on(ctx, "split", split)
        write_report(ctx.out("report") / "labels.json", {"format": FORMAT, "kind": "none"})
        return
    tensors, codes = load_rows(table, split)
    task, rows = task_of_table(tensors), labelled_train_rows(tensors, codes, split)
    said = read_scores(inputs["scores"], task, rows)
    label = tensors.label[rows].astype(np.float64 if task.kind == "regression" else np.int64)
    found, facts = _doubts(task, label, said, settings)
    _write(ctx, settings.kind, table, split, rows, found, (tensors, codes))
    report = {
        "format": FORMAT, "kind": settings.kind, "task": task.kind, "rows": len(rows), "found": len(found),
        "share": len(found) / len(rows), **facts, "out_of_fold": task.measure(task.sample(rows, label, said)),
        "listed": _listed(task, rows, label, found.take(np.arange(min(settings.listed, len(found))))),
    }  # fmt: skip
    write_report(ctx.out("report") / "labels.json", report)
    ctx.summary({"train_rows": len(rows), settings.kind: len(found)})


def _doubts(task: Task, label: np.ndarray, said: np.ndarray, cfg: ConfidentLabels) -> tuple[Doubts, dict[str, Any]]:
    """The rows to act upon, and how they were told."""
    most = int(cfg.max_share * len(label))
    if task.kind == "regression":
        named, ends = doubtful_numbers(label, said, cfg.fence)
        return limited(named, label, most), {"rule": "fence", "residuals_within": ends, "named": len(named)}
    each = np.column_stack([1 - said, said]) if task.kind == "binary" else said
    named, joint = doubtful_classes(label, each, cfg.rule)
    found = limited(named, label, most)
    pairs = _pairs(task, joint.wrong, label, found)
    thresholds = dict(zip(task.classes, joint.thresholds, strict=True))
    return found, {"rule": cfg.rule, "thresholds": thresholds, "named": len(named), "classes": pairs}


def _write(ctx: Context, kind: str, table: Table, split: Split, rows: np.ndarray, found: Doubts,
           held: tuple[Tensors, np.ndarray]) -> None:  # fmt: skip
    """Ports table and split: what does not change is passed on without a copy."""
    tensors, codes = held
    changed = rows[found.index]
    if kind == "relabel":
        label = tensors.label.copy()
        label[changed] = found.suggested.astype(label.dtype)
        _relabelled(ctx, table, label, changed)
    else:
        _pass_on(ctx, "table", table)
    if kind == "drop":
        names = list(dict.fromkeys([*split.names, DOUBTFUL]))
        codes = codes.copy()
        codes[changed] = names.index(DOUBTFUL)
        ends = np.cumsum([part["rows"] for part in split.partitions])[:-1]
        parts = zip([part["name"] for part in split.partitions], np.split(codes, ends), strict=True)
        write_split(ctx.out("split"), names, parts, split.artifact.json("manifest.json")["info"])
    else:
        _pass_on(ctx, "split", split)


def _relabelled(ctx: Context, table: Table, label: np.ndarray, changed: np.ndarray) -> None:
    """Write the partitions with changed labels anew. label: (rows,) of the whole table; changed: row numbers."""
    ends = np.cumsum([part.rows for part in table.partitions])
    touched = set(np.searchsorted(ends, changed, side="right").tolist())
    anew = {table.partitions[number].file: number for number in touched}
    for name, path in table.artifact.files.items():
        if name not in anew:
            ctx.adopt("table", name, path)
            continue
        part, end = table.partitions[anew[name]], int(ends[anew[name]])
        labels = pl.Series("label", np.ascontiguousarray(label[end - part.rows : end]))
        frame = table.load(part).with_columns(labels)
        write_tensor_part(ctx.out("table") / name, frame, "parquet" if is_parquet(part) else "arrow")


def _pass_on(ctx: Context, port: str, reader: Table | Split) -> None:
    for name, path in plain(reader).files.items():
        ctx.adopt(port, name, path)


def _pairs(task: Task, wrong: np.ndarray, label: np.ndarray, found: Doubts) -> list[dict[str, Any]]:
    """One row a pair of classes: rows labelled so, rows expected to be of the other, rows acted upon."""
    named = np.zeros_like(wrong)
    np.add.at(named, (label[found.index], found.suggested), 1)
    present = np.bincount(label, minlength=len(wrong))
    return [
        {"given": task.classes[i], "likely": task.classes[j], "rows": present[i], "expected": wrong[i, j],
         "found": named[i, j]}
        for i, j in zip(*np.nonzero(wrong), strict=True)
    ]  # fmt: skip


def _listed(task: Task, rows: np.ndarray, label: np.ndarray, found: Doubts) -> list[dict[str, Any]]:
    def text(value: Any) -> Any:
        return task.classes[int(value)] if task.classes else value

    return [
        {"row": int(rows[i]), "label": text(label[i]), "suggested": text(better), "doubt": doubt}
        for i, better, doubt in zip(found.index, found.suggested, found.doubt, strict=True)
    ]

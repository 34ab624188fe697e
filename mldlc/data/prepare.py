"""prepare: fits the preprocessor on the train part and writes every row in tensor layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.preprocessor import Preprocessor, save_preprocessor
from mldlc.artifacts.table import Partition, Table
from mldlc.artifacts.tensors import write_tensors
from mldlc.data.fit import Fit, TrainRows
from mldlc.plan.context import Context, StepError


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write ports `table` and `preprocessor`; summary: rows, fit_rows, numeric, categorical, classes."""
    table, prepare = inputs["table"], cfg.prepare
    selection = inputs.get("selection")
    dropped = [item["column"] for item in selection.json("selection.json")["drop"]] if selection is not None else []
    train = TrainRows(table, inputs["split"], prepare.part)
    made = Fit(prepare, train, dropped, ctx.threads).run()
    rows = write_tensors(ctx.out("table"), _tensors(ctx, table, train, made), made.info())
    save_preprocessor(ctx.out("preprocessor"), made)
    facts = {"rows": rows, "fit_rows": train.rows, "numeric": len(made.numeric), "categorical": len(made.categorical)}
    classes = (made.label or {}).get("classes")
    ctx.summary(facts | ({"classes": len(classes)} if classes else {}))


def _tensors(ctx: Context, table: Table, train: TrainRows, made: Preprocessor) -> Iterator[tuple[str, pl.DataFrame]]:
    assert made.label is not None
    names = [item["name"] for item in made.inputs] + [made.label["name"]] + ([made.weight] if made.weight else [])
    for number, part in enumerate(table.partitions):
        whole = train.frame if train.frame is not None else table.load(part)
        frame = whole.select(list(dict.fromkeys(names)))
        _check(frame, part, made)
        out = made.transform_frame(frame, ctx.threads)
        if made.label["kind"] == "class":
            _check_classes(frame[made.label["name"]], out["label"].to_numpy(), part, made.label)
        yield part.name, out
        ctx.progress(number + 1, len(table.partitions), part.name)


def _check(frame: pl.DataFrame, part: Partition, made: Preprocessor) -> None:
    assert made.label is not None
    for name, role in ((made.label["name"], "label"), (made.weight, "weight")):
        if name is not None and frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0)
            raise StepError(
                f"{role} '{name}' is null in {part.name}, row {row + 1} ({frame[name].null_count()} such rows)",
                where=f"column {name}", hint="set clean=rules with clean.drop_null_label=true",
            )  # fmt: skip


def _check_classes(column: pl.Series, codes: np.ndarray, part: Partition, label: Mapping[str, Any]) -> None:
    if len(codes) and codes.min() < 0:
        row = int(np.argmax(codes < 0))
        raise StepError(
            f"label '{label['name']}' is {column[row]!r} in {part.name}, row {row + 1}: a class that the train part "
            f"has not ({int((codes < 0).sum())} such rows)", where=f"column {label['name']}",
            hint="set split=stratified, or drop the class: clean.drop_rows",
        )  # fmt: skip

"""prepare: fits the preprocessor on the train part and writes every row in tensor layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.preprocessor import Preprocessor, save_preprocessor
from mldlc.artifacts.table import Partition, Table
from mldlc.artifacts.tensors import compact, write_tensor_manifest, write_tensor_part, write_tensors
from mldlc.data.config.prepare import Prepare
from mldlc.data.fit import Fit, TrainRows
from mldlc.plan.codec import digest
from mldlc.plan.context import Context, StepError

PART = "part"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write ports `table` and `preprocessor`; summary: rows, fit_rows, numeric, categorical, classes."""
    table, prepare = inputs["table"], cfg.prepare
    selection = inputs.get("selection")
    dropped = [item["column"] for item in selection.json("selection.json")["drop"]] if selection is not None else []
    train = TrainRows(table, inputs["split"], prepare.part)
    made = Fit(prepare, train, dropped, ctx.threads).run()
    if len(table.partitions) > 1:
        _by_partition(ctx, prepare, table, made)
    else:
        parts = ((part.name, _stored(prepare, ctx, table, train.frame, part, made)) for part in table.partitions)
        write_tensors(ctx.out("table"), parts, made.info(), prepare.storage)
    save_preprocessor(ctx.out("preprocessor"), made)
    facts = {
        "rows": table.rows,
        "fit_rows": train.rows,
        "numeric": len(made.numeric),
        "categorical": len(made.categorical),
    }
    classes = (made.label or {}).get("classes")
    ctx.summary(facts | ({"classes": len(classes)} if classes else {}))


def _by_partition(ctx: Context, cfg: Prepare, table: Table, made: Preprocessor) -> None:
    """Where the fit stands, only new partitions are transformed; its counts and moments change no tensor."""
    parts = {part.name: part for part in table.partitions}

    def tensors_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        write_tensor_part(folder / PART, _stored(cfg, ctx, table, None, parts[name], made), cfg.storage)

    form = [cfg.storage, cfg.precision]
    items = [
        (name, {"digest": digest(["tensors", table.digest(part), made.identity, form])}) for name, part in parts.items()
    ]
    schema_of = pl.read_parquet_schema if cfg.storage == "parquet" else pl.read_ipc_schema
    listed = []
    schema: Mapping[str, pl.DataType] = {}
    for number, (name, folder) in enumerate(ctx.map(items, tensors_item).items()):
        file = f"part-{number:05d}.{cfg.storage}"
        schema = schema or schema_of(folder / PART)
        ctx.adopt("table", file, folder / PART)
        listed.append({"name": name, "file": file, "rows": parts[name].rows})
    write_tensor_manifest(ctx.out("table"), schema, listed, made.info())


def _stored(
    cfg: Prepare, ctx: Context, table: Table, loaded: pl.DataFrame | None, part: Partition, made: Preprocessor
) -> pl.DataFrame:
    """One partition in the form in which it is kept."""
    try:
        return compact(_tensors(ctx, table, loaded, part, made), made.info(), cfg.precision)
    except ValueError as error:
        raise StepError(f"{error} ({part.name})", where="prepare.precision", hint="use 32, or scale it") from error


def _tensors(
    ctx: Context, table: Table, loaded: pl.DataFrame | None, part: Partition, made: Preprocessor
) -> pl.DataFrame:
    """One partition in tensor layout. loaded: its rows, where they are in memory."""
    assert made.label is not None
    names = [item["name"] for item in made.inputs] + [made.label["name"]] + ([made.weight] if made.weight else [])
    whole = loaded if loaded is not None else table.load(part)
    frame = whole.select(list(dict.fromkeys(names)))
    _check(frame, part, made)
    out = made.transform_frame(frame, ctx.threads)
    if made.label["kind"] == "class":
        _check_classes(frame[made.label["name"]], out["label"].to_numpy(), part, made.label)
    return out


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

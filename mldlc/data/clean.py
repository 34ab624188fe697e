"""clean: row-local rules, partition by partition; an untouched partition keeps its bytes."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.table import Column, Partition, Table, scan_partition, sink_partition, write_json, write_manifest
from mldlc.data.dtypes import TYPES, expected, from_text, nulled
from mldlc.plan.codec import digest
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean

PART, FACTS = "part.arrow", "facts.json"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `table`; summary: rows_in, rows_out, and how many values or rows each rule touched."""
    table, out, rules = inputs["table"], ctx.out("table"), cfg.clean
    columns = table.columns if rules.kind == "none" else _columns(table, rules)
    counts: Counter[str] = Counter()
    parts: list[dict[str, Any]] = []
    schema: pl.Schema | None = None
    for part, (path, facts) in zip(table.partitions, _cleaned(ctx, table, rules, columns), strict=True):
        file = f"part-{len(parts):05d}.arrow"
        schema = schema or pl.Schema(pl.read_ipc_schema(path))
        if path != out / file:
            ctx.adopt("table", file, path)
        parts.append({"name": part.name, "file": file, "rows": facts["rows"]})
        counts.update(facts["counts"])
    kept = sum(part["rows"] for part in parts)
    if table.rows and not kept:
        raise StepError(
            "cleaning dropped every row", where="clean", hint=", ".join(f"{k}: {n}" for k, n in counts.items() if n)
        )
    if rules.kind == "rules" and schema is not None:
        columns = [Column(c.name, str(schema[c.name]), c.role, c.info) for c in columns]
    write_manifest(out, columns, parts, table.info)
    ctx.summary({"rows_in": table.rows, "rows_out": kept} | {k: int(n) for k, n in sorted(counts.items()) if n})


def _cleaned(
    ctx: Context, table: Table, rules: Any, columns: Sequence[Column]
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """File and facts {rows, same, counts} of each partition; of an untouched one, the file that came in."""
    sources = [table.artifact.file(part.file) for part in table.partitions]
    if rules.kind == "none":
        return ((source, {"rows": p.rows, "counts": {}}) for p, source in zip(table.partitions, sources, strict=True))
    if len(sources) == 1:
        target = ctx.out("table") / "part-00000.arrow"
        facts = _clean(table, table.partitions[0], rules, columns, target)
        ctx.progress(1, 1, table.partitions[0].name)
        return iter([(sources[0] if facts["same"] else target, facts)])
    parts = {part.name: part for part in table.partitions}

    def clean_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        write_json(folder / FACTS, _clean(table, parts[name], rules, columns, folder / PART))

    shape = [[c.name, c.dtype, c.role] for c in table.columns]
    items = [(name, {"digest": digest(["clean", table.digest(part), shape])}) for name, part in parts.items()]
    folders = ctx.map(items, clean_item).values()
    told = [(folder, json.loads((folder / FACTS).read_bytes())) for folder in folders]
    return (
        (source if facts["same"] else folder / PART, facts)
        for source, (folder, facts) in zip(sources, told, strict=True)
    )


def _columns(table: Table, rules: Any) -> list[Column]:
    """The columns that stay, under their new names."""
    names = [c.name for c in table.columns]
    _known([*rules.drop_columns], names, "clean.drop_columns")
    _known([*rules.rename], names, "clean.rename")
    kept = [c for c in table.columns if c.name not in rules.drop_columns]
    new = [Column(rules.rename.get(c.name, c.name), c.dtype, c.role, c.info) for c in kept]
    names = [c.name for c in new]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise StepError(f"two columns would be called '{twice[0]}'", where="clean.rename")
    _known(rules.cast, names, "clean.cast")
    _known(rules.clip, names, "clean.clip")
    _known([p.column for p in rules.drop_rows], names, "clean.drop_rows")
    return new


def _known(wanted: Iterable[str], names: list[str], where: str) -> None:
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"columns: {', '.join(names)}"
            raise StepError(f"{where} names '{name}', which is no column", where=where, hint=hint)


def _clean(table: Table, part: Partition, rules: Any, columns: Sequence[Column], target: Path) -> dict[str, Any]:
    """Facts {rows, same, counts} of one partition; its rows go to `target` unless they stay as they are."""
    frame = table.scan(part)
    old = {rules.rename.get(c.name, c.name): c.name for c in table.columns}
    schema = frame.collect_schema()
    frame = frame.select(pl.col(old[c.name]).alias(c.name) for c in columns)
    touched: dict[str, pl.Expr] = {}
    values: list[pl.Expr] = []
    for column in columns:
        expr, notes = _value(column.name, schema[old[column.name]], rules)
        values.append(expr.alias(column.name))
        touched |= notes
    valued = frame.with_columns(values)
    types = valued.collect_schema()
    drops = {f"drop_rows.{i}": _predicate(p, types[p.column]) for i, p in enumerate(rules.drop_rows)}
    if rules.drop_null_label:
        label = [pl.col(c.name).is_null() for c in columns if c.role == "label"]
        drops |= {"drop_null_label": pl.any_horizontal(label)} if label else {}
    try:
        found = _counts(frame, touched) | _counts(valued, drops)
    except pl.exceptions.PolarsError as error:
        raise StepError(f"a rule does not fit its column: {error}", where="clean") from None
    misfits = {key: n for key, n in found.items() if key.startswith("misfit.") and n}
    if misfits:
        raise _misfit(frame, rules, part.name, next(iter(misfits)).removeprefix("misfit."), misfits, schema, old)
    if not any(found.values()) and list(schema) == [c.name for c in columns] and types == schema:
        return {"rows": part.rows, "same": True, "counts": found}
    keep = valued.filter(~pl.any_horizontal(drops.values())) if drops else valued
    sink_partition(keep, target)
    rows = int(scan_partition(target).select(pl.len()).collect().item())
    return {"rows": rows, "same": False, "counts": found}


def _value(name: str, dtype: pl.DataType, rules: Any) -> tuple[pl.Expr, dict[str, pl.Expr]]:
    """The cleaned value of a column, and expressions of what each rule touches in it."""
    notes: dict[str, pl.Expr] = {}
    value = pl.col(name)
    if dtype == pl.String:
        if rules.strip:
            stripped = value.str.strip_chars()
            notes[f"strip.{name}"] = stripped != value
            value = stripped
        if rules.null_values:
            gone = nulled(value, rules.null_values, strip=False)
            notes[f"null.{name}"] = value.is_not_null() & gone.is_null()
            value = gone
    if name in rules.cast:
        made = _cast(value, dtype, rules.cast[name])
        notes[f"misfit.{name}"] = value.is_not_null() & made.is_null()
        value = made
    if name in rules.clip:
        bounds = rules.clip[name]
        bounded = value.clip(bounds.low, bounds.high)
        notes[f"clip.{name}"] = bounded != value
        value = bounded
    return value, notes


def _cast(value: pl.Expr, dtype: pl.DataType, wanted: str) -> pl.Expr:
    return (
        from_text(value, wanted, None, strict=False) if dtype == pl.String else value.cast(TYPES[wanted], strict=False)
    )


def _counts(frame: pl.LazyFrame, flags: Mapping[str, pl.Expr]) -> dict[str, int]:
    if not flags:
        return {}
    row = frame.select(flag.sum().cast(pl.Int64).alias(key) for key, flag in flags.items()).collect(engine="streaming")
    return row.row(0, named=True)


def _predicate(test: Any, dtype: pl.DataType) -> pl.Expr:
    """True where the row goes; null meets `is_null` only."""
    column, value = pl.col(test.column), test.value
    if test.op in ("is_null", "is_not_null"):
        return column.is_null() if test.op == "is_null" else column.is_not_null()
    where = "clean.drop_rows"
    if isinstance(value, list) != (test.op in ("in", "not_in")) or value is None:
        wanted = "a list" if test.op in ("in", "not_in") else "one value"
        raise StepError(f"'{test.op}' on column '{test.column}' takes {wanted}", where=where)
    given = value if isinstance(value, list) else [value]
    if dtype.is_temporal():
        kind = datetime.date if dtype == pl.Date else datetime.datetime
        given = [kind.fromisoformat(item) if isinstance(item, str) else item for item in given]
    if dtype == pl.String and not all(isinstance(item, str) for item in given):
        raise StepError(f"column '{test.column}' is text, the value {value!r} is not", where=where, hint="quote it")
    if dtype.is_numeric() and any(isinstance(item, str) for item in given):
        raise StepError(f"column '{test.column}' is {dtype}, the value {value!r} is text", where=where)
    first = given[0] if given else None
    flags = {
        "==": lambda: column == first, "!=": lambda: column != first, "<": lambda: column < first,
        "<=": lambda: column <= first, ">": lambda: column > first, ">=": lambda: column >= first,
        "in": lambda: column.is_in(given), "not_in": lambda: column.is_in(given).not_(),
    }  # fmt: skip
    return flags[test.op]().fill_null(False)


def _misfit(
    frame: pl.LazyFrame,
    rules: Any,
    part: str,
    name: str,
    misfits: dict[str, int],
    schema: pl.Schema,
    old: dict[str, str],
) -> StepError:
    """The error that names the first value which a cast cannot take."""
    before, _ = _value(name, schema[old[name]], rules.model_copy(update={"cast": {}, "clip": {}}))
    bad = before.is_not_null() & _cast(before, schema[old[name]], rules.cast[name]).is_null()
    row = frame.select(value=before, bad=bad).with_row_index("row").filter("bad").head(1).collect().row(0, named=True)
    count = misfits[f"misfit.{name}"]
    return StepError(
        f"{part}, row {row['row'] + 1} (counted from 1), column '{name}': '{row['value']}' is no "
        f"{expected(rules.cast[name], None)} ({count} such value{'s' * (count > 1)})",
        where=f"clean.cast.{name}", hint=f"add '{row['value']}' to clean.null_values, or drop those rows before",
    )  # fmt: skip

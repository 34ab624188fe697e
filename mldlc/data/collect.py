"""collect: reads the source into a table, one partition a file, with declared types and column roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.table import Column, sink_partition, write_manifest
from mldlc.artifacts.target import construct
from mldlc.data import csv_scan
from mldlc.data.config.source import VERSIONED, source_refs
from mldlc.plan.context import Context, StepError, TransientError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import Source


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `table`; summary: rows, columns, partitions."""
    source, out = cfg.source, ctx.out("table")
    versioned = _versioned(ctx, source)
    paths = [Path(path) for path in versioned.paths] if versioned else _paths(ctx, cfg)
    before = [] if versioned else [_stamp(path) for path in paths]
    roles: dict[str, str] = {}
    parts: list[dict[str, Any]] = []
    if source.kind == "python":
        frames: Iterator[tuple[str, pl.LazyFrame | Path]] = iter([("frame", _call(source))])
    else:
        names = _names([Path(name) for name in versioned.logical] if versioned else paths)
        frames = zip(names, _frames(versioned, paths), strict=True)
    declared: dict[str, Any] = csv_scan.columns_of(paths[0], source) if source.kind == "csv" else {}
    for number, (name, item) in enumerate(frames):
        file = f"part-{number:05d}.arrow"
        target = out / file
        if source.kind == "python":
            _sink(item, target)
        elif isinstance(item, pl.LazyFrame):
            _parquet(name, item, getattr(source, "columns", None), target)
        elif source.kind == "csv":
            csv_scan.read(item, source, declared, target, ctx.temp)
        else:
            _parquet(name, pl.scan_parquet(item, glob=False), getattr(source, "columns", None), target)
        parts.append({"name": name, "file": file, "rows": pl.scan_ipc(target).select(pl.len()).collect().item()})
        ctx.progress(number + 1, max(len(paths), 1), name)
    schema = _one_schema(out, parts)
    roles = {name: column.role for name, column in declared.items()} | dict(source.roles)
    _check_roles(schema, roles)
    for path, stamp in zip(paths, before, strict=False):
        if _stamp(path) != stamp:
            raise TransientError(f"{path} changed while it was read")
    columns = [Column(name, str(dtype), roles.get(name, "feature")) for name, dtype in schema.items()]
    write_manifest(out, columns, parts)
    ctx.summary({"rows": sum(p["rows"] for p in parts), "columns": len(columns), "partitions": len(parts)})


def _paths(ctx: Context, cfg: Any) -> list[Path]:
    """The files as the plan observed them, or as they stand now where no plan did."""
    known = [path for source in ctx.sources for path in source.get("paths", ())]
    paths = [Path(p) for p in known or (p for ref in source_refs(cfg) for p in ref.paths)]
    for path in paths:
        if not path.is_file():
            near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
            raise StepError(f"no file {path}", where="source.path", hint=near or "relative paths start at the project")
    return paths


def _versioned(ctx: Context, source: Any) -> Source | None:
    """The files of a versioned source at the plan's commit; CSV is read from local files, Parquet where it lies."""
    uri = getattr(source, "path", "")
    return ctx.source(uri, local=source.kind == "csv") if uri.startswith(VERSIONED) else None


def _frames(versioned: Source | None, paths: list[Path]) -> Iterable[pl.LazyFrame | Path]:
    if versioned is None or not versioned.storage_options:
        return paths
    options = dict(versioned.storage_options)
    return (pl.scan_parquet(path, glob=False, storage_options=options) for path in versioned.paths)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _names(paths: list[Path]) -> list[str]:
    """Partition names: file names, with as many folders as tell them apart."""
    for depth in range(1, max((len(p.parts) for p in paths), default=1) + 1):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(names)) == len(names):
            return names
    return [str(p) for p in paths]


def _call(source: Any) -> pl.LazyFrame:
    made = construct(source.target, source.args, "source")
    if not isinstance(made, pl.DataFrame | pl.LazyFrame):
        raise StepError(
            f"'{source.target}' gave {type(made).__module__}.{type(made).__qualname__}, expected a polars DataFrame or "
            "LazyFrame", where="source.target", hint="return polars.from_pandas(frame) for a pandas frame",
        )  # fmt: skip
    return made.lazy()


def _parquet(name: str, frame: pl.LazyFrame, columns: list[str] | None, target: Path) -> None:
    try:
        there = frame.collect_schema().names()
        for column in columns or ():
            if column not in there:
                hint = did_you_mean(column, there) or f"it has: {', '.join(there)}"
                raise StepError(f"{name} has no column '{column}'", where="source.columns", hint=hint)
        _sink(frame.select(columns) if columns else frame, target)
    except pl.exceptions.PolarsError as error:
        raise StepError(f"{name} cannot be read as Parquet: {error}", where=name) from None


def _sink(frame: pl.LazyFrame, target: Path) -> None:
    """Stream into one canonical partition; categoricals become text, whose codes depend on the order of reading."""
    schema = frame.collect_schema()
    casts = [pl.col(n).cast(pl.String) for n, t in schema.items() if isinstance(t, pl.Categorical | pl.Enum)]
    sink_partition(frame.with_columns(casts) if casts else frame, target)


def _one_schema(out: Path, parts: list[dict[str, Any]]) -> pl.Schema:
    first = pl.read_ipc_schema(out / parts[0]["file"])
    for part in parts[1:]:
        schema = pl.read_ipc_schema(out / part["file"])
        if schema != first:
            name = next((n for n in [*first, *schema] if first.get(n) != schema.get(n)), "")
            if not name:
                raise StepError(f"{part['name']} has its columns in another order than {parts[0]['name']}")
            raise StepError(
                f"column '{name}' is {schema.get(name, 'absent')} in {part['name']} and {first.get(name, 'absent')} in "
                f"{parts[0]['name']}", where=part["name"], hint="the files of one source need one schema",
            )  # fmt: skip
    return pl.Schema(first)


def _check_roles(schema: pl.Schema, roles: Mapping[str, str]) -> None:
    for name in roles:
        if name not in schema:
            hint = did_you_mean(name, schema) or f"columns: {', '.join(schema)}"
            raise StepError(f"source.roles names '{name}', which is no column", where=f"source.roles.{name}", hint=hint)
    for role in ("label", "row_id", "event_time", "weight"):
        named = [name for name, value in roles.items() if value == role]
        if len(named) > 1:
            raise StepError(f"two columns have the role {role}: {', '.join(named)}", where="source.roles")

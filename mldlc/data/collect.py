"""collect: reads the source into a table, one partition a file, with declared types and column roles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.table import Column, scan_partition, sink_partition, write_json, write_manifest
from mldlc.artifacts.target import construct, load_target, parameters
from mldlc.data import csv_scan, csv_types, partitions
from mldlc.data.config.source import VERSIONED, source_refs
from mldlc.plan.context import Context, StepError, TransientError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import Source


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `table`; summary: rows, columns, partitions."""
    source, out = cfg.source, ctx.out("table")
    if source.kind == "python":
        _sink(_call(ctx, cfg), out / _file(0))
        _finish(ctx, source, {}, [("frame", out / _file(0))])
        return
    versioned = _versioned(ctx, source)
    paths = [Path(path) for path in versioned.paths] if versioned else _paths(ctx, cfg)
    before = [] if versioned else [_stamp(path) for path in paths]
    names = _names([Path(name) for name in versioned.logical] if versioned else paths)
    digests = versioned.digests if versioned else [d for known in ctx.sources for d in known.get("digests", ())]
    reader = Reader(ctx, source, dict(zip(names, _frames(versioned, paths), strict=True)))
    if len(paths) > 1 and len(digests) == len(paths):
        columns, parts = _mapped(ctx, reader, dict(zip(names, digests, strict=True)))
    else:
        columns, parts = reader.columns(names[0]), []
        for number, name in enumerate(names):
            reader.read(name, columns, out / _file(number))
            parts.append((name, out / _file(number)))
            ctx.progress(number + 1, len(names), name)
    _finish(ctx, source, columns, parts)
    for path, stamp in zip(paths, before, strict=False):
        if _stamp(path) != stamp:
            raise TransientError(f"{path} changed while it was read")


@dataclass(frozen=True)
class Reader:
    """Reads the files of a source. files: partition name -> local file, or a frame that is not here."""

    ctx: Context
    source: Any
    files: Mapping[str, Path | pl.LazyFrame]

    def columns(self, name: str) -> dict[str, Any]:
        """Declared columns, or those that a file shows; {} where the files carry their types."""
        file = self.files[name]
        return self._csv_columns(file) if self.source.kind == "csv" and isinstance(file, Path) else {}

    def _csv_columns(self, file: Path) -> dict[str, Any]:
        return csv_types.columns_of(file, self.source, self.ctx.log.warning)

    def read(self, name: str, columns: dict[str, Any], target: Path) -> None:
        """Write one partition. TransientError when the file is not the one that was hashed."""
        file = self.files[name]
        if isinstance(file, pl.LazyFrame):
            _parquet(name, file, getattr(self.source, "columns", None), target)
        elif self.source.kind == "csv":
            csv_scan.read(file, self.source, columns, target, self.ctx.temp)
        else:
            _parquet(name, pl.scan_parquet(file, glob=False), getattr(self.source, "columns", None), target)
        if isinstance(file, Path) and not self.ctx.intact(file):
            raise TransientError(f"{file} changed while it was read")


def _mapped(ctx: Context, reader: Reader, digests: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
    """Columns, and (name, file) of the partitions: a file whose bytes were read before is not read again."""
    columns: dict[str, Any] = {}
    types: dict[str, str] | None = None

    def types_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        found = {column: kind.dtype for column, kind in reader.columns(name).items()}
        write_json(folder / partitions.TYPES_FILE, {"names": list(found), "types": found})

    def part_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        reader.read(name, columns, folder / partitions.PART_FILE)

    first = next(iter(digests))
    if partitions.infers_types(vars(reader.source)):
        (folder,) = ctx.map([(first, partitions.types_of(digests[first]))], types_item).values()
        told = json.loads((folder / partitions.TYPES_FILE).read_bytes())
        types = told["types"]
        columns = {name: csv_types.Inferred(told["types"][name]) for name in told["names"]}
    else:
        columns = reader.columns(first)
    done = ctx.map([(name, partitions.part_of(file, types)) for name, file in digests.items()], part_item)
    return columns, [(name, folder / partitions.PART_FILE) for name, folder in done.items()]


def _file(number: int) -> str:
    return f"part-{number:05d}.arrow"


def _finish(ctx: Context, source: Any, declared: Mapping[str, Any], read: list[tuple[str, Path]]) -> None:
    """Check that the partitions are one table, and write its manifest."""
    schema = _one_schema(read)
    roles = {name: column.role for name, column in declared.items()} | dict(source.roles)
    _check_roles(schema, roles)
    parts = []
    for number, (name, path) in enumerate(read):
        parts.append(
            {"name": name, "file": _file(number), "rows": scan_partition(path).select(pl.len()).collect().item()}
        )
        if path.parent != ctx.out("table"):
            ctx.adopt("table", _file(number), path)
    columns = [Column(name, str(dtype), roles.get(name, "feature")) for name, dtype in schema.items()]
    write_manifest(ctx.out("table"), columns, parts)
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


def _call(ctx: Context, cfg: Any) -> pl.LazyFrame:
    source = cfg.source
    args = dict(source.args)
    if source.files and "files" in parameters(load_target(source.target, "source")):
        args.setdefault("files", [str(path) for path in _paths(ctx, cfg)])
    try:
        made = construct(source.target, args, "source")
    except StepError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            error.hint = (
                "a step runs in a folder of its own: name what the function reads in source.files, relative to the "
                "project, and take the paths as its argument `files`"
            )
        raise
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


def _one_schema(read: list[tuple[str, Path]]) -> pl.Schema:
    first_name, first_path = read[0]
    first = pl.read_ipc_schema(first_path)
    for part, path in read[1:]:
        schema = pl.read_ipc_schema(path)
        if schema != first or list(schema) != list(first):
            name = next((n for n in [*first, *schema] if first.get(n) != schema.get(n)), "")
            if not name:
                raise StepError(f"{part} has its columns in another order than {first_name}")
            raise StepError(
                f"column '{name}' is {schema.get(name, 'absent')} in {part} and {first.get(name, 'absent')} in "
                f"{first_name}", where=part, hint="the files of one source need one schema",
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

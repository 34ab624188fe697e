"""CSV by Polars, streamed: a fast native parse for plain files, text and casts for the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.table import scan_partition, sink_partition
from mldlc.data import csv_faults, csv_lines
from mldlc.data.csv_layout import UTF8, survey
from mldlc.data.dtypes import TYPES, from_text, nulled
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean


def read(path: Path, source: Any, columns: dict[str, Any], out: Path, temp: Path) -> None:
    """Stream one file into an Arrow partition with the declared columns. StepError names file, line and column."""
    found = csv_lines.header(path, source)
    names = csv_lines.match_columns(path, found, source) if source.columns is not None else list(columns)
    if source.columns is None and len(found) != len(names):
        raise StepError(f"{path.name} has {len(found)} columns, the first file {len(names)}", where=str(path))
    if new := [name for name in found if name not in names and source.columns is None and source.has_header]:
        hint = did_you_mean(new[0], names) or f"it has: {', '.join(names)}"
        raise StepError(f"{path.name} has a column '{new[0]}' that the first file has not", where=str(path), hint=hint)
    plain, how = path, source
    padded_quotes = csv_lines.padded(source) and source.quote and _has(path, source.quote)
    if padded_quotes or source.encoding.lower() not in UTF8:
        plain = temp / "rewritten.csv"
        how = csv_lines.rewrite(path, source, plain)
    if not _attempts(plain, names, how, columns, out, temp):
        csv_faults.find(path, names, source, columns, _scan(plain, names, how, {}))
        # Every value fits, so the file only has blank lines or the like that Polars does not take.
        plain = temp / "rewritten.csv"
        how = csv_lines.rewrite(path, source, plain)
        _sink(plain, names, how, columns, out, native=False)
    (temp / "rewritten.csv").unlink(missing_ok=True)


def _attempts(path: Path, names: list[str], source: Any, columns: dict[str, Any], out: Path, temp: Path) -> bool:
    """Whether Polars read the file and no row can be short or blank. Each way has its own file: a sink that failed may
    still open its own after the error."""
    native = not csv_lines.padded(source) and not any(c.null_values for c in columns.values())
    for way in (True, False) if native else (False,):
        made = temp / f"{out.stem}-{'native' if way else 'text'}.arrow"
        try:
            _sink(path, names, source, columns, made, native=way)
        except (pl.exceptions.ComputeError, pl.exceptions.InvalidOperationError, pl.exceptions.SchemaError):
            continue
        shutil.move(made, out)
        return not _ends_in_null(path, names, source, columns, out)
    return False


def _scan(path: Path, names: list[str], source: Any, types: dict[str, pl.DataType], **more: Any) -> pl.LazyFrame:
    return pl.scan_csv(
        path, has_header=source.has_header, separator=csv_lines.delimiter(source), comment_prefix=source.comment,
        quote_char=source.quote, schema={name: types.get(name, pl.String()) for name in names}, glob=False, **more,
    )  # fmt: skip


def _sink(path: Path, names: list[str], source: Any, columns: dict[str, Any], out: Path, *, native: bool) -> None:
    strip = csv_lines.padded(source)
    if native:
        numbers = {n: TYPES[c.dtype] for n, c in columns.items() if c.dtype[:3] in ("int", "uin", "flo")}
        frame = _scan(path, names, source, numbers, null_values=source.null_values or None)
        exprs = [
            pl.col(n) if n in numbers or c.dtype == "string"
            else from_text(nulled(pl.col(n), [""], strip=False), c.dtype, c.format, strict=True)
            for n, c in columns.items()
        ]  # fmt: skip
    else:
        frame = _scan(path, names, source, {})
        empty = {n: [] if c.dtype == "string" else [""] for n, c in columns.items()}  # quoted, or Polars had it null
        texts = {
            n: nulled(pl.col(n), [*source.null_values, *c.null_values, *empty[n]], strip=strip)
            for n, c in columns.items()
        }
        exprs = [from_text(texts[n], c.dtype, c.format, strict=True) for n, c in columns.items()]
    sink_partition(frame.select(exprs), out)


def _ends_in_null(path: Path, names: list[str], source: Any, columns: dict[str, Any], out: Path) -> bool:
    """Polars reads a short or a blank row as nulls at its end: only then can one be there."""
    last = names[-1]
    if last in columns:
        gaps = scan_partition(out).select(pl.col(last).null_count()).collect().item()
    else:
        gaps = _scan(path, names, source, {}).select(pl.col(last).null_count()).collect().item()
    if not gaps:
        return False
    width = len(names)
    height = scan_partition(out).select(pl.len()).collect().item()
    layout = survey(path, source, width)
    if layout is not None:
        return layout.wrong > 0 or layout.rows - bool(source.has_header) != height
    lines = 0
    for _, fields in csv_lines.rows(path, source):
        if len(fields) != width:
            return True
        lines += 1
    return lines - bool(source.has_header) != height


def _has(path: Path, mark: str) -> bool:
    with path.open("rb") as file:
        return any(mark.encode() in chunk for chunk in iter(lambda: file.read(1 << 20), b""))

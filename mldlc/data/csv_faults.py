"""What is wrong with a CSV file that Polars did not take: the first faulty row, and how many there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.data.csv_layout import Layout, Mark, survey
from mldlc.data.csv_lines import padded, rows
from mldlc.data.dtypes import expected, from_text, nulled
from mldlc.plan.context import StepError

BATCH = 50_000
ROW = "\0row"  # no column of a file has this name


@dataclass(frozen=True)
class Fault:
    """The first value that does not fit: line where its row ends, column, text; and how many there are."""

    line: int
    column: str
    text: str
    count: int


class _Disagree(Exception):
    """Polars and the layout of the file tell different rows."""


def find(path: Path, names: Sequence[str], source: Any, columns: Mapping[str, Any], texts: pl.LazyFrame) -> None:
    """StepError that names the first row of a wrong width, or the first value that does not fit its declared type;
    nothing when all fit. texts: every column of the file as text."""
    layout = survey(path, source, len(names))
    if layout is None:
        check_widths(path, len(names), source)
        fault = by_lines(path, names, source, columns)
    else:
        if layout.wrong:
            raise wrong_width(path, len(names), layout.wrong, layout.first)
        try:
            fault = by_columns(path, names, source, columns, texts, layout)
        except (_Disagree, pl.exceptions.PolarsError):
            fault = by_lines(path, names, source, columns)
    if fault is not None:
        column = columns[fault.column]
        raise StepError(
            f"{path.name}, line {fault.line}, column '{fault.column}': '{fault.text}' is no "
            f"{expected(column.dtype, column.format)}{_others(fault.count)}",
            where=f"{path}:{fault.line}",
            hint=f"mend the file, or add '{fault.text}' to source.columns.{fault.column}.null_values, "
            "or declare another dtype",
        )


def check_widths(path: Path, width: int, source: Any) -> None:
    """StepError at the first row that has not `width` fields."""
    bad, first = 0, (0, 0)
    for line, fields in rows(path, source):
        if len(fields) != width:
            first = first if bad else (line, len(fields))
            bad += 1
    if bad:
        raise wrong_width(path, width, bad, first)


def wrong_width(path: Path, width: int, count: int, first: tuple[int, int]) -> StepError:
    """The error of rows that have not `width` fields. first: line and fields of the first one."""
    return StepError(
        f"{path.name}, line {first[0]}: {first[1]} fields, expected {width}{_others(count)}",
        where=f"{path}:{first[0]}", hint="is a separator inside a field that is not quoted?",
    )  # fmt: skip


def by_columns(
    path: Path, names: Sequence[str], source: Any, columns: Mapping[str, Any], texts: pl.LazyFrame, layout: Layout
) -> Fault | None:
    """Polars casts, streamed; the row it names is then read by the csv module. _Disagree where they do not match."""
    clean = {name: _text(source, name, c) for name, c in columns.items() if c.dtype != "string"}
    bad = {name: _bad(text, columns[name]) for name, text in clean.items()}
    flags = texts.with_row_index(ROW).select(ROW, **bad)  # once a value: sums and minima share them
    counts = [pl.col(name).sum().alias(f"count{i}") for i, name in enumerate(bad)]
    firsts = [pl.when(pl.col(name)).then(pl.col(ROW)).min().alias(f"first{i}") for i, name in enumerate(bad)]
    seen = flags.select(pl.len().alias(ROW), *counts, *firsts).collect(engine="streaming").row(0)
    header = bool(source.has_header)
    with_blank = seen[0] != layout.rows - header
    if with_blank and seen[0] != layout.rows + layout.blank - header:
        raise _Disagree
    hits = [(row, name) for row, name in zip(seen[1 + len(bad) :], bad, strict=True) if row is not None]
    if not hits:
        return None
    at, name = min(hits, key=lambda hit: hit[0])  # of one row, the column that is declared first
    line, text = _read(path, source, names.index(name), layout, at + header, with_blank=with_blank)
    known = pl.DataFrame({name: [text]}, {name: pl.String}).select(text=clean[name], bad=bad[name])
    if not known["bad"][0]:
        raise _Disagree
    return Fault(line, name, known["text"][0], sum(seen[1 : 1 + len(bad)]))


def _read(path: Path, source: Any, column: int, layout: Layout, row: int, *, with_blank: bool) -> tuple[int, str]:
    """Line and text of a field. row: its number in the file, the header's is 0; with_blank: blank rows count."""

    def before(mark: Mark) -> int:
        return mark.rows + mark.blank * with_blank

    mark = layout.marks[bisect_left(layout.marks, row + 1, key=before) - 1]
    after = rows(path, source, mark.offset, mark.line, blank=with_blank)
    line, fields = next(islice(after, row - before(mark), None), (0, []))
    if len(fields) <= column:
        raise _Disagree
    return line, fields[column]


def by_lines(path: Path, names: Sequence[str], source: Any, columns: Mapping[str, Any]) -> Fault | None:
    """The same by the csv module alone, for files whose layout is not plain: slow, and right by definition."""
    count = 0
    first: tuple[int, str, str] | None = None
    for numbers, batch in _batches(path, source):
        frame = pl.DataFrame(dict(zip(names, zip(*batch, strict=True), strict=True)), dict.fromkeys(names, pl.String))
        for name, column in columns.items():
            text = _text(source, name, column)
            seen = frame.select(text=text, bad=_bad(text, column))
            hits = seen["bad"].arg_true()
            if len(hits):
                count += len(hits)
                found = (numbers[hits[0]], name, seen["text"][hits[0]])
                first = found if first is None or found[0] < first[0] else first
    return Fault(*first, count) if first else None


def _text(source: Any, name: str, column: Any) -> pl.Expr:
    return nulled(pl.col(name), [*source.null_values, *column.null_values, ""], strip=padded(source))


def _bad(text: pl.Expr, column: Any) -> pl.Expr:
    return text.is_not_null() & from_text(text, column.dtype, column.format, strict=False).is_null()


def _batches(path: Path, source: Any) -> Iterator[tuple[list[int], list[list[str]]]]:
    numbers: list[int] = []
    batch: list[list[str]] = []
    for index, (line, fields) in enumerate(rows(path, source)):
        if index or not source.has_header:
            numbers.append(line)
            batch.append(fields)
        if len(batch) == BATCH:
            yield numbers, batch
            numbers, batch = [], []
    if batch:
        yield numbers, batch


def _others(count: int) -> str:
    return f" ({count} such values in the file)" if count > 1 else " (the only one in the file)"

"""CSV line by line in plain Python: the slow path that names the faulty row, or rewrites what Polars cannot read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.data.dtypes import expected, from_text, nulled
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

BATCH = 50_000


def delimiter(source: Any) -> str:
    """The separator without the spaces around it."""
    return source.separator.strip(" ") or source.separator


def rows(path: Path, source: Any) -> Iterator[tuple[int, list[str]]]:
    """(line where the row ends, fields) of every row that is not blank or a comment; the header is one of them."""
    line = 0
    comment = source.comment

    def lines(file: Any) -> Iterator[str]:
        nonlocal line
        for text in file:
            line += 1
            if not (comment and text.startswith(comment)):
                yield text

    quoting = {"quotechar": source.quote} if source.quote else {"quoting": csv.QUOTE_NONE}
    try:
        with path.open(encoding=source.encoding, newline="") as file:
            reader = csv.reader(lines(file), delimiter=delimiter(source), skipinitialspace=padded(source), **quoting)
            for fields in reader:
                if fields:
                    yield line, fields
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path.name}, after line {line}: byte 0x{error.object[error.start]:02x} is not {source.encoding}",
            where=str(path), hint="set source.encoding, for example `latin-1`",
        ) from None  # fmt: skip
    except LookupError:
        raise StepError(f"unknown encoding '{source.encoding}'", where="source.encoding", hint="try utf-8") from None


def padded(source: Any) -> bool:
    """Whether fields may carry spaces around them."""
    return source.separator != delimiter(source)


def rewrite(path: Path, source: Any, target: Path) -> None:
    """Write the rows again as plain UTF-8 CSV, without padding, comments and blank lines."""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter(source), quotechar=source.quote or '"', lineterminator="\n")
        writer.writerows(fields for _, fields in rows(path, source))


def header(path: Path, source: Any) -> list[str]:
    """The names in the first row; positions (`column_1`) where the file has no header. StepError when it is empty."""
    first = next(rows(path, source), None)
    if first is None:
        raise StepError(f"{path.name} has no rows", where=str(path))
    if not source.has_header:
        return [f"column_{number}" for number in range(1, len(first[1]) + 1)]
    names = [name.strip() for name in first[1]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StepError(f"{path.name}, line {first[0]}: column '{twice[0]}' is there twice", where=str(path))
    return names


def match_columns(path: Path, names: Sequence[str], source: Any) -> list[str]:
    """The names that the columns of the file take, in file order; StepError where they differ from the declared."""
    declared = list(source.columns)
    if not source.has_header:
        if len(names) != len(declared):
            raise StepError(
                f"{path.name} has {len(names)} columns, source.columns declares {len(declared)}",
                where=str(path), hint="declare every column in the order of the file",
            )  # fmt: skip
        return declared
    for name in declared:
        if name not in names:
            raise StepError(
                f"{path.name} has no column '{name}'", where=f"source.columns.{name}",
                hint=did_you_mean(name, [n for n in names if n not in declared]) or f"it has: {', '.join(names)}",
            )  # fmt: skip
    extra = [name for name in names if name not in declared]
    if extra and source.extra == "error":
        raise StepError(
            f"{path.name} has a column '{extra[0]}' that source.columns does not declare", where=str(path),
            hint=did_you_mean(extra[0], declared) or "declare it (role: ignore keeps it out), or set source.extra=drop",
        )  # fmt: skip
    return list(names)


def check_widths(path: Path, width: int, source: Any) -> None:
    """StepError at the first row that has not `width` fields."""
    bad, first = 0, (0, 0)
    for line, fields in rows(path, source):
        if len(fields) != width:
            first = first if bad else (line, len(fields))
            bad += 1
    if bad:
        raise StepError(
            f"{path.name}, line {first[0]}: {first[1]} fields, expected {width}{_others(bad)}",
            where=f"{path}:{first[0]}", hint="is a separator inside a field that is not quoted?",
        )  # fmt: skip


def find_bad_value(path: Path, names: Sequence[str], source: Any, columns: Mapping[str, Any]) -> None:
    """StepError that names the first value that does not fit its declared type; nothing when all fit."""
    check_widths(path, len(names), source)
    counts: dict[str, int] = {}
    first: tuple[int, str, str] | None = None
    for numbers, batch in _batches(path, source):
        frame = pl.DataFrame(dict(zip(names, zip(*batch, strict=True), strict=True)), dict.fromkeys(names, pl.String))
        for name, column in columns.items():
            text = nulled(pl.col(name), [*source.null_values, *column.null_values, ""], strip=padded(source))
            value = from_text(text, column.dtype, column.format, strict=False)
            bad = frame.select(text=text, bad=text.is_not_null() & value.is_null())
            hits = bad["bad"].arg_true()
            if len(hits):
                counts[name] = counts.get(name, 0) + len(hits)
                found = (numbers[hits[0]], name, bad["text"][hits[0]])
                first = found if first is None or found[0] < first[0] else first
    if first is not None:
        line, name, text = first
        column = columns[name]
        raise StepError(
            f"{path.name}, line {line}, column '{name}': '{text}' is no {expected(column.dtype, column.format)}"
            + _others(sum(counts.values())),
            where=f"{path}:{line}",
            hint=f"mend the file, or add '{text}' to source.columns.{name}.null_values, or declare another dtype",
        )


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

"""CSV line by line in plain Python: rows with their lines, the names of the columns, a copy that Polars can read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean


def delimiter(source: Any) -> str:
    """The separator without the spaces around it."""
    return source.separator.strip(" ") or source.separator


def rows(
    path: Path, source: Any, offset: int = 0, line: int = 0, *, blank: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """(line where the row ends, fields) of every row that is not a comment or, unless asked for, blank; the header is
    one of them. offset, line: bytes and lines to skip, up to the start of a row."""
    comment = source.comment

    def lines(file: Any) -> Iterator[str]:
        nonlocal line
        for text in file:
            line += 1
            if not (comment and text.startswith(comment)):
                yield text

    quoting = {"quotechar": source.quote} if source.quote else {"quoting": csv.QUOTE_NONE}
    try:
        with path.open("rb") as binary, io.TextIOWrapper(binary, source.encoding, newline="") as file:
            binary.seek(offset)
            reader = csv.reader(lines(file), delimiter=delimiter(source), skipinitialspace=padded(source), **quoting)
            for fields in reader:
                if fields or blank:
                    yield line, fields
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path.name}, after line {line}: byte 0x{error.object[error.start]:02x} is not {source.encoding}",
            where=str(path), hint="set source.encoding, for example `latin-1`",
        ) from None  # fmt: skip
    except csv.Error as error:
        raise StepError(
            f"{path.name}, after line {line}: {error}", where=str(path),
            hint="is it a CSV file? see source.separator and source.quote",
        ) from None  # fmt: skip
    except LookupError:
        raise StepError(f"unknown encoding '{source.encoding}'", where="source.encoding", hint="try utf-8") from None


def padded(source: Any) -> bool:
    """Whether fields may carry spaces around them."""
    return source.separator != delimiter(source)


@dataclass(frozen=True)
class Rewritten:
    """How to read what `rewrite` wrote: `source` but for encoding, quotes and comments."""

    separator: str
    has_header: bool
    null_values: Sequence[str]
    quote: str
    encoding: str = "utf-8"
    comment: None = None


def rewrite(path: Path, source: Any, target: Path) -> Rewritten:
    """Write the rows again as plain UTF-8 CSV, without padding, comments and blank lines."""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter(source), quotechar=source.quote or '"', lineterminator="\n")
        writer.writerows(fields for _, fields in rows(path, source))
    return Rewritten(source.separator, source.has_header, source.null_values, source.quote or '"')


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

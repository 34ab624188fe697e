"""Types of CSV columns for which none are declared, by the first rows; numbers with something else in them are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.data import csv_lines
from mldlc.data.dtypes import from_text, nulled
from mldlc.plan.context import StepError

SAMPLE = 10_000  # rows that tell the types
MOST = 0.99  # of the values of a column are numbers: then the others are faults
WORDS = {"float64": "number", "date": "date", "datetime": "date and time"}


@dataclass(frozen=True)
class Inferred:
    """A column whose type comes from the file."""

    dtype: str
    role: str = "feature"
    null_values: list[str] = field(default_factory=list)
    format: str | None = None


@dataclass(frozen=True)
class Mixed:
    """A column that would be numbers or dates but for a few values. first: row of the sample and text of the first."""

    name: str
    dtype: str
    fit: int
    known: int
    first: tuple[int, str]
    others: tuple[str, ...]


def columns_of(path: Path, source: Any, warn: Callable[[str], None]) -> dict[str, Any]:
    """The declared columns, or those that the first rows suggest. StepError for a mixed one, or a warning."""
    if source.columns is not None:
        return dict(source.columns)
    names = csv_lines.header(path, source)
    sample: list[list[str]] = []
    lines: list[int] = []
    for index, (line, fields) in enumerate(csv_lines.rows(path, source)):
        if index or not source.has_header:
            sample.append((fields + [""] * len(names))[: len(names)])
            lines.append(line)
        if len(sample) == SAMPLE:
            break
    frame = pl.DataFrame([dict(zip(names, fields, strict=True)) for fields in sample], dict.fromkeys(names, pl.String))
    text = frame.select(nulled(pl.col(name), [*source.null_values, ""], strip=True) for name in names)
    columns = {name: Inferred(_guess(text[name])) for name in names}
    if source.on_mixed != "text":
        texts = [name for name, column in columns.items() if column.dtype == "string"]
        found = [mixed for name in texts if (mixed := _mixed(text[name])) is not None]
        if found:
            _tell(path, found, lines, source.on_mixed, warn)
    return columns


def _guess(values: pl.Series) -> str:
    known = values.drop_nulls()
    if known.is_empty():
        return "string"
    for dtype in ("int64", "float64", "date", "datetime"):
        if _fits(known, dtype).all():
            return dtype
    return "boolean" if known.str.to_lowercase().is_in(["true", "false"]).all() else "string"


def _fits(values: pl.Series, dtype: str) -> pl.Series:
    return values.to_frame("v").select(from_text(pl.col("v"), dtype, None, strict=False).is_not_null()).to_series()


def _mixed(values: pl.Series) -> Mixed | None:
    """Nearly all values fit one type, or at least half do and all others are one text, as a null marker would be."""
    known = values.drop_nulls()
    for dtype in WORDS:
        fits = _fits(known, dtype)
        fit = int(fits.sum())
        others = known.filter(~fits)
        if fit and (fit >= MOST * len(known) or (2 * fit >= len(known) and others.n_unique() == 1)):
            at = int((values == others[0]).arg_true()[0])
            return Mixed(
                values.name, dtype, fit, len(known), (at, others[0]), tuple(others.unique(maintain_order=True))
            )
    return None


def _tell(path: Path, found: list[Mixed], lines: list[int], how: str, warn: Callable[[str], None]) -> None:
    parts = [
        f"{path.name}, line {lines[one.first[0]]}, column '{one.name}': '{one.first[1]}' is no {WORDS[one.dtype]}, as "
        f"{one.fit} of its {one.known} values are"
        for one in found
    ]
    markers = ", ".join(f"'{text}'" for text in dict.fromkeys(text for one in found for text in one.others[:3]))
    hint = (
        f"null markers: source.null_values=[{markers}]; wrong values: mend the file; text that may look like numbers: "
        "source.on_mixed=text, or declare source.columns"
    )
    if how == "warn":
        warn(f"{'; '.join(parts)}: read as text ({hint})")
        return
    raise StepError("; ".join(parts), where=f"{path}:{lines[found[0].first[0]]}", hint=hint)

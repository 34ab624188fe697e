"""The per-slice table: the metrics of every slice of the rows beside those of the whole part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mldlc.artifacts.table import Table
from mldlc.evaluation.advice import unknown_column
from mldlc.evaluation.config import AutoSlices, ColumnSlices
from mldlc.evaluation.cuts import Cut, crossed, cut
from mldlc.evaluation.task import Sample, Task, Values
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

Rows = list[dict[str, Any]]


def check(cfg: AutoSlices | ColumnSlices, raw: Table | None, rows: int, names: Sequence[str]) -> Table:
    """The table to slice by; StepError unless it has the prepared rows, the columns and the parts that cfg names."""
    if raw is None:
        raise StepError(
            "slices need the cleaned rows, and input 'raw' of this stage is not bound", where="slices.kind",
            hint="bind it (inputs: {raw: clean}), or choose slices=none",
        )  # fmt: skip
    if raw.rows != rows:
        raise StepError(
            f"the cleaned table has {raw.rows} rows and the prepared one has {rows}; slices need the same rows",
            hint="bind 'raw' to the table that was prepared",
        )
    for part in cfg.parts:
        if part not in names:
            hint = did_you_mean(part, names) or "name one of them"
            raise StepError(
                f"no evaluated part {part!r} to slice; there are {', '.join(names)}", where="slices.parts", hint=hint
            )
    return raw


def slice_table(
    task: Task, cfg: AutoSlices | ColumnSlices, raw: Table, parts: Mapping[str, Sample], overall: Mapping[str, Values]
) -> Rows:
    """Rows {part, slice, column, value, rows, metrics, delta}; delta is the slice's metric less the whole part's.

    Slices of fewer than `min_rows` rows are left out. Of `columns` they come in the order of the config; of `auto`
    the worst come first.
    """
    metric = task.metric(cfg.metric, "slices.metric") if isinstance(cfg, AutoSlices) else task.primary
    rows = np.unique(np.concatenate([parts[part].rows for part in cfg.parts]))
    places = {part: np.searchsorted(rows, parts[part].rows) for part in cfg.parts}
    found: Rows = []
    for one in _cuts(cfg, raw, rows):
        for part in cfg.parts:
            codes = one.codes[places[part]]
            found += _slices_of(task, one, codes, part, parts[part], overall[part], cfg.min_rows)
    return found if isinstance(cfg, ColumnSlices) else _worst(task, found, metric, cfg.worst)


def _slices_of(
    task: Task, one: Cut, codes: np.ndarray, part: str, sample: Sample, overall: Values, min_rows: int
) -> Rows:
    found: Rows = []
    for code, index in grouped(codes, len(one.values)):
        if len(index) < min_rows:
            continue
        metrics = task.measure(sample.take(index))
        delta = {name: _difference(value, overall[name]) for name, value in metrics.items()}
        found.append(
            {
                "part": part,
                "slice": f"{one.column}={one.values[code]}",
                "column": one.column,
                "value": one.values[code],
                "rows": len(index),
                "metrics": metrics,
                "delta": delta,
            }
        )
    return found


def grouped(codes: np.ndarray, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """(code, ascending positions with it), by one radix sort; codes that do not occur are left out."""
    narrow = codes.astype(np.int16) if count < 1 << 15 else codes
    order = np.argsort(narrow, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=count))
    start = 0
    for code, end in enumerate(ends):
        if end > start:
            yield code, order[start:end]
        start = end


def _difference(value: float | None, overall: float | None) -> float | None:
    return None if value is None or overall is None else value - overall


def _worst(task: Task, rows: Rows, metric: str, count: int) -> Rows:
    """The slices furthest below their part in a metric; where it is undefined, a slice is dropped."""
    ranked = [row for row in rows if row["delta"][metric] is not None]
    ranked.sort(key=lambda row: (-task.worse_by(metric, row["delta"][metric], 0.0), row["part"], row["slice"]))
    return ranked[:count]


def _cuts(cfg: AutoSlices | ColumnSlices, raw: Table, rows: np.ndarray) -> Iterator[Cut]:
    """The cuts of the config over these rows of the table only: bins and frequent values are those of the rows."""
    features = [column.name for column in raw.columns if column.role in ("feature", "group")]
    if isinstance(cfg, AutoSlices):
        wanted: list[list[str]] = [[name] for name in features]
    else:
        wanted = [[item] if isinstance(item, str) else list(item) for item in cfg.columns]
        wanted = wanted or [[name] for name in features if _categorical(raw.column(name).dtype)]
    error = unknown_column(wanted, [column.name for column in raw.columns])
    if error is not None:
        raise error
    singles: dict[str, Cut] = {}
    for names in wanted:
        for name in names:
            if name not in singles:
                singles[name] = cut(raw.scan().select(name).collect()[name].gather(rows), cfg.bins, cfg.max_values)
        yield singles[names[0]] if len(names) == 1 else crossed([singles[name] for name in names], cfg.max_values)


def _categorical(dtype: str) -> bool:
    return dtype.startswith(("String", "Categorical", "Enum", "Boolean"))

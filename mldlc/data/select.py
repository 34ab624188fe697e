"""select: drops feature columns by what the train part shows, and says why of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.table import Column, write_json
from mldlc.data.fit import TrainRows
from mldlc.data.split import strata
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean

FORMAT = "mldlc.selection/1"
BINS = 10  # bins of equal count that numbers are cut into where a score needs groups


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write `selection.json` {format, keep: [names], drop: [{column, why}]}; summary: kept, dropped."""
    table, select = inputs["table"], cfg.select
    features = table.role("feature")
    drop: dict[str, str] = {}
    if select.kind == "filter":
        names = [c.name for c in features]
        for name in select.keep:
            if name not in names:
                hint = did_you_mean(name, names)
                raise StepError(f"select.keep names '{name}', which is no feature", where="select.keep", hint=hint)
        train = TrainRows(table, inputs["split"], select.part)
        free = [c for c in features if c.name not in select.keep]
        for number, column in enumerate(free):
            why = _alone(train.series(column.name), select)
            drop |= {column.name: why} if why else {}
            ctx.progress(number + 1, len(free), column.name)
        drop |= _correlated(train, [c for c in features if c.name not in drop], select)
        drop |= _weak(train, [c for c in free if c.name not in drop], select)
    keep = [c.name for c in features if c.name not in drop]
    if not keep:
        raise StepError(
            "select drops every feature", where="select", hint="; ".join(f"{k}: {v}" for k, v in drop.items())
        )
    dropped = [{"column": c.name, "why": drop[c.name]} for c in features if c.name in drop]
    write_json(ctx.out("selection") / "selection.json", {"format": FORMAT, "keep": keep, "drop": dropped})
    ctx.summary({"kept": len(keep), "dropped": len(dropped)})


def _alone(column: pl.Series, select: Any) -> str:
    """Why a column goes by itself; "" where it stays."""
    rows = len(column)
    missing = column.null_count() + (int(column.is_nan().sum() or 0) if column.dtype.is_float() else 0)
    if select.max_missing is not None and missing > select.max_missing * rows:
        return f"missing share {missing / rows:.3f} > {select.max_missing:g}"
    if select.max_constant is not None:
        top = _top_count(column, select.max_constant)
        if top > select.max_constant * rows:
            return f"one value has the share {top / rows:.4f} > {select.max_constant:g}"
    if select.max_categories is not None and column.dtype == pl.String and column.n_unique() > select.max_categories:
        return f"{column.n_unique()} distinct values > {select.max_categories}"
    return ""


def _top_count(column: pl.Series, bound: float) -> int:
    """Rows of the most frequent value. One with more than half of the rows is the median, which is quicker found."""
    known = column.drop_nulls()
    if bound >= 0.5 and column.dtype.is_numeric() and 2 * len(known) > len(column):
        middle = known.quantile(0.5, "lower")
        return max(int((known == middle).sum()), column.null_count())
    return int(column.alias("value").value_counts()["count"].max() or 0)  # type: ignore[arg-type]


def _numbers(column: pl.Series) -> np.ndarray:
    """float64 with the mean for what is missing."""
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    bad = ~np.isfinite(values)
    values[bad] = values[~bad].mean() if not bad.all() else 0.0
    return values


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _correlated(train: TrainRows, columns: list[Column], select: Any) -> dict[str, str]:
    if select.max_correlation is None:
        return {}
    kept: list[tuple[str, np.ndarray]] = []
    drop: dict[str, str] = {}
    for column in columns:
        series = train.series(column.name)
        if not series.dtype.is_numeric():
            continue
        values = _standard(_numbers(series))
        twins = ((name, abs(float(np.einsum("i,i->", values, other)) / len(values))) for name, other in kept)
        found = next(((name, r) for name, r in twins if r > select.max_correlation), None)
        if found is not None and column.name not in select.keep:
            drop[column.name] = f"correlation {found[1]:.4f} with {found[0]} > {select.max_correlation:g}"
        else:
            kept.append((column.name, values))
    return drop


def _weak(train: TrainRows, columns: list[Column], select: Any) -> dict[str, str]:
    if select.min_score is None:
        return {}
    labels = train.table.role("label")
    if not labels:
        raise StepError("select.min_score needs a label", where="source.roles")
    label = train.series(labels[0].name)
    scores = {c.name: association(train.series(c.name), label) for c in columns}
    return {
        name: f"score {score:.4f} with the label < {select.min_score:g}"
        for name, score in scores.items()
        if score < select.min_score
    }


def association(column: pl.Series, label: pl.Series) -> float:
    """Strength of association in [0, 1]: the correlation ratio eta of one over the groups of the other, or Cramer's V.

    A float label: eta of the label over the column (numbers in bins of equal count). Else the label makes the groups:
    eta of a numeric column over them, Cramer's V for a categorical column (Cramer 1946, chapter 21).
    """
    if label.dtype.is_float():
        return _eta(_numbers(label), strata(column, BINS))
    if column.dtype.is_numeric():
        return _eta(_numbers(column), strata(label, BINS))
    return _cramer(strata(column, BINS), strata(label, BINS))


def _eta(values: np.ndarray, groups: np.ndarray) -> float:
    """sqrt of the share of the variance that lies between groups."""
    _, codes = np.unique(groups, return_inverse=True)
    sizes = np.bincount(codes)
    means = np.bincount(codes, values) / sizes
    total = float(((values - values.mean()) ** 2).sum())
    between = float((sizes * (means - values.mean()) ** 2).sum())
    return float(np.sqrt(min(between / total, 1.0))) if total > 0 else 0.0


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    (_, x), (_, y) = np.unique(a, return_inverse=True), np.unique(b, return_inverse=True)
    rows, cols = int(x.max()) + 1, int(y.max()) + 1
    if min(rows, cols) < 2:
        return 0.0
    table = np.bincount(x * cols + y, minlength=rows * cols).reshape(rows, cols).astype(np.float64)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi2 / (table.sum() * (min(rows, cols) - 1))))

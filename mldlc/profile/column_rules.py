"""Rules about a column or the table as a whole: types, nulls, moments, quantiles, size, drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.profile.drift import distances
from mldlc.profile.expect_config import ColumnRules, RuleExpectations
from mldlc.profile.finding import Finding

NUMBERS = ("integer", "float", "number", "boolean")


def whole_checks(
    config: RuleExpectations, frame: pl.DataFrame, reference: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Every rule that no single row can be blamed for. reference: the summary (of a part) of the reference profile."""
    yield from _table(config, frame)
    for name, rules in config.columns.items():
        if name not in frame.columns:
            severity, hint = rules.severity_of("required"), did_you_mean(name, frame.columns)
            if rules.required:
                yield Finding(
                    f"{name}.required", name, "table", severity, True, "the column", "no such column", hint=hint
                )
        else:
            yield from _column(name, rules, frame)
    if config.drift.psi_max is not None or config.drift.ks_max is not None:
        yield from _drift(config, frame, reference)


def kind_of(dtype: pl.DataType) -> str:
    """The name that a `type` rule uses for a dtype, or the dtype's own."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    names = {pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "datetime", pl.String: "string"}
    if dtype in (pl.Categorical, pl.Enum):
        return "string"
    return next((name for kind, name in names.items() if dtype == kind), str(dtype))


def _table(config: RuleExpectations, frame: pl.DataFrame) -> Iterator[Finding]:
    rules, rows = config.table, frame.height
    for name, bound, bad in (
        ("rows_min", rules.rows_min, rules.rows_min is not None and rows < rules.rows_min),
        ("rows_max", rules.rows_max, rules.rows_max is not None and rows > rules.rows_max),
    ):
        if bound is not None:
            allowed = f"at {'least' if name == 'rows_min' else 'most'} {bound} rows"
            yield Finding(f"table.{name}", "", "table", rules.severity, bad, allowed, f"{rows} rows", checked=rows)
    if not rules.extra_columns:
        extra = [name for name in frame.columns if name not in config.columns]
        found = ", ".join(extra) if extra else "no other column"
        yield Finding("table.extra_columns", "", "table", rules.severity, bool(extra), "only columns with rules", found)


def _column(name: str, rules: ColumnRules, frame: pl.DataFrame) -> Iterator[Finding]:
    series = frame[name]
    if rules.type is not None:
        kind = kind_of(series.dtype)
        good = kind == rules.type or (rules.type == "number" and kind in ("integer", "float"))
        severity = rules.severity_of("type")
        yield Finding(f"{name}.type", name, "column", severity, not good, rules.type, f"{kind} ({series.dtype})")
    if rules.null_share_max is not None:
        nulls = series.null_count()
        share = nulls / len(series) if len(series) else 0.0
        yield Finding(
            f"{name}.null_share_max", name, "column", rules.severity_of("null_share_max"), share > rules.null_share_max,
            f"at most {rules.null_share_max:.2%} nulls", f"{nulls} of {len(series)} ({share:.2%})",
            checked=len(series), bad=nulls, share=share,
        )  # fmt: skip
    if rules.mean is None and rules.std is None and not rules.quantiles:
        return
    if kind_of(series.dtype) not in NUMBERS:
        where = f"expect.columns.{name}"
        raise StepError(f"mean, std and quantiles ask for numbers, column '{name}' is {series.dtype}", where=where)
    values = series.cast(pl.Float64).drop_nulls().drop_nans()
    if rules.mean is not None:
        yield _within(name, "mean", "mean", rules, rules.mean, values.mean())
    if rules.std is not None:
        yield _within(name, "std", "std", rules, rules.std, values.std())
    for share_text, bounds in rules.quantiles.items():
        found = values.quantile(float(share_text), interpolation="linear")
        yield _within(name, "quantiles", f"quantile {share_text}", rules, bounds, found)


def _within(name: str, rule: Any, label: str, rules: ColumnRules, bounds: list[float | None], found: Any) -> Finding:
    low, high = bounds
    bad = found is None or (low is not None and found < low) or (high is not None and found > high)
    allowed = f"{label} between {'-inf' if low is None else low} and {'inf' if high is None else high}"
    text = "no value" if found is None else f"{found:.6g}"
    return Finding(f"{name}.{label}", name, "column", rules.severity_of(rule), bad, allowed, text)


def _drift(config: RuleExpectations, frame: pl.DataFrame, reference: Mapping[str, Any] | None) -> Iterator[Finding]:
    rules = config.drift
    if reference is None:
        hint = "bind a profile to the port `reference`, or set psi_max and ks_max to null"
        raise StepError("drift bounds need a reference profile", where="expect.drift", hint=hint)
    known = {column["name"]: column for column in reference["columns"]}
    for index, name in enumerate(rules.columns):
        if name not in known or name not in frame.columns:
            side = "reference profile" if name not in known else "table"
            both = [column for column in known if column in frame.columns]
            where = f"expect.drift.columns.{index}"
            raise StepError(f"the {side} has no column '{name}'", where=where, hint=did_you_mean(name, both))
    for name in rules.columns or [column for column in known if column in frame.columns]:
        for measure, distance in distances(known[name], frame[name]).items():
            bound = rules.psi_max if measure == "psi" else rules.ks_max
            if bound is not None:
                yield Finding(
                    f"drift.{name}.{measure}", name, "column", rules.severity, distance > bound,
                    f"{measure} at most {bound}", f"{distance:.4f}", checked=frame.height,
                )  # fmt: skip

"""Rules about single rows, as Polars expressions that are true where a row is bad."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.profile.expect_config import ColumnRules, Condition, RowRule, RuleExpectations, Severity
from mldlc.profile.finding import EXAMPLES, Finding, plain_value

COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


@dataclass(frozen=True)
class RowCheck:
    """bad: boolean expression, null counts as good. where: the config key, for messages."""

    rule: str
    column: str
    bad: pl.Expr
    allowed: str
    severity: Severity
    bad_share_max: float
    where: str


def row_checks(config: RuleExpectations, schema: pl.Schema) -> Iterator[RowCheck]:
    """Every rule about single rows whose column is there."""
    for name, rules in config.columns.items():
        if name in schema:
            yield from _of_column(name, rules, schema[name])
    for index, rule in enumerate(config.rows):
        yield _of_row(rule, schema, f"expect.rows.{index}")


def evaluate(check: RowCheck, frame: pl.DataFrame) -> tuple[Finding, pl.Series]:
    """The outcome of a check and its mask of bad rows (no nulls)."""
    try:
        bad = frame.select(check.bad.fill_null(False).alias("bad"))["bad"]
    except pl.exceptions.PolarsError as error:
        dtype = frame.schema[check.column]
        raise StepError(
            f"rule '{check.rule}' cannot be asked of column '{check.column}' ({dtype}): {error}", where=check.where
        ) from None
    count = int(bad.sum())
    share = count / frame.height if frame.height else 0.0
    rows = bad.arg_true().head(EXAMPLES)
    values = frame[check.column].gather(rows).to_list() if count else []
    examples = [{"row": row, "value": plain_value(value)} for row, value in zip(rows.to_list(), values, strict=True)]
    finding = Finding(
        check.rule, check.column, "row", check.severity, share > check.bad_share_max, check.allowed,
        checked=frame.height, bad=count, share=share, examples=examples,
    )  # fmt: skip
    return finding, bad


def _of_column(name: str, rules: ColumnRules, dtype: pl.DataType) -> Iterator[RowCheck]:
    column, where = pl.col(name), f"expect.columns.{name}"

    def check(rule: Any, bad: pl.Expr, allowed: str) -> RowCheck:
        severity = rules.severity_of(rule)
        return RowCheck(f"{name}.{rule}", name, bad, allowed, severity, rules.bad_share_max, f"{where}.{rule}")

    if rules.unique:
        yield check("unique", column.is_not_null() & ~column.is_first_distinct(), "no value twice")
    nan = column.is_nan() if dtype.is_float() else pl.lit(False)
    if rules.min is not None:
        yield check("min", (column < literal(rules.min, dtype, f"{where}.min")) | nan, f"at least {rules.min}")
    if rules.max is not None:
        yield check("max", (column > literal(rules.max, dtype, f"{where}.max")) | nan, f"at most {rules.max}")
    if rules.allowed is not None:
        values = [literal(value, dtype, f"{where}.allowed") for value in rules.allowed]
        yield check("allowed", ~_one_of(column, values), _list(rules.allowed))
    if rules.regex is not None:
        if not _is_text(dtype):
            raise StepError(f"a regex asks for text, column '{name}' is {dtype}", where=f"{where}.regex")
        yield check("regex", ~column.cast(pl.String).str.contains(rules.regex), f"text that matches {rules.regex}")


def _of_row(rule: RowRule, schema: pl.Schema, where: str) -> RowCheck:
    bad = ~_holds(rule, schema, where)
    allowed = _said(rule)
    if rule.when is not None:
        bad = bad & _holds(rule.when, schema, f"{where}.when")
        allowed += f" when {_said(rule.when)}"
    return RowCheck(rule.name, rule.column, bad, allowed, rule.severity, rule.bad_share_max, where)


def _holds(condition: Condition, schema: pl.Schema, where: str) -> pl.Expr:
    """A condition as an expression; null where a side is null (`is_null` and `not_null` never are)."""
    for key, name in (("column", condition.column), ("other", condition.other)):
        if name is not None and name not in schema:
            hint = did_you_mean(name, schema) or "columns: " + ", ".join(schema)
            raise StepError(f"there is no column '{name}'", where=f"{where}.{key}", hint=hint)
    column, dtype, value = pl.col(condition.column), schema[condition.column], condition.value
    match condition.op:
        case "is_null":
            return column.is_null()
        case "not_null":
            return column.is_not_null()
        case "in" | "not_in":
            assert isinstance(value, list)
            found = _one_of(column, [literal(item, dtype, f"{where}.value") for item in value])
            return found if condition.op == "in" else ~found
        case "matches":
            return column.cast(pl.String).str.contains(str(value))
    other = pl.col(condition.other) if condition.other is not None else literal(value, dtype, f"{where}.value")
    left = column.cast(pl.String) if condition.other is None and _is_text(dtype) else column
    return getattr(left, COMPARISONS[condition.op])(other)  # type: ignore[no-any-return]


def literal(value: Any, dtype: pl.DataType, where: str) -> pl.Expr:
    """A config value as a literal that compares with a column of `dtype`; StepError where it cannot."""
    if dtype in (pl.Date, pl.Datetime) and isinstance(value, str):
        try:
            if dtype == pl.Date:
                return pl.lit(date.fromisoformat(value))
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise StepError(
                f"'{value}' is not an ISO date or time", where=where, hint="for example 2024-01-31"
            ) from None
        zone = getattr(dtype, "time_zone", None)
        return pl.lit(moment.replace(tzinfo=None)).dt.replace_time_zone(zone) if zone else pl.lit(moment)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = (
        (number and dtype.is_numeric())
        or (isinstance(value, str) and _is_text(dtype))
        or (isinstance(value, bool) and dtype == pl.Boolean)
    )
    if not fits:
        raise StepError(f"{value!r} does not compare with a column of {dtype}", where=where)
    return pl.lit(value)


def _one_of(column: pl.Expr, values: list[pl.Expr]) -> pl.Expr:
    """Whether a value is in the list; null for null. Equality keeps 1 and 1.0 the same, as a person means them."""
    if not values:
        return pl.when(column.is_not_null()).then(pl.lit(False))
    return pl.any_horizontal([column == value for value in values])


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _list(values: list[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:8])
    return f"one of {shown}" + (f", ... ({len(values)} values)" if len(values) > 8 else "")


def _said(condition: Condition) -> str:
    value = _list(condition.value) if isinstance(condition.value, list) else condition.value
    right = condition.other if condition.other is not None else "" if condition.value is None else repr(value)
    return f"{condition.column} {condition.op} {right}".rstrip()

"""Config of the `expect` group: rules that a table must keep, and what happens when it does not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mldlc.config.schema import Config, result

Severity = Literal["error", "warn"]
OnViolation = Literal["fail", "warn", "quarantine"]
ColumnType = Literal["integer", "float", "number", "string", "boolean", "date", "datetime"]
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not_in", "matches", "is_null", "not_null"]
ColumnRule = Literal[
    "type", "required", "unique", "null_share_max", "min", "max", "allowed", "regex", "mean", "std", "quantiles"
]
Scalar = bool | int | float | str
Bounds = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class ColumnRules(Config):
    """What a column must keep; a rule that is null is not checked. Nulls keep every rule but `null_share_max`.

    min, max: inclusive (ISO text for dates); NaN breaks both. regex: must match somewhere; anchor with ^ and $. mean,
    std: [lowest, highest], either may be null. quantiles: {"0.5": [lowest, highest]}. bad_share_max: share of bad rows
    that is still accepted by unique, min, max, allowed and regex. severity: of all rules, or by rule in `severities`.
    """

    type: ColumnType | None = result(None)
    required: bool = result(True)
    unique: bool = result(False)
    null_share_max: float | None = result(None, ge=0, le=1)
    min: int | float | str | None = result(None)
    max: int | float | str | None = result(None)
    allowed: list[Scalar] | None = result(None)
    regex: str | None = result(None)
    mean: Bounds | None = result(None)
    std: Bounds | None = result(None)
    quantiles: dict[str, Bounds] = result({})
    bad_share_max: float = result(0.0, ge=0, le=1)
    severity: Severity = result("error")
    severities: dict[ColumnRule, Severity] = result({})

    @field_validator("quantiles")
    @classmethod
    def _shares(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in value:
            try:
                ok = 0 <= float(key) <= 1
            except ValueError:
                ok = False
            if not ok:
                raise ValueError(f"'{key}' is not a share between 0 and 1, such as '0.5'")
        return value

    def severity_of(self, rule: ColumnRule) -> Severity:
        """The severity of one rule of this column."""
        return self.severities.get(rule, self.severity)


class Condition(Config):
    """A comparison within one row: `column op value`, or `column op other` with another column."""

    column: str
    op: Operator
    value: Scalar | list[Scalar] | None = result(None)
    other: str | None = result(None)

    @model_validator(mode="after")
    def _operands(self) -> Condition:
        given = (self.value is not None) + (self.other is not None)
        if self.op in ("is_null", "not_null"):
            if given:
                raise ValueError(f"op {self.op} takes neither `value` nor `other`")
        elif given != 1:
            raise ValueError(f"op {self.op} takes exactly one of `value` and `other`")
        elif self.op in ("in", "not_in") and not isinstance(self.value, list):
            raise ValueError(f"op {self.op} takes a list as `value`")
        elif self.op not in ("in", "not_in") and isinstance(self.value, list):
            raise ValueError(f"op {self.op} takes a single `value`, not a list")
        elif self.op == "matches" and not isinstance(self.value, str):
            raise ValueError("op matches takes a pattern as `value`")
        return self


class RowRule(Condition):
    """A rule over one row: `column op value|other`, asked only of rows where `when` holds. A null compares as good."""

    name: str
    when: Condition | None = result(None)
    bad_share_max: float = result(0.0, ge=0, le=1)
    severity: Severity = result("error")


class TableRules(Config):
    """Rules over the whole table. extra_columns: whether columns that `columns` does not name are allowed."""

    rows_min: int | None = result(None, ge=0)
    rows_max: int | None = result(None, ge=0)
    extra_columns: bool = result(True)
    severity: Severity = result("error")


class DriftRules(Config):
    """Largest distance from the reference profile, per column, over the reference's histogram or top values.

    psi_max: population stability index (0.1 small, 0.25 large is the usual reading). ks_max: largest gap of the two
    cumulative distributions at the bin edges, numbers only. columns: [] for all. part: of the reference, "" for all of
    it; a profile made without a split has no parts and serves whole.
    """

    psi_max: float | None = result(None, ge=0)
    ks_max: float | None = result(None, ge=0, le=1)
    columns: list[str] = result([])
    part: str = result("train")
    severity: Severity = result("error")


class NoExpectations(Config):
    """Nothing is checked; the table goes on as it is."""

    kind: Literal["none"] = "none"


class RuleExpectations(Config):
    """Rules written by a person.

    on_violation, for violated rules of severity error: `fail` stops the run; `warn` reports; `quarantine` sets the bad
    rows aside and fails only for what no row can be blamed for, or when their share is above quarantine_share_max.
    """

    kind: Literal["rules"] = "rules"
    columns: dict[str, ColumnRules] = result({})
    rows: list[RowRule] = result([])
    table: TableRules = result(TableRules())
    drift: DriftRules = result(DriftRules())
    on_violation: OnViolation = result("fail")
    quarantine_share_max: float = result(1.0, ge=0, le=1)


class InferredExpectations(Config):
    """Rules derived from the reference profile, or from the table itself where there is none.

    part: of the reference, "" for the whole (as of one without a split). slack: share of a column's range added on both
    sides. null_slack: added to the share of nulls. allowed_max: a text or boolean column with at most so many values,
    all of them listed in the profile, gets them as its allowed values. psi_max: a drift bound to write down.
    """

    kind: Literal["infer"] = "infer"
    part: str = result("train")
    slack: float = result(0.1, ge=0)
    null_slack: float = result(0.02, ge=0, le=1)
    allowed_max: int = result(50, ge=0)
    psi_max: float | None = result(None, ge=0)
    on_violation: OnViolation = result("warn")
    quarantine_share_max: float = result(1.0, ge=0, le=1)


ExpectConfig = Annotated[NoExpectations | RuleExpectations | InferredExpectations, Field(discriminator="kind")]

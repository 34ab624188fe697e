"""Expectations derived from a profile, as a person might have written them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from mldlc.profile.expect_config import ColumnRules, DriftRules, InferredExpectations, RuleExpectations


def infer_rules(summary: Mapping[str, Any], config: InferredExpectations) -> RuleExpectations:
    """Rules from the summary of a table or of a part of it: types, null shares, ranges, allowed values."""
    columns = {column["name"]: _column(column, summary["rows"], config) for column in summary["columns"]}
    return RuleExpectations(
        columns=columns,
        drift=DriftRules(psi_max=config.psi_max, part=config.part),
        on_violation=config.on_violation,
        quarantine_share_max=config.quarantine_share_max,
    )


def to_yaml(rules: RuleExpectations) -> str:
    """The rules as YAML for `conf/expect/<name>.yaml`, without keys that stand at their default."""
    plain = {"kind": "rules", **rules.model_dump(exclude_defaults=True), "on_violation": rules.on_violation}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def _column(column: Mapping[str, Any], rows: int, config: InferredExpectations) -> ColumnRules:
    facts: dict[str, Any] = {"type": _type(column)}
    if rows:
        share = column["nulls"] / rows + config.null_slack
        facts["null_share_max"] = min(1.0, math.ceil(share * 1000) / 1000)
    if column["family"] in ("integer", "float") and column["min"] is not None:
        facts["min"], facts["max"] = _range(column["min"], column["max"], config.slack)
    values = [value for value, _ in column.get("top", [])]
    listed = column["distinct_exact"] and len(values) == column["distinct"]
    if column["family"] in ("string", "boolean") and values and listed and len(values) <= config.allowed_max:
        facts["allowed"] = sorted(values)
    return ColumnRules(**facts)


def _type(column: Mapping[str, Any]) -> str | None:
    if column["family"] in ("integer", "float", "string", "boolean"):
        return str(column["family"])
    dtype = str(column["dtype"])
    return "date" if dtype == "Date" else "datetime" if dtype.startswith("Datetime") else None


def _range(low: Any, high: Any, slack: float) -> tuple[Any, Any]:
    """The range with its slack; a column that was never negative stays so."""
    room = (high - low) * slack
    lowest = max(0, low - room) if low >= 0 else low - room
    if isinstance(low, int) and isinstance(high, int):
        return math.floor(lowest), math.ceil(high + room)
    if not slack or not math.isfinite(room):
        return float(low), float(high)
    return float(f"{lowest:.6g}"), float(f"{high + room:.6g}")

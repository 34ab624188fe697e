"""The expectations: every rule that was checked, the violated ones first, and how many rows were set aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.report.numbers import number, percent
from mldlc.report.sections.documents import document, rows


def expectations(artifact: Any) -> dict[str, Any] | None:
    """{facts, rules}; a rule: name, column, violated, severity, allowed, found, hint. None without findings."""
    report = document(artifact, "report.json")
    findings = rows(report, "findings")
    if not findings:
        return None
    rules = [_rule(item) for item in findings]
    rules.sort(key=lambda rule: (not rule["violated"], rule["severity"] != "error"))
    facts = [("rules", number(len(rules))), ("violated", number(sum(rule["violated"] for rule in rules)))]
    facts += [(name, number(report[name])) for name in ("rows", "quarantined") if report.get(name) is not None]
    return {"facts": facts, "rules": rules}


def _rule(item: Mapping[str, Any]) -> dict[str, Any]:
    found = str(item.get("found") or "")
    if item.get("bad"):
        share = f" ({percent(item['share'])})" if item.get("share") is not None else ""
        found = f"{number(item['bad'])} of {number(item.get('checked'))} rows{share}"
    examples = [f"row {e.get('row')}: {e.get('value')}" for e in rows(item, "examples")[:3]]
    return {
        "name": str(item.get("rule") or "–"),
        "column": str(item.get("column") or ""),
        "violated": bool(item.get("violated")),
        "severity": str(item.get("severity") or "error"),
        "allowed": str(item.get("allowed") or "–"),
        "found": "; ".join([found, *examples]) if found else "; ".join(examples),
        "hint": str(item.get("hint") or ""),
    }

"""The metric gate: holds metrics and slices against bounds, by rule or by a person, bound to exactly this evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mldlc.plan.codec import digest
from mldlc.plan.context import Context, GateRejected, GateWaiting, StepError
from mldlc.plan.diagnostic import did_you_mean


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write decision.json, or raise GateWaiting or GateRejected.

    The evidence is the metrics artifact and the rule; an answer for other evidence does not count.
    """
    rule = cfg.automation
    metrics = inputs["metrics"].json("metrics.json")
    findings = check(metrics, rule)
    broken = [item for item in findings if not item["ok"]]
    evidence = {
        "stage": ctx.stage,
        "level": rule.level,
        "metrics": {
            part: dict(values) for part, values in metrics["parts"].items() if part in rule.bounds or part == "test"
        },
        "checks": findings,
        "metrics_digest": inputs["metrics"].digest,
    }
    name = digest(["gate", inputs["metrics"].digest, rule.model_dump(mode="json")])[:32]
    if rule.level == "full" or (rule.level == "partial" and not broken):
        if broken:
            raise GateRejected("; ".join(item["text"] for item in broken), evidence, name)
        _write(ctx, evidence, {"decision": "approve", "by": "rule", "why": _why(findings)})
        return
    answer = ctx.approval(name)
    if answer is None:
        raise GateWaiting(evidence, name)
    if answer.get("decision") != "approve":
        raise GateRejected(f"rejected by {answer.get('by', 'somebody')}: {answer.get('why', '')}", evidence, name)
    _write(ctx, evidence, {key: str(answer.get(key, "")) for key in ("decision", "by", "why")})


def check(metrics: Mapping[str, Any], rule: Any) -> list[dict[str, Any]]:
    """Every bound against its metric: [{what, value, min, max, ok, text}]. StepError for a metric that is not there."""
    out = check_parts(metrics, rule.bounds, "automation.bounds")
    for name, bound in rule.slices.items():
        for row in metrics.get("slices", []):
            if row["rows"] >= rule.slice_rows and name in row["metrics"]:
                out.append(_finding(f"{row['part']}[{row['slice']}].{name}", row["metrics"][name], bound))
    return out


def check_parts(
    metrics: Mapping[str, Any], bounds: Mapping[str, Mapping[str, Any]], where: str
) -> list[dict[str, Any]]:
    """The same of bounds by part and metric, which stand at `where` in the config."""
    out = []
    for part, wanted in bounds.items():
        values = metrics["parts"].get(part)
        if values is None:
            raise StepError(
                f"the metrics have no part '{part}'",
                where=f"{where}.{part}",
                hint=did_you_mean(part, metrics["parts"]) or f"parts: {', '.join(metrics['parts'])}",
            )
        for name, bound in wanted.items():
            if name not in values:
                raise StepError(
                    f"the metrics of '{part}' have no '{name}'",
                    where=f"{where}.{part}.{name}",
                    hint=did_you_mean(name, values) or f"metrics: {', '.join(values)}",
                )
            out.append(_finding(f"{part}.{name}", values[name], bound))
    return out


def _finding(what: str, value: float | None, bound: Any) -> dict[str, Any]:
    low, high = bound.min, bound.max
    ok = value is not None and (low is None or value >= low) and (high is None or value <= high)
    limits = " and ".join(
        [*([f">= {low:g}"] if low is not None else []), *([f"<= {high:g}"] if high is not None else [])]
    )
    shown = "undefined" if value is None else f"{value:.4g}"
    return {
        "what": what,
        "value": value,
        "min": low,
        "max": high,
        "ok": ok,
        "text": f"{what} is {shown}, wanted {limits or 'any'}",
    }


def _why(findings: list[dict[str, Any]]) -> str:
    return "; ".join(item["text"] for item in findings) or "no bounds are set"


def _write(ctx: Context, evidence: Mapping[str, Any], answer: Mapping[str, str]) -> None:
    text = json.dumps({"format": "mldlc.decision/1", **answer, "evidence": evidence}, sort_keys=True, indent=2)
    (ctx.out("decision") / "decision.json").write_text(text + "\n")
    ctx.summary({"decision": answer["decision"], "by": answer["by"]})

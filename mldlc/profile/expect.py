"""The expect step: check a table against rules, report, set bad rows aside or stop the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import Table, write_json, write_table
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.profile.column_rules import whole_checks
from mldlc.profile.expect_config import InferredExpectations, NoExpectations, RuleExpectations
from mldlc.profile.finding import Finding
from mldlc.profile.infer import infer_rules, to_yaml
from mldlc.profile.rules import evaluate, row_checks

FORMAT = "mldlc.expectations/1"
LISTED = 20  # violated rules that an error message shows


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write the Expectations report, the table of good rows and the table of quarantined rows."""
    config, table = cfg.expect, inputs["table"]
    if isinstance(config, NoExpectations):
        report = {"format": FORMAT, "kind": "none", "rows": table.rows, "violated": 0, "quarantined": 0, "findings": []}
        write_json(ctx.out("report") / "report.json", report)
        _write_tables(ctx, table, None)
        return
    reference = _reference(config, inputs["reference"])
    if isinstance(config, InferredExpectations):
        rules = infer_rules(reference or _own_summary(table.load(), config), config)
    else:
        rules = config
    findings, bad = check_frame(rules, ByColumn(table), reference)
    _stop_if_needed(rules, findings, bad)
    violated = [finding for finding in findings if finding.violated]
    for finding in violated:
        ctx.log.warning("%s", finding)
    aside = bad if rules.on_violation == "quarantine" and bad.any() else None
    quarantined = int(bad.sum()) if aside is not None else 0
    write_json(
        ctx.out("report") / "report.json",
        {
            "format": FORMAT, "kind": config.kind, "rows": table.rows, "violated": len(violated),
            "quarantined": quarantined, "findings": [finding.plain() for finding in findings],
        },
    )  # fmt: skip
    (ctx.out("report") / "expectations.yaml").write_text(to_yaml(rules), "utf-8")
    _write_tables(ctx, table, aside)
    facts = {"rows": table.rows, "rules": len(findings), "violated": len(violated), "quarantined": quarantined}
    ctx.summary(facts)


class ByColumn:
    """A table as the rules see a frame, of which one column at a time is in memory."""

    def __init__(self, table: Table) -> None:
        self._lazy, self.height = table.scan(), table.rows
        self.schema = self._lazy.collect_schema()
        self.columns = self.schema.names()
        self._last = pl.Series("", [], pl.Boolean)

    def __getitem__(self, name: str) -> pl.Series:
        if self._last.name != name:
            self._last = self.select(pl.col(name))[name]
        return self._last

    def select(self, expression: pl.Expr) -> pl.DataFrame:
        """The columns that an expression makes of the whole table."""
        return self._lazy.select(expression).collect()


def check_frame(
    rules: RuleExpectations, frame: pl.DataFrame | ByColumn, reference: Mapping[str, Any] | None = None
) -> tuple[list[Finding], pl.Series]:
    """Every rule's outcome, and the mask of rows that break a row rule of severity error."""
    findings = list(whole_checks(rules, frame, reference))
    mistyped = {finding.column for finding in findings if finding.violated and finding.rule == f"{finding.column}.type"}
    masks = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    asked = RuleExpectations(
        columns={name: column for name, column in rules.columns.items() if name not in mistyped}, rows=rules.rows
    )  # a column of the wrong type is reported once; its other rules would not make sense
    for check in row_checks(asked, frame.schema):
        finding, bad = evaluate(check, frame)
        findings.append(finding)
        if check.severity == "error":
            masks = masks | bad
    return findings, masks


def _reference(config: Any, artifact: Artifact | None) -> Mapping[str, Any] | None:
    """The summary of the wanted part of the reference profile, or of the whole where it was not split."""
    drift = None if isinstance(config, InferredExpectations) else config.drift
    if artifact is None or (drift is not None and drift.psi_max is None and drift.ks_max is None):
        return None
    summary: dict[str, Any] = artifact.json("summary.json")
    if summary["columns"] and "family" not in summary["columns"][0]:
        hint = "profile=whylogs writes one that can"
        raise StepError("the reference profile measures nothing (profile=none)", where="inputs.reference", hint=hint)
    part = config.part if drift is None else drift.part
    parts = summary.get("parts", {})
    if part and parts and part not in parts:
        hint = did_you_mean(part, parts) or "parts: " + ", ".join(parts)
        raise StepError(
            f"the reference profile has no part '{part}'",
            where="expect.part" if drift is None else "expect.drift.part",
            hint=hint,
        )
    found: Mapping[str, Any] = parts.get(part, summary)
    return found


def _own_summary(frame: pl.DataFrame, config: InferredExpectations) -> dict[str, Any]:
    # Imported here: only this way needs whylogs.
    from mldlc.profile.observe import Settings
    from mldlc.profile.profile import profile_frame
    from mldlc.profile.summary import table_summary

    return table_summary(frame.height, profile_frame(frame), {}, Settings(), config.allowed_max)


def _stop_if_needed(rules: RuleExpectations, findings: Sequence[Finding], bad: pl.Series) -> None:
    """Raise StepError, naming every violated rule, when the config says that the run must not go on."""
    errors = [finding for finding in findings if finding.violated and finding.severity == "error"]
    if rules.on_violation == "quarantine":
        share = int(bad.sum()) / len(bad) if len(bad) else 0.0
        if share > rules.quarantine_share_max:
            limit = f"at most {rules.quarantine_share_max:.2%}"
            errors.append(
                Finding("quarantine_share_max", "", "table", "error", True, limit, f"{share:.2%} of rows are bad")
            )
        else:
            errors = [finding for finding in errors if finding.level != "row"]
    if rules.on_violation == "warn" or not errors:
        return
    lines = [f"  {finding}" for finding in errors[:LISTED]]
    if len(errors) > LISTED:
        lines.append(f"  ... and {len(errors) - LISTED} more")
    message = f"{len(errors)} of {len(findings)} expectations are violated:\n" + "\n".join(lines)
    hint = "mend the data or the rules; expect.on_violation=warn only reports, =quarantine sets bad rows aside"
    raise StepError(message, where="expect", hint=hint)


def _write_tables(ctx: Context, table: Table, bad: pl.Series | None) -> None:
    """Good and bad rows. Without bad rows the table is the input's files, linked: same bytes, same digest."""
    if bad is None:
        _link(table.artifact, ctx.out("table"))
        empty = table.scan(table.partitions[0]).head(0).collect() if table.partitions else pl.DataFrame()
        write_table(ctx.out("quarantine"), [("none", empty)], table.columns)
        return
    starts = [0]
    for partition in table.partitions:
        starts.append(starts[-1] + partition.rows)
    spans = list(zip(table.partitions, starts, strict=False))
    for port, mask in (("table", ~bad), ("quarantine", bad)):
        parts = ((p.name, table.load(p).filter(mask.slice(start, p.rows))) for p, start in spans)
        write_table(ctx.out(port), parts, table.columns, info=table.info)


def _link(artifact: Artifact, out: Path) -> None:
    for name, source in artifact.files.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)

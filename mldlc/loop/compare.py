"""Finds the two sides of `mldlc diff`: a plan file, a run, or a git revision of the config repository."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.engine.history import read_run, runs
from mldlc.loop.stale import load_plan
from mldlc.plan.diagnostic import DiagnosticError, fail
from mldlc.plan.diff import Change, diff, diff_values
from mldlc.plan.plan import Plan

REV = "command line: --rev:"  # as mistakes of a revision begin; who compares wrote no such flag


@dataclass(frozen=True)
class Side:
    """One side of a comparison; metrics are a run's, or those of the last run of this very plan."""

    name: str
    plan: Plan
    metrics: dict[str, Any] = field(default_factory=dict)


def changes(left: Side, right: Side) -> list[Change]:
    """Config, stages, wiring, code, data, packages, and metrics where both sides have been run."""
    found = diff(left.plan, right.plan)
    return found + diff_values("metric", left.metrics, right.metrics) if left.metrics and right.metrics else found


def side(name: str, outputs: Path, request: CompileRequest) -> Side:
    """An existing .json file, else a run (an unambiguous prefix or `latest`), else a git revision."""
    if name.endswith(".json") and Path(name).exists():
        plan = load_plan(Path(name))
        same = (run for run in _lives(plan, outputs) if _tokens(run.plan) == _tokens(plan))
        return next((Side(name, plan, run.metrics) for run in same), Side(name, plan))
    run = _run(name, outputs)
    if run is not None:
        return run
    plan = _plan_at(name, request)  # it looks at no data but what git holds: a run of it did
    known = {uri: token for uri, token in _tokens(plan).items() if token}
    same = (run for run in _lives(plan, outputs) if known.items() <= _tokens(run.plan).items())
    return next((replace(run, name=name) for run in same), Side(name, plan))


def _lives(plan: Plan, outputs: Path) -> Iterator[Side]:
    """The finished runs of a plan, last one first; a plan's id is its intent, without the data."""
    for info in reversed(runs(outputs)):
        if info.plan == plan.id and info.status == "ok" and (info.folder / "plan.json").exists():
            yield Side(info.run, load_plan(info.folder / "plan.json"), dict(info.metrics))


def _tokens(plan: Plan) -> dict[str, str | None]:
    return {source.uri: source.token for step in plan.steps for source in step.sources}


def _run(name: str, outputs: Path) -> Side | None:
    folder = outputs / "runs"
    if name == "latest" and (outputs / "latest").exists():
        name = (outputs / "latest").resolve().name
    found = (
        sorted(path.name for path in folder.glob(f"{name}*")) if folder.is_dir() and name and "/" not in name else []
    )
    if len(found) != 1:
        return None
    info = read_run(outputs, found[0])
    return Side(found[0], load_plan(folder / found[0] / "plan.json"), dict(info.metrics))


def _plan_at(rev: str, request: CompileRequest) -> Plan:
    """The project as it stood at a git revision, compiled from git objects; sources of data are not looked at."""
    try:
        return compile_plan(replace(request, rev=rev, offline=True))
    except DiagnosticError as error:
        first = error.diagnostics[0]
        if first.code != "unknown_revision" or REV not in first.message:
            raise DiagnosticError(
                replace(item, message=item.message.replace(REV, f"command line: {rev}:")) for item in error.diagnostics
            ) from None
        raise fail(
            "unknown_side", f"command line: '{rev}' is no plan file, no run and no git revision",
            found=rev, allowed=first.allowed, hint=f"{first.hint} (see also mldlc ls runs)",
        ) from None  # fmt: skip

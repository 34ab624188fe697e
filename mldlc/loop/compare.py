"""Finds the two sides of `mldlc diff`: a plan file, a run, or a git revision of the config repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.config.gittree import resolve_revision
from mldlc.engine.history import read_run
from mldlc.loop.stale import load_plan
from mldlc.plan.diagnostic import DiagnosticError, fail
from mldlc.plan.diff import Change, diff, diff_values
from mldlc.plan.plan import Plan


class _NoRevision(Exception):
    """The name is no revision of the project's repository."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison; metrics only a run has."""

    name: str
    plan: Plan
    metrics: dict[str, Any] = field(default_factory=dict)


def changes(left: Side, right: Side) -> list[Change]:
    """Config, stages, wiring, code, data, packages, and metrics where both are runs."""
    found = diff(left.plan, right.plan)
    return found + diff_values("metric", left.metrics, right.metrics) if left.metrics and right.metrics else found


def side(name: str, outputs: Path, root: Path, request: CompileRequest) -> Side:
    """An existing .json file, else a run (an unambiguous prefix or `latest`), else a git revision."""
    if name.endswith(".json") and Path(name).exists():
        return Side(name, load_plan(Path(name)))
    run = _run(name, outputs)
    if run is not None:
        return run
    try:
        return Side(name, plan_at(name, root, outputs, request))
    except _NoRevision:
        raise fail(
            "unknown_side", f"command line: '{name}' is no plan file, no run and no git revision",
            hint="see mldlc ls runs, git log",
        ) from None  # fmt: skip


def _run(name: str, outputs: Path) -> Side | None:
    runs = outputs / "runs"
    if name == "latest" and (outputs / "latest").exists():
        name = (outputs / "latest").resolve().name
    found = sorted(path.name for path in runs.glob(f"{name}*")) if runs.is_dir() and name and "/" not in name else []
    if len(found) != 1:
        return None
    info = read_run(outputs, found[0])
    return Side(found[0], load_plan(runs / found[0] / "plan.json"), dict(info.metrics))


def plan_at(rev: str, root: Path, outputs: Path, request: CompileRequest) -> Plan:
    """Compile the project as it stood at a git revision: its tree is laid out, by commit, under outputs/cache/rev."""
    top = subprocess.run(["git", "-C", str(root), "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if top.returncode:
        raise _NoRevision
    repo = Path(top.stdout.strip())
    try:
        sha = resolve_revision(repo, rev)
    except DiagnosticError:
        raise _NoRevision from None
    folder = outputs / "cache" / "rev" / sha
    if not folder.exists():
        archive = subprocess.run(
            ["git", "-C", str(repo), "archive", "--format=tar", sha], capture_output=True, check=True
        )
        temp = folder.with_name(f".{sha}.tmp")
        temp.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(temp, filter="data")
        temp.rename(folder)
    return compile_plan(replace(request, start=folder / root.relative_to(repo), offline=True))

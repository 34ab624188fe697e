"""A saved plan is only executed if the world still is what it was made for; what moved is named."""

from __future__ import annotations

from pathlib import Path

from mldlc.compiler.draft import CompileRequest, Selection
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, fail
from mldlc.plan.plan import Plan, load


def load_plan(path: Path) -> Plan:
    """Read a plan file; DiagnosticError when it is no plan."""
    try:
        return load(path.read_text())
    except OSError as error:
        raise fail("missing_file", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise fail("bad_plan", f"{path} is no mldlc.plan/1 document: {error}") from None


def refresh(saved: Plan, file: Path, selection: Selection) -> Plan:
    """Compile the same request again; give the fresh plan if nothing moved, else raise with everything that did.

    selection: what is asked for now; where it says nothing, what the plan was made for.
    """
    root = Path(saved.config.root)
    if not root.is_dir():
        raise fail("stale_plan", f"the plan's project {root} is gone", where=Location(str(file)))
    asked = saved.config
    part = Selection(selection.until or asked.until, selection.since or asked.since, selection.force or asked.force)
    request = CompileRequest(
        root, asked.overrides, asked.name, asked.multirun, selection=part, points=asked.points, rev=asked.rev
    )
    fresh = compile_plan(request)
    found = moved(saved, fresh)
    if found:
        raise DiagnosticError(
            Diagnostic(
                "stale_plan", f"stale plan: {text}", where=Location(str(file)), hint="make it again: mldlc plan -o"
            )
            for text in found
        )
    return fresh


def moved(saved: Plan, fresh: Plan) -> list[str]:
    """What changed between the making of a plan and now, each as a phrase."""
    out = []
    for name in sorted({*saved.config.files, *fresh.config.files}):
        if saved.config.files.get(name) != fresh.config.files.get(name) and saved.id != fresh.id:
            out.append(f"config {name} changed")
    for kind in ("sources", "refs"):
        before, now = getattr(saved.snapshot, kind), getattr(fresh.snapshot, kind)
        same = fresh.snapshot.sources if kind == "refs" else {}  # a branch that moved under equal files is no change
        out += [
            f"{kind[:-1]} {name} changed"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name) and name not in same
        ]
    steps = {step.id: step for step in saved.steps}
    by_stage = {step.stage: step for step in saved.steps}
    for step in fresh.steps:
        old = steps.get(step.id) or by_stage.get(step.stage)
        if old is None:
            out.append(f"stage {step.stage} is new")
            continue
        if old.code != step.code:
            was, now = saved.blobs.get(old.code, {}), fresh.blobs.get(step.code, {})
            files = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
            out.append(f"code of {step.stage} changed: {', '.join(files)}")
        for name in sorted({*old.packages, *step.packages}):
            if old.packages.get(name) != step.packages.get(name):
                out.append(f"package {name}: {old.packages.get(name)} -> {step.packages.get(name)}")
    if saved.id != fresh.id and not out:
        out.append("the compiled config differs")
    return list(dict.fromkeys(out))

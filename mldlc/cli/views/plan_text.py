"""The plan for a person: one line a stage, reasons, one closing line. A visitor of Plan, nothing more."""

from __future__ import annotations

from mldlc.cli.views.style import duration, paint
from mldlc.plan.dag import Cycle, topological
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step

COLOURS = {
    "=": "dim",
    "+": "green",
    "~": "yellow",
    "?": "blue",
    "!": "magenta",
    "-": "dim",
}


def glyph(step: Step) -> str:
    """= reuse or in place, + never ran, ~ changed, ? known after an upstream, ! gate or effect, - left out."""
    if step.action in ("reuse", "in place"):
        return "="
    if step.action in ("gate", "apply"):
        return "!"
    if step.action == "skip":
        return "-"
    if step.action == "maybe":
        return "?"
    return "+" if all(reason.code == "first_run" for reason in step.reasons) else "~"


def lines(plan: Plan, colour: bool = False) -> list[str]:
    """The plan's lines; points of a sweep are folded (`x32`)."""
    folds: dict[tuple[str, str, str], list[Step]] = {}
    for step in _by_stage(plan):
        folds.setdefault((step.stage, glyph(step), action_text(step)), []).append(step)
    sweep = len(plan.points) > 1
    names = [f"{stage} x{len(steps)}" if sweep and len(steps) > 1 else stage for (stage, _, _), steps in folds.items()]
    width = max([len(name) for name in names] + [10]) + 2
    actions = max([len(action) for _, _, action in folds] + [5]) + 2
    out = []
    for name, ((_, mark, action), steps) in zip(names, folds.items(), strict=True):
        why = reasons(steps)
        head = f"{mark} {name:<{width}}{action:<{actions}}"
        out.append(paint((head + why[0] if why else head).rstrip(), COLOURS[mark], colour))
        out += [paint(" " * (2 + width + actions) + line, COLOURS[mark], colour) for line in why[1:]]
    return out


def _by_stage(plan: Plan) -> list[Step]:
    """The steps, each stage after those it takes something from at any point: a sweep may add stages to some only."""
    stages = {step.id: step.stage for step in plan.steps}
    upstream: dict[str, set[str]] = {}
    for step in plan.steps:
        above = {stages[name] for name in step.upstream() if name in stages}
        upstream.setdefault(step.stage, set()).update(above - {step.stage})
    try:
        ranks = {stage: rank for rank, stage in enumerate(topological(upstream))}
    except Cycle:  # points that are wired the other way round
        return list(plan.steps)
    return sorted(plan.steps, key=lambda step: ranks[step.stage])


def action_text(step: Step) -> str:
    """The action as shown: an evicted result says so."""
    return "reuse (evicted)" if step.evicted else step.action


def reasons(steps: list[Step], most: int = 4) -> list[str]:
    """Reasons of folded steps, without repeats; the rest is counted."""
    if steps[0].action in ("reuse", "in place"):
        return steps[0].note.split("\n") if steps[0].note else []
    found = [reason for step in steps for reason in step.reasons]
    texts = list(dict.fromkeys(reason.text() for reason in found if reason.code != "upstream_runs"))
    waits = dict.fromkeys(reason.stage for reason in found if reason.code == "upstream_runs")
    if waits:
        texts.append("waits for " + ", ".join(waits))
    if len(texts) > most:
        texts = [*texts[: most - 1], f"... and {len(texts) - most + 1} more (mldlc why)"]
    noted = steps[0].note and (not texts or steps[0].action in ("run", "maybe"))
    return [*texts, *steps[0].note.split("\n")] if noted else texts


def closing(plan: Plan) -> str:
    """The last line: counts and predicted time."""
    counts = plan.counts()
    parts = [f"{counts['run']} to run"]
    if counts["maybe"]:
        parts.append(f"{counts['maybe']} may run")
    parts.append(f"{counts['reuse']} reused")
    if counts["gate"]:
        parts.append(f"{counts['gate']} gate{'s' if counts['gate'] > 1 else ''}")
    if counts["apply"]:
        parts.append(f"{counts['apply']} to apply")
    if counts.get("in_place"):
        parts.append(f"{counts['in_place']} in place")
    if counts.get("skip"):
        parts.append(f"{counts['skip']} left out")
    text = "Plan: " + ", ".join(parts) + "."
    active = [step for step in plan.steps if step.action in ("run", "maybe", "apply")]
    known = [step.cost.seconds for step in active if step.cost and step.cost.seconds is not None]
    if active and known:
        text += f" {'About' if len(known) == len(active) else 'At least'} {duration(sum(known))}."
    if len(plan.points) > 1:
        text += f" {len(plan.points)} points, {len(plan.steps)} steps, {shared(plan)} shared."
    return text


def shared(plan: Plan) -> int:
    """Steps that several points of a sweep have in common."""
    return sum(1 for step in plan.steps if len(step.points) > 1)

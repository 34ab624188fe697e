"""Whether the stages of a search can measure what it looks for: told before anything runs, where the config says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.catalog import KINDS
from mldlc.compiler.draft import Draft, Typed
from mldlc.plan.dag import reachable
from mldlc.plan.diagnostic import Diagnostic, did_you_mean

KEY = "sweep.objective.metric"


def expected(draft: Draft, until: str | None, goals: Sequence[str]) -> list[str]:
    """Names that the stages up to `until` promise to measure on validation rows; goals that they cannot are told.

    A goal is only refused where every stage that might measure it is a shipped one that names all that it measures.
    """
    stages = draft.typed[0]
    if until is not None and until not in stages:
        return []  # told when the search begins
    live = {name: stages[name][0] for name in (_upstream(stages, until) if until else stages)}
    known = sorted({name for typed in live.values() for name in typed.measures or ()})
    if all(typed.kind in KINDS and typed.measures is not None for typed in live.values()):
        for goal in goals:
            if goal.startswith(("val_", "val.")) and goal not in known:
                draft.diagnostics.append(_refused(draft, until, goal, known))
    return known


def _upstream(stages: Mapping[str, tuple[Typed, Mapping[str, Any]]], until: str) -> set[str]:
    """The stage and all that it waits for."""
    wired: dict[str, list[str]] = {}
    for name, (_, entry) in stages.items():
        bound = (item for value in (entry.get("inputs") or {}).values() for item in _as_list(value))
        wired[name] = [stage for item in bound if (stage := item.partition(".")[0]) in stages]
    return reachable(wired, [until])


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _refused(draft: Draft, until: str | None, goal: str, known: Sequence[str]) -> Diagnostic:
    near = did_you_mean(goal, known)
    later = [name for name, (typed, _) in draft.typed[0].items() if goal in (typed.measures or ())]
    hint = f"set sweep.until={later[0]}" if later else near or f"there is: {', '.join(known) or 'nothing'}"
    assert draft.composition is not None
    provenance = draft.composition.points[0].provenance
    where = provenance.locate(KEY) or provenance.locate("sweep.objectives")
    place = f" up to '{until}'" if until else ""
    message = f"no stage{place} measures '{goal}'"
    return Diagnostic("unknown_metric", message, where=where, key=KEY, found=goal, allowed=tuple(known), hint=hint)

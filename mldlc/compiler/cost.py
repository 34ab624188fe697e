"""Pass `cost`: predicts what would run from what it took before, and holds it against the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mldlc.compiler.draft import Draft
from mldlc.compiler.files import read_json
from mldlc.plan.diagnostic import Diagnostic
from mldlc.plan.step import Cost

HISTORY = Path("cache") / "history.json"


def read_history(outputs: Path) -> dict[str, dict[str, float]]:
    """stage|kind -> {seconds, memory, data_wait, workers} of its latest execution; a cache, safe to delete."""
    return read_json(outputs / HISTORY)


def run(draft: Draft) -> None:
    """Give a cost to every node that may execute; over `scope.budget` is an error, unknown cost a warning."""
    history = read_history(draft.outputs)
    total, memory, unknown = 0.0, 0, []
    for node in draft.nodes.values():
        if node.action not in ("run", "maybe", "apply"):
            continue
        known = history.get(f"{node.stage}|{node.typed.kind}") or history.get(f"|{node.typed.kind}")
        if node.typed.advise:
            from mldlc.compiler.advice import advise

            advise(draft, node, known or {})
        if known is None:
            unknown.append(node.stage)
            continue
        node.cost = Cost(known.get("seconds"), int(known.get("memory", 0)) or None, int(known.get("bytes", 0)) or None)
        total += node.cost.seconds or 0.0
        memory = max(memory, node.cost.memory or 0)
    _check(draft, total, memory, unknown)


def _check(draft: Draft, seconds: float, memory: int, unknown: list[str]) -> None:
    budget: dict[str, Any] = draft.settings.get("budget") or {}
    limits = {"seconds": (seconds, "s"), "memory_gb": (memory / 2**30, "GB")}
    for name, (predicted, unit) in limits.items():
        limit = budget.get(name)
        if limit is None:
            continue
        key = f"scope.budget.{name}"
        if predicted > limit:
            draft.diagnostics.append(
                Diagnostic(
                    "over_budget",
                    f"predicted {predicted:.3g} {unit} is over the budget of {limit:g} {unit}",
                    where=draft.locate(key),
                    key=key,
                    found=f"{predicted:.3g}",
                    hint="reduce the work or raise the budget",
                )
            )
        elif unknown:
            stages = ", ".join(dict.fromkeys(unknown))
            draft.diagnostics.append(
                Diagnostic(
                    "unknown_cost",
                    f"{name} of {stages} is not known before a first run; the budget cannot be checked",
                    severity="warning",
                    where=draft.locate(key),
                    key=key,
                )
            )

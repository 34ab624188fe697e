"""The gate before an update: whether the deployed model is due, by the clock, by new rows or by its own metrics.

A model that went on along a stream says in its card what it has learnt: {"parts": {part: {"rows": so many of it, "end":
the row after them}}, "tick": the scheduled time that the update answered}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mldlc.plan import clock
from mldlc.plan.artifact import BEFORE
from mldlc.plan.context import Context, NotDue, StepError
from mldlc.scope.config import Bound
from mldlc.scope.gate import check_parts

SCHEME = "clock:"
Read = Callable[[str, str], Any]


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write decision.json, or raise NotDue."""
    ports = {"start": inputs["start"], "split": inputs["split"].artifact, "metrics": inputs["metrics"]}
    tick = next((str(source["token"]) for source in ctx.sources if source["uri"].startswith(SCHEME)), "")

    def read(port: str, name: str) -> Any:
        return ports[port].json(name) if ports[port] is not None else None

    due, why = judge(cfg.when.model_dump(mode="json"), cfg.parts, tick, read)
    if not due:
        raise NotDue(why)
    # what the update is keyed by: the time that it answers, no counts
    text = json.dumps({"format": "mldlc.decision/1", "decision": "due", "by": "rule", "tick": tick}, sort_keys=True)
    (ctx.out("decision") / "decision.json").write_text(text + "\n")
    ctx.summary({"decision": "due", "why": why})


def foretell(params: Mapping[str, Any], tokens: Mapping[str, str], read: Read) -> tuple[bool | None, str]:
    """What the plan can tell already, None where that hangs on what is not known yet. read: see `StepSpec.decide`."""
    tick = next((token for uri, token in tokens.items() if uri.startswith(SCHEME)), "")
    try:
        return judge(params["when"], params["parts"], tick, read)
    except StepError:
        return None, ""  # the run tells it


def judge(when: Mapping[str, Any], parts: str | Sequence[str], tick: str, read: Read) -> tuple[bool | None, str]:
    """Whether an update is due, and why. tick: the last scheduled time, "" without a schedule."""
    card, split = read("start", "model.json"), read("split", "manifest.json")
    if card is None:
        return None, ""
    learnt = card.get("learnt") or {}
    new = None if split is None else new_rows(split["counts"], parts, learnt)
    if new is not None and new <= 0:
        return False, "not due: no new rows"
    asked = [_by_clock(when["schedule"], tick, learnt.get("tick", "")), _by_rows(when["new_rows"], new)]
    asked += _by_bounds(when["bounds"], read("metrics", "metrics.json")) if when["bounds"] else []
    asked = [item for item in asked if item[1]]
    if not asked:
        return (None, "") if new is None else (True, f"due: {new:,} new rows")
    if new is not None and (found := [text for due, text in asked if due]):
        return True, f"due: {'; '.join(found)}"
    if any(due is not False for due, _ in asked):
        return None, ""
    return False, f"not due: {'; '.join(text for _, text in asked)}"


def new_rows(counts: Mapping[str, int], parts: str | Sequence[str], learnt: Mapping[str, Any]) -> int:
    """Rows of the stream's parts that were not there when the model was updated; all of them before its first time."""
    names = [name for name in counts if name not in BEFORE] if parts == "all" else parts
    before = learnt.get("parts", {})
    return sum(counts.get(name, 0) - int(before.get(name, {}).get("rows", 0)) for name in names)


def _by_clock(schedule: str | None, tick: str, since: str) -> tuple[bool | None, str]:
    if schedule is None:
        return False, ""
    if not tick:
        return None, f"schedule {schedule}"
    if tick > since:
        return True, f"scheduled for {tick}"
    return False, f"updated for {since}, next at {clock.following(schedule, tick)}"


def _by_rows(wanted: int | None, new: int | None) -> tuple[bool | None, str]:
    if wanted is None:
        return False, ""
    if new is None:
        return None, f"{wanted:,} new rows"
    return new >= wanted, f"{new:,} new rows of {wanted:,}"


def _by_bounds(bounds: Mapping[str, Any], metrics: Any) -> list[tuple[bool | None, str]]:
    if metrics is None:
        return [(None, "bounds")]
    limits = {part: {name: Bound(**bound) for name, bound in wanted.items()} for part, wanted in bounds.items()}
    return [
        (not item["ok"], item["text"] if not item["ok"] else f"{item['what']} holds")
        for item in check_parts(metrics, limits, "update.when.bounds")
    ]

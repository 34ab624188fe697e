"""What the plan says beside a training, and picks: its strategy, where its table is held, threads that read it ahead.

Light. The last run counts: one that waited long for data is given a thread more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.plan.advice import Advice, Outlook
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean
from mldlc.training.hold import budget, choose, shown
from mldlc.training.placing import choose as choose_strategy
from mldlc.training.placing import question, too_large
from mldlc.training.toolchain import missing_compiler

WORTH = 0.1  # share of the time of the steps from which waiting for data is worth a word


def advise(params: Mapping[str, Any], outlook: Outlook) -> Advice:
    """What can be told of a training, and what the plan sets for it."""
    line, picks = _fed(params["ingest"], outlook.sizes.get("table"), outlook.last)
    chosen = _strategy(params, outlook) if params["trainer"]["strategy"] == "auto" else Advice()
    lacking = missing_compiler() if params["trainer"]["compile"] else None
    errors = (*chosen.errors, *((lacking,) if lacking else ()))
    return Advice(_line(line, chosen.note), picks, chosen.facts, errors)


def advise_update(params: Mapping[str, Any], outlook: Outlook) -> Advice:
    """An error for the first column of the guard that the prepared table does not have, ahead of the training."""
    columns = (params["update"].get("guard") or {}).get("columns")
    manifest = outlook.read("table", "manifest.json") if columns else None
    if manifest is None:
        return Advice()
    error = unknown_input(columns, [column["name"] for column in manifest["info"]["categorical"]])
    return Advice(errors=(error,) if error is not None else ())


def unknown_input(wanted: Sequence[str], known: Sequence[str]) -> StepError | None:
    """What is wrong with the columns of a guard."""
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known) or f"categorical inputs: {', '.join(known) or 'none'}"
            return StepError(f"there is no categorical input '{name}'", where="update.guard.columns", hint=hint)
    return None


def _fed(
    ingest: Mapping[str, Any], size: int | None, last: Mapping[str, float]
) -> tuple[str, dict[str, dict[str, Any]]]:
    """(one line or "", values that the plan sets: group -> key -> value)."""
    waited = last.get("data_wait", 0.0)
    told = f"the last run waited {waited:.0%} of its steps for data" if waited >= WORTH else ""
    if ingest["kind"] != "streaming":
        return _line(_too_large(size), told and f"{told}: try a larger ingest.batch_size"), {}
    if ingest["workers"] is not None:
        return _line(_held(ingest, size), told and f"{told}: try ingest.workers=null or ingest.hold=memory"), {}
    workers = _workers(last)
    reads = f"{workers} threads read ahead" if workers > 1 else ""
    return _line(_held(ingest, size), ": ".join(filter(None, (reads, told)))), {"ingest": {"workers": workers}}


def _workers(last: Mapping[str, float]) -> int:
    """As many as in the last run, and one more where it waited and there are cores."""
    before = int(last.get("workers", 0)) or 1
    more = last.get("data_wait", 0.0) >= WORTH and before < (os.cpu_count() or 1)
    return before + more


def _line(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _strategy(params: Mapping[str, Any], outlook: Outlook) -> Advice:
    """The table of `mldlc.training.placing`, from what another process measures."""
    asked = question(params, outlook.read)
    if asked is None:
        return Advice("strategy: auto, known after probe (its table is not prepared yet)", facts={"strategy": None})
    footprint = outlook.ask("mldlc.training.footprint:answer", asked)
    if "failed" in footprint:
        where, hint = footprint.get("where") or "trainer.strategy", footprint.get("hint", "name one: trainer=ddp")
        return Advice(errors=(StepError(footprint["failed"], where=where, hint=hint),))
    choice = choose_strategy(params, footprint)
    if choice.strategy:
        return Advice(choice.text(), facts=choice.facts())
    return Advice(choice.text(), facts=choice.facts(), errors=(too_large(choice),))


def _held(ingest: Mapping[str, Any], size: int | None) -> str:
    if size is None and ingest["hold"] == "auto":
        return "ingest: in memory or from disk, known after prepare"
    where, why = choose(ingest["hold"], size or 0, budget(ingest["memory_gb"]))
    return f"ingest: {'in memory' if where == 'memory' else 'from disk'} ({why})"


def _too_large(size: int | None) -> str:
    limit = budget(None)
    if size is None or size <= limit:
        return ""
    return f"its table ({shown(size)}) may not fit into memory ({shown(limit)}): ingest=auto reads it from disk"

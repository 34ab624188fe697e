"""The engine's entry: execute a plan, and say how it ended. What it writes lies under the outputs folder."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mldlc.engine import approvals
from mldlc.engine.dag import capacity
from mldlc.engine.freeze import freeze, frozen
from mldlc.engine.journal import Journal
from mldlc.engine.measured import by_part
from mldlc.engine.provenance import provenance
from mldlc.engine.result import Event, Options, Result, StepResult, counts
from mldlc.engine.scheduler import Scheduler
from mldlc.engine.step_file import Setting
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step
from mldlc.store.layout import open_store
from mldlc.store.repository import connection, is_versioned

__all__ = ["Event", "Options", "Result", "StepResult", "execute"]


def execute(
    plan: Plan, outputs: Path, options: Options, listener: Callable[[Event], None], stop: threading.Event
) -> Result:
    """Execute `plan`; what is already in the store is not executed again, so the same call resumes.

    listener: called in this thread for every event; it must be quick. stop: set it to stop the run (it is cleared
    when seen; set again, running steps are killed at once). DiagnosticError: outputs that cannot be written, or code
    that changed after the plan was made. Failures of steps are in the result, never raised.
    """
    outputs = Path(outputs).absolute()
    started, clock = time.time(), time.perf_counter()
    store = open_store(outputs)
    executor: dict[str, Any] = plan.settings.get("executor") or {}
    roots = _frozen(plan, outputs) if any(_needs_worker(step) for step in plan.steps) else {}
    journal = Journal(outputs, plan)
    cpus = len(os.sched_getaffinity(0))
    setting = Setting(
        run=journal.run,
        plan=plan.id,
        outputs=str(outputs),
        threads=executor.get("threads") or cpus,
        approvals=approvals.folders(plan.settings, plan.config.root, outputs),
        provenance=provenance(plan, journal.run),
        lakefs=connection(plan.blobs.get(plan.points[0].config) if plan.points else None),
        pins=_pins(plan),
        roots=roots,
    )
    slots = capacity(options.jobs or executor.get("jobs"), executor, cpus, _memory())
    scheduler = Scheduler(plan, store, setting, slots, options, journal, listener, stop)
    scheduler.emit("run_started", plan=plan.id, name=plan.name, run=journal.run, steps=len(plan.steps), pid=os.getpid())
    status = scheduler.run()
    steps = {step.id: scheduler.results[step.id] for step in plan.steps}
    metrics = by_part((step, scheduler.results[step.id].summary) for step in plan.steps)
    if journal.broken is not None:
        scheduler.emit("log", level="warning", text=f"the journal is not complete: {journal.broken.strerror}")
    result = Result(journal.run, plan.id, status, steps, counts(steps), metrics, time.perf_counter() - clock)
    scheduler.emit("run_finished", status=status, counts=result.counts, metrics=metrics, seconds=result.seconds)
    journal.close(result, started, plan.name)
    return result


def _needs_worker(step: Step) -> bool:
    return step.action not in ("reuse", "skip", "in place") and (step.needs.process != "inline" or ":" in step.kind)


def _frozen(plan: Plan, outputs: Path) -> dict[str, str]:
    """Live code root -> its frozen copy. A plan of a git revision has frozen its code already."""
    cache = outputs / "cache" / "code"
    if plan.config.rev:
        return {root: str(frozen(root, digest, cache)) for root, digest in plan.snapshot.code.items()}
    return {root: str(freeze(Path(root), digest, cache)) for root, digest in plan.snapshot.code.items()}


def _pins(plan: Plan) -> dict[str, str]:
    """Versioned address -> commit, of branches that must not move under the run; what a lock holds may be old."""
    held = {source.uri for step in plan.steps for source in step.sources if source.held}
    return {uri: commit for uri, commit in plan.snapshot.refs.items() if is_versioned(uri) and uri not in held}


def _memory() -> int:
    """Bytes of RAM."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

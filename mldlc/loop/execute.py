"""One turn of the loop: execute a plan, then keep what the next plan wants to know (last plan, costs, the report)."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mldlc.compiler.cost import HISTORY, read_history
from mldlc.engine.execute import Options, execute
from mldlc.engine.result import Event, Result
from mldlc.loop.measured import inserted, measures
from mldlc.plan.plan import Plan
from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files

if TYPE_CHECKING:
    from mldlc.loop.pins import Pinning

SMALL = 200  # executed steps: the events of a larger run are told when asked for, by `mldlc lineage --openlineage`

REPLANS = 3


def run_settled(
    plan: Plan,
    again: Callable[[], Plan] | None,
    options: Options,
    listener: Callable[[Event], None],
    stop: threading.Event,
) -> tuple[Plan, Result, Path | None]:
    """Execute `plan`; where a branch moved under what was read, plan `again` and execute that, at most REPLANS times.

    Gives the plan that was executed last, its result and its report page. again: None for a saved plan.
    """
    for turn in range(REPLANS + 1):
        result, page = run_plan(plan, options, listener, stop)
        stale = [
            step.error["message"] for step in result.steps.values() if (step.error or {}).get("type") == "StaleRead"
        ]
        if not stale or again is None or stop.is_set() or turn == REPLANS:
            break
        listener(Event("planned_again", time.time(), "", {"because": stale[0]}))
        plan = again()
    return plan, result, page


def run_plan(
    plan: Plan, options: Options, listener: Callable[[Event], None], stop: threading.Event
) -> tuple[Result, Path | None]:
    """Execute `plan`; gives the result and the run's report page, if one was made."""
    gc.freeze()  # what compiling made lives as long as the run
    gc.enable()
    outputs = Path(plan.outputs)
    open_store(outputs)
    pinned: list[Pinning] = []

    def heard(event: Event) -> None:
        if event.type == "run_started" and plan.changes():
            from mldlc.loop.pins import Pinning

            pinned.append(Pinning(plan, outputs / "runs" / event.data["run"]))
        listener(event)

    result = execute(plan, outputs, options, heard, stop)
    for pinning in pinned:
        if problem := pinning.finish():
            listener(Event("log", time.time(), "", {"level": "warning", "text": problem}))
    _tell_lineage(result, outputs)
    _write(outputs / "plans" / f"{plan.name}.json", (outputs / "runs" / result.run / "plan.json").read_text())
    _remember_costs(plan, result, outputs)
    return result, _report(plan, result, outputs)


def _tell_lineage(result: Result, outputs: Path) -> None:
    """OpenLineage events of a run that executed something, and not so much that telling it takes time."""
    executed = sum(step.status in ("ran", "applied", "failed", "waiting", "rejected") for step in result.steps.values())
    if 0 < executed <= SMALL:
        from mldlc.loop.openlineage import write_events

        with contextlib.suppress(OSError):
            write_events(outputs, result.run)


def _remember_costs(plan: Plan, result: Result, outputs: Path) -> None:
    history = read_history(outputs)
    for step in plan.steps:
        done = result.steps.get(step.id)
        if done is None or done.status not in ("ran", "applied"):
            continue
        row = {"seconds": round(done.seconds, 3), "memory": float(done.memory)}
        known = {name: done.summary.get(name) for name in ("data_wait", "workers")}
        row |= {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
        history[f"{step.stage}|{step.kind}"] = row
        history[f"|{step.kind}"] = row
    with contextlib.suppress(OSError):
        _write(outputs / HISTORY, json.dumps(history))


def _report(plan: Plan, result: Result, outputs: Path) -> Path | None:
    """Put the pages of the report steps into the run's folder; gives the sweep's own, else the last one.

    A page gets what this run measured; one that was reused, with all that it shows, is a link.
    """
    store = open_store(outputs)
    page: Path | None = None
    for step in plan.steps:
        digest = result.steps[step.id].digests.get("report") if step.id in result.steps else None
        if step.kind not in ("report.report", "report.sweep") or digest is None:
            continue
        whole = len(plan.points) == 1 or step.scope == "sweep"
        link = outputs / "runs" / result.run / ("report.html" if whole else f"report-{step.points[0]}.html")
        file = tree_files(store, digest)["report.html"]
        if section := measures(plan, result, None if whole else step.points[0]):
            link.write_text(inserted(file.read_text("utf-8"), section), "utf-8")
        else:
            with contextlib.suppress(FileExistsError):
                os.link(file, link)
        page = page if page is not None and page.name == "report.html" else link
    return page


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(temp).chmod(0o644)
    Path(temp).replace(path)

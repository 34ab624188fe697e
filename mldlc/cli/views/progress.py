"""What a run shows: live rows on a terminal, plain lines in a pipe, NDJSON with --json, of one event stream."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mldlc.cli.frame import emit
from mldlc.cli.views.style import duration, size
from mldlc.engine.result import Event
from mldlc.plan.codec import encode
from mldlc.plan.plan import Plan

Listener = Callable[[Event], None]
QUIET = ("progress", "metric")


@contextmanager
def listener(plan: Plan, as_json: bool) -> Iterator[Listener]:
    """The listener that fits the terminal; restores the terminal at the end."""
    if as_json:
        yield _both(plan)
    elif sys.stdout.isatty():
        with _live(plan) as show:
            yield show
    else:
        yield Lines(plan, sys.stdout)


def _both(plan: Plan) -> Listener:
    text = Lines(plan, sys.stderr)
    lock = threading.Lock()

    def show(event: Event) -> None:
        with lock:
            emit({"type": event.type, "time": event.time, "step": event.step, **encode(event.data)})
            text(event)

    return show


class Lines:
    """Plain lines: one when a step starts, one when it ends."""

    def __init__(self, plan: Plan, stream: Any) -> None:
        self.plan, self.stream = plan, stream
        self.width = max([len(step.id) for step in plan.steps] + [8])

    def __call__(self, event: Event) -> None:
        if event.type in QUIET:
            return
        text = describe(event)
        if text:
            print(f"{event.step:<{self.width}}  {text}" if event.step else text, file=self.stream, flush=True)


def describe(event: Event) -> str:
    """An event as one phrase; "" for events that say nothing to a person."""
    data = event.data
    match event.type:
        case "step_started":
            return "started"
        case "step_reused":
            return "reused" + (" (upstream ran again, same bytes)" if data.get("cutoff") else "")
        case "step_finished":
            peak = f", peak {size(data['memory'])}" if data.get("memory") else ""
            return f"done in {duration(float(data.get('seconds', 0)))}{peak}"
        case "effect_applied":
            return f"applied in {duration(float(data.get('seconds', 0)))}"
        case "step_failed":
            return "FAILED: " + error_text(data.get("error") or data)
        case "planned_again":
            return f"planning again: {data['because']}"
        case "step_retry":
            return f"retry: {error_text(data.get('error') or data)}"
        case "step_skipped":
            because = data.get("because", "")
            return "" if because == "not selected" else f"skipped: {because or 'something before it failed'}"
        case "step_waiting":
            holder = data.get("holder") or {}
            return (
                f"waits for run {holder.get('run', '?')} (pid {holder.get('pid', '?')}), which executes the same step"
            )
        case "gate_waiting":
            gate = data.get("stage") or event.step
            return f"waits for a decision: mldlc approve {gate} | mldlc reject {gate}"
        case "gate_rejected":
            return f"rejected: {data.get('why', '')}"
        case "log" if data.get("level") in ("warning", "error", "critical"):
            return f"{data['level']}: {data.get('text', '')}"
    return ""


def error_text(error: dict[str, Any]) -> str:
    """A step's error for a person: message, place, hint, trimmed traceback, log."""
    text = str(error.get("message", "failed"))
    if error.get("where"):
        text = f"{error['where']}: {text}"
    if error.get("hint"):
        text += f"; {error['hint']}"
    for line in str(error.get("traceback") or "").rstrip().splitlines():
        text += f"\n    {line}"
    if error.get("log"):
        text += f"\n    log: {error['log']}"
    return text


@contextmanager
def _live(plan: Plan) -> Iterator[Listener]:
    """A rich progress display: finished steps scroll up, running ones have a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(24),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, Any] = {}
    width = max([len(step.id) for step in plan.steps] + [8])
    marks = {
        "step_failed": "red",
        "gate_rejected": "red",
        "gate_waiting": "magenta",
        "step_reused": "dim",
        "step_finished": "green",
    }
    with Progress(*columns, console=console, transient=True) as progress:

        def show(event: Event) -> None:
            if event.type == "step_started":
                tasks[event.step] = progress.add_task(f"{event.step:<{width}}", total=None, text="")
            elif event.type == "progress" and event.step in tasks:
                data = event.data
                progress.update(
                    tasks[event.step], completed=data.get("done", 0), total=data.get("total"), text=data.get("text", "")
                )
            elif event.type == "metric" and event.step in tasks:
                progress.update(tasks[event.step], text=f"{event.data.get('name')} {event.data.get('value', 0):.4g}")
            elif event.type not in QUIET:
                if event.step in tasks and event.type not in ("step_waiting", "step_retry", "log"):
                    progress.remove_task(tasks.pop(event.step))
                text = describe(event)
                if text:
                    console.print(f"{event.step:<{width}}  {text}", style=marks.get(event.type), markup=False)

        yield show

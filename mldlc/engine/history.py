"""Past and live runs, read from their folders: the summary of a finished run, the journal of any other."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mldlc.engine.journal import NAME, SUMMARY
from mldlc.engine.result import COUNTED, Event
from mldlc.plan.diagnostic import did_you_mean, fail

ENDED = {
    "step_finished": "ran", "step_reused": "reused", "effect_applied": "applied", "step_failed": "failed",
    "step_skipped": "skipped", "gate_waiting": "waiting", "gate_rejected": "rejected",
}  # fmt: skip


@dataclass(frozen=True)
class RunInfo:
    """One run. status: of its result; `running` while its process lives, `interrupted` when that was killed.

    started: UNIX seconds. seconds: wall time (so far). steps: id -> {status, stage, seconds, digests, ...}.
    """

    run: str
    folder: Path
    status: Literal["ok", "failed", "rejected", "waiting", "stopped", "running", "interrupted"]
    plan: str = ""
    name: str = ""
    started: float = 0.0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)


def runs(outputs: Path) -> list[RunInfo]:
    """Every run under an outputs folder, oldest first."""
    folder = Path(outputs) / "runs"
    names = sorted(entry.name for entry in folder.iterdir() if (entry / NAME).exists()) if folder.is_dir() else []
    return [read_run(outputs, name) for name in names]


def read_run(outputs: Path, run: str) -> RunInfo:
    """One run by its id, an unambiguous start of it, or `latest`. DiagnosticError `unknown_run`."""
    folder = find(outputs, run)
    try:
        data = json.loads((folder / SUMMARY).read_bytes())
    except (OSError, ValueError):
        return _from_journal(folder)
    stages = {event.step: event.data.get("stage", "") for event in events(folder)} if data.get("steps") else {}
    steps = {id: {"stage": stages.get(id, ""), **step} for id, step in data.get("steps", {}).items()}
    return RunInfo(
        folder.name, folder, data["status"], data["plan"], data.get("name", ""), data["started"], data["seconds"],
        data["counts"], data.get("metrics", {}), steps,
    )  # fmt: skip


def find(outputs: Path, run: str) -> Path:
    """The folder of a run."""
    root = Path(outputs) / "runs"
    folder = (Path(outputs) / "latest").resolve() if run == "latest" else root / run
    if run and (folder / NAME).exists():
        return folder
    if "=" in run:
        hint = "mldlc run and plan take overrides; outputs elsewhere: --outputs DIR"
        raise fail("unknown_run", f"'{run}' is an override, and this takes a run", found=run, hint=hint)
    known = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
    if not known:
        raise fail("unknown_run", f"there is no run under {root}", found=run, hint="mldlc run makes one")
    starting = [name for name in known if run and name.startswith(run)]
    if len(starting) == 1:
        return root / starting[0]
    hint = f"it could be {', '.join(starting[:3])}" if starting else did_you_mean(run, known)
    raise fail("unknown_run", f"there is no run '{run}' under {root}", found=run, hint=hint or "mldlc ls runs")


def events(folder: Path, start: int = 0) -> Iterator[Event]:
    """Events in a journal from byte `start`. A last line that a crash cut off does not count."""
    with (folder / NAME).open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                data = json.loads(line)
            except ValueError:
                continue
            yield Event(data["type"], data["time"], data["step"], data["data"])


def follow(outputs: Path, run: str, poll: float = 0.1) -> Iterator[Event]:
    """All events of a run, and those to come while it lives."""
    folder = find(outputs, run)
    read = 0
    while True:
        live = alive(folder)  # asked before reading: what a run wrote before it died is still delivered
        with (folder / NAME).open("rb") as file:
            file.seek(read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        for event in events(folder, read) if whole else ():
            yield event
            if event.type == "run_finished":
                return
        read += len(whole)
        if not live:
            return
        time.sleep(poll)


def alive(folder: Path) -> bool:
    """Whether the process of this run still holds its journal."""
    descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _from_journal(folder: Path) -> RunInfo:
    """A run without a summary: it lives, or it was killed."""
    status: Any = "running" if alive(folder) else "interrupted"
    plan = name = ""
    started = last = 0.0
    steps: dict[str, dict[str, Any]] = {}
    counts = {"run": 0, "reuse": 0, "skip": 0, "failed": 0, "gate": 0, "applied": 0}
    metrics: dict[str, Any] = {}
    for event in events(folder):
        last = event.time
        if event.type == "run_started":
            plan, name, started = event.data.get("plan", ""), event.data.get("name", ""), event.time
        elif event.type == "run_finished":
            status, metrics = event.data["status"], event.data.get("metrics", {})
        elif event.type == "step_started":
            steps[event.step] = {"status": "running", "started": event.time, **event.data}
        elif event.type in ENDED:
            steps[event.step] = {**steps.get(event.step, {}), **event.data, "status": ENDED[event.type]}
    for step in steps.values():
        if step["status"] in COUNTED:
            counts[COUNTED[step["status"]]] += 1
        elif step["status"] == "running" and status != "running":
            step["status"] = "interrupted"
    end = time.time() if status == "running" else last
    return RunInfo(folder.name, folder, status, plan, name, started, max(0.0, end - started), counts, metrics, steps)


def plan_keys(outputs: Path) -> set[str]:
    """Keys that live runs count on, of their plan and come to light since: garbage collection keeps them."""
    folder = Path(outputs) / "runs"
    keys: set[str] = set()
    for run in folder.iterdir() if folder.is_dir() else ():
        if (run / NAME).exists() and alive(run):
            plan = json.loads((run / "plan.json").read_bytes())
            keys |= {step["key"] for step in plan["steps"] if step.get("key")}
            keys |= {event.data["key"] for event in events(run) if event.data.get("key")}
    return keys

"""What a caller of the engine sees: options in, events while it runs, a result at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = "mldlc.run/1"
StepStatus = Literal["ran", "reused", "applied", "in_place", "failed", "skipped", "waiting", "rejected", "stopped"]
RunStatus = Literal["ok", "failed", "rejected", "waiting", "stopped"]
COUNTED = {
    "ran": "run", "reused": "reuse", "in_place": "reuse", "skipped": "skip", "failed": "failed", "waiting": "gate",
    "rejected": "gate", "applied": "applied",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How to execute.

    jobs: at most so many worker processes at once (None: the CPUs of this machine). on_error: `fail_fast` starts
    nothing new after a failure or a gate's no (what runs may finish), `keep_going` goes on with what does not depend
    on it.
    retries: of failures that may pass by themselves. grace: seconds that steps get to stop.
    dropped: ids of steps to end early, which the listener adds while they run; what hangs on them is skipped.
    """

    jobs: int | None = None
    on_error: Literal["fail_fast", "keep_going"] = "fail_fast"
    retries: int = 1
    grace: float = 20.0
    dropped: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Event:
    """One line of the journal. time: UNIX seconds. step: id of the step, "" for the run."""

    type: str
    time: float
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepResult:
    """How one step ended. seconds: wall; cpu: CPU seconds; memory: peak RSS in bytes."""

    status: StepStatus
    digests: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    error: dict[str, Any] | None = None
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How the run ended. metrics: see `mldlc.engine.measured`. seconds: wall time of the run."""

    run: str
    plan: str
    status: RunStatus
    steps: dict[str, StepResult]
    counts: dict[str, int]
    metrics: dict[str, Any]
    seconds: float


def counts(steps: dict[str, StepResult]) -> dict[str, int]:
    """Number of steps by outcome, under the names of the machine contract; all names are always there."""
    out = {"run": 0, "reuse": 0, "skip": 0, "failed": 0, "gate": 0, "applied": 0}
    for step in steps.values():
        name = COUNTED.get(step.status)
        if name:
            out[name] += 1
    return out

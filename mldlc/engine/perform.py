"""One execution of one key, the same in a worker and inline: lease, look again, run, put, commit. In this order."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mldlc.engine import failure, inputs, step_file
from mldlc.engine.context import Say, StepContext
from mldlc.engine.objects import ObjectPort
from mldlc.engine.step_file import StepFile
from mldlc.engine.usage import Usage
from mldlc.plan.context import Cancelled, GateRejected, GateWaiting, NotDue, StepError
from mldlc.plan.record import Output, Record

HOST = platform.node()


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. busy: another process holds the key. evidence, digest: of a gate that is not open."""

    status: Literal["ran", "reused", "applied", "busy", "failed", "waiting", "rejected", "not_due", "stopped"]
    outputs: dict[str, Output] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    digest: str = ""


@dataclass
class Surroundings:
    """What the process around an execution provides. secrets fills up with texts that must not leave the process."""

    work: Path
    say: Say
    cancelled: Callable[[], bool]
    log: logging.Logger
    sampled: bool = True
    folder: Callable[[], Path] | None = None
    secrets: list[str] = field(default_factory=list)


def perform(file: StepFile, port: ObjectPort, around: Surroundings) -> Outcome:
    """Execute one step file. The record is written last, by `port.commit`, which also ends the lease."""
    lease = port.lease(file.key)
    if lease is None:
        return Outcome("busy")
    handed = False
    try:
        if file.purity != "effect" and not file.forced:
            record = port.find(file.key)
            if record is not None:
                return Outcome("reused", record.outputs, record.seconds, record.cpu, record.memory, record.summary)
        usage = Usage(around.sampled)
        try:
            outputs, facts = _run(file, port, around)
            usage.stop()
            if file.purity == "effect":
                return Outcome("applied", outputs, usage.seconds, usage.cpu, usage.memory, facts)
            port.commit(_record(file, outputs, facts, usage), lease)
            handed = True
            return Outcome("ran", outputs, usage.seconds, usage.cpu, usage.memory, facts)
        except BaseException as error:
            usage.stop()
            return _ended(error, file, around, usage)
    finally:
        if not handed:
            lease.release()


def _run(file: StepFile, port: ObjectPort, around: Surroundings) -> tuple[dict[str, Output], dict[str, Any]]:
    cfg = inputs.config(file, around.secrets)
    ctx = StepContext(file, port, around.work, around.say, around.cancelled, around.log, around.folder)
    ready = inputs.readers(file, port, around.work / "views")
    inputs.implementation(file.impl)(ctx, cfg, ready)
    now = tuple(step_file.stamp(path) for source in file.sources for path in source.paths)
    if file.stamps and now != file.stamps:
        raise StepError("a source changed while it was read", where=_names(file), hint="run the same command again")
    outputs = {name: port.put(ctx.out(name), kind, ctx.adopted(name)) for name, kind in file.outputs.items()}
    return outputs, ctx.facts


def _names(file: StepFile) -> str:
    return ", ".join(source.name for source in file.sources)


def _record(file: StepFile, outputs: dict[str, Output], facts: dict[str, Any], usage: Usage) -> Record:
    bound = {name: {item.label: item.digest for item in port.items} for name, port in file.inputs.items()}
    return Record(
        key=file.key, recipe=file.recipe, kind=file.kind, stage=file.stage, outputs=outputs, inputs=bound,
        tokens=file.tokens(), identity=file.identity, code=file.code, packages=file.packages, run=file.setting.run,
        plan=file.setting.plan, started=usage.started, seconds=usage.seconds, cpu=usage.cpu, memory=usage.memory,
        host=HOST, summary=facts,
    )  # fmt: skip


def _ended(error: BaseException, file: StepFile, around: Surroundings, usage: Usage) -> Outcome:
    spent: dict[str, Any] = {"seconds": usage.seconds, "cpu": usage.cpu, "memory": usage.memory}
    match error:
        case GateWaiting():
            return Outcome("waiting", evidence=error.evidence, digest=error.digest, **spent)
        case GateRejected():
            told = {"type": "GateRejected", "message": error.why, "where": file.stage}
            return Outcome("rejected", error=told, evidence=error.evidence, digest=error.digest, **spent)
        case NotDue():
            return Outcome("not_due", summary={"why": error.why}, **spent)
        case Cancelled():
            return Outcome("stopped", **spent)
    if around.cancelled():  # a framework's own way to stop (SIGTERMException, KeyboardInterrupt) ends here too
        around.log.info("stopped: %s", type(error).__name__)
        return Outcome("stopped", **spent)
    if not isinstance(error, StepError | failure.Told):
        around.log.error("the step failed\n%s", failure.full_text(error))
    told = failure.describe(error, around.work, file.predicted, file.setting.roots)
    return Outcome("failed", error=told, **spent)

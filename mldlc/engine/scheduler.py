"""Walks a plan: decides step by step, hands executions to inline or to workers, and follows up on how they end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mldlc.engine import approvals, failure, step_file
from mldlc.engine.dag import Dag, Slots
from mldlc.engine.inline import Inline
from mldlc.engine.journal import Journal
from mldlc.engine.perform import Outcome
from mldlc.engine.pool import Message, Pool, Worker
from mldlc.engine.resolve import Resolver
from mldlc.engine.result import Event, Options, RunStatus, StepResult, StepStatus
from mldlc.engine.step_file import Setting, StepFile
from mldlc.plan.codec import decode
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from mldlc.plan.record import Record
from mldlc.plan.step import Step
from mldlc.store import leases, records
from mldlc.store.layout import Store

TICK = 0.1  # seconds between looks at the stop event and at leases held elsewhere
BACKOFF = 0.5  # seconds before the first retry; doubles


class Scheduler:
    """One run. `run()` gives its status; `results` then has every step."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        setting: Setting,
        slots: Slots,
        options: Options,
        journal: Journal,
        listener: Callable[[Event], None],
        stop: threading.Event,
    ) -> None:
        self.plan, self.store, self.setting, self.options = plan, store, setting, options
        self.journal, self.listener, self.stop = journal, listener, stop
        self.dag = Dag(plan.steps, slots)
        self.resolver = Resolver(plan, setting)
        self.steps = self.resolver.steps
        self.results: dict[str, StepResult] = {}
        self.files: dict[str, StepFile] = {}
        self.tries: dict[str, int] = {}
        self.later: dict[str, float] = {}  # step -> when to look again: a lease held elsewhere, a retry, a hash
        self.busy: set[str] = set()  # steps whose key another run holds
        self.halted = False
        self.ending: set[str] = set()  # dropped steps that were asked to stop
        self.deadline: float | None = None
        outputs = Path(setting.outputs)
        owner = {"run": setting.run, "pid": str(os.getpid()), "host": os.uname().nodename}
        self.inline = Inline(store, owner, journal.log)
        self.pool = Pool(outputs, setting.run, journal.folder / "logs" / "workers.txt", setting.roots, setting.threads)

    def run(self) -> RunStatus:
        """Walk until every step has an end."""
        try:
            self._warm()
            while self.dag.open:
                self._check_stop()
                moved = self._decide()
                moved |= self._start()
                self.commit()
                self.journal.flush()
                if self.dag.open and not moved:
                    self._wait()
        finally:
            self.commit()
            self.inline.port.close()
            self.resolver.close()
            self.pool.close()
        return self._status()

    def emit(self, type: str, step: str = "", **data: Any) -> None:
        """One event to the journal and to the listener."""
        event = Event(type, time.time(), step, data)
        self.journal.write(event)
        self.listener(event)

    # -- deciding ------------------------------------------------------------------------------------------------

    def _warm(self) -> None:
        """A fresh step is to come: its process imports what it needs while earlier stages run."""
        for step in self.plan.steps:
            waits = step.id not in self.results and step.id not in self.dag.running
            if waits and step.needs.process == "fresh" and step.action in ("run", "maybe"):
                self.pool.warm(step.needs.preload)
                return
        self.pool.no_more_fresh()

    def _decide(self) -> bool:
        """Settle every step that is ready; whether there was any."""
        moved = False
        now = time.monotonic()
        for put_off, when in list(self.later.items()):
            if when <= now and put_off in self.later:
                del self.later[put_off]
                moved |= self._settle(self.steps[put_off])
        while not self.halted and (ready := self.dag.ready()) is not None:
            moved = True
            self._settle(self.steps[ready])
            if self.stop.is_set():
                break
            if self.inline.port.due():
                self.commit()
                self.journal.flush()
                for message in self.pool.wait(0.0):
                    self._heard(message)
        return moved

    def _settle(self, step: Step) -> bool:
        """Reuse it, run it inline, queue it, or look at it later (False)."""
        match step.action:
            case "skip":
                why = {"because": step.note or "not selected"}
                self._finish(step, StepResult("skipped", dict(step.digests)), "step_skipped", **why)
                return True
            case "in place":
                self._finish(step, StepResult("in_place", dict(step.digests)), "step_reused", note=step.note)
                return True
            case "reuse":
                self._planned_reuse(step)
                return True
        if self.resolver.hashing(step):
            self.later[step.id] = time.monotonic() + 0.02
            return False
        file = self._file(step)
        if file is None:
            return True
        seen = file.key in self.inline.port.known or file.key in self.inline.port.pending
        record = None if file.forced or file.purity == "effect" else self.inline.port.find(file.key)
        if record is not None:
            self._cut_off(step, record, seen)
        elif step.id in self.busy and leases.holder(self.store, file.key) is not None:
            self.later[step.id] = time.monotonic() + TICK
            return False
        elif step.needs.process == "inline" and ":" not in step.kind:
            if file.purity == "effect":
                self.commit()  # nothing goes out of the house before what it rests on is durable
            outcome = self.inline.execute(file, lambda t, d: self.emit(t, step.id, **d), self._stopping)
            self._ended(step, outcome)
        else:
            self.files[step.id] = file
            self.dag.queue(step.id)
        return True

    def _planned_reuse(self, step: Step) -> None:
        record = records.read_record(self.store, step.key) if step.key else None
        digests = {port: out.digest for port, out in record.outputs.items()} if record else dict(step.digests)
        if step.key:
            self.resolver.keys[step.id] = step.key
            records.touch_record(self.store, step.key)
        self._finish(step, _from_record("reused", digests, record), "step_reused", key=step.key)

    def _cut_off(self, step: Step, record: Record, seen: bool) -> None:
        """The plan could not know: equal bytes upstream, or another run made it meanwhile. seen: by this run."""
        if not seen:
            records.touch_record(self.store, record.key)
        digests = {port: out.digest for port, out in record.outputs.items()}
        self._finish(step, _from_record("reused", digests, record), "step_reused", key=record.key, cutoff=True)

    def _file(self, step: Step) -> StepFile | None:
        try:
            return self.resolver.file(step)
        except KeyError as error:
            parent, port = error.args
            message = f"output '{port}' of stage '{self.steps[parent].stage}' is not known"
            told = {"type": "MissingInput", "message": message, "where": step.stage, "hint": "plan again"}
        except DiagnosticError as error:
            told = {"type": "Diagnostic", "message": str(error), "where": step.stage, "hint": ""}
        self._fail(step, StepResult("failed", error=told))
        return None

    # -- executing -----------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Give queued steps to workers as far as slots are free."""
        moved = False
        while not self.halted and (id := self.dag.take()) is not None:
            moved = True
            self.commit()  # a worker must find the records and objects of the inline steps before it
            step, file = self.steps[id], self.files.pop(id)
            tries = self.tries[id] = self.tries.get(id, 0) + 1
            work = self.store.work / f"{self.setting.run}-{len(self.tries)}-{tries}-{file.key[:12]}"
            work.mkdir(exist_ok=True)
            step_file.write(file, work / "step.json")
            fresh = step.needs.process == "fresh"
            worker = self.pool.choose(id, "fresh" if fresh else "light", step.needs.preload)
            self.emit("step_started", id, stage=step.stage, key=file.key, tries=tries)
            self.pool.send(worker, {"do": "step", "file": str(work / "step.json"), "log": str(self.journal.log(id))})
            if fresh:
                self._warm()
        return moved

    def _wait(self) -> None:
        timeout = TICK
        if self.later:
            timeout = max(0.0, min(timeout, min(self.later.values()) - time.monotonic()))
        for message in self.pool.wait(timeout):
            self._heard(message)

    def _heard(self, message: Message) -> None:
        worker = message.worker
        match message.say:
            case "progress" | "metric" | "log":
                self.emit(message.say, message.data["step"], **message.data["data"])
            case "result":
                step = self.steps[message.data["step"]]
                self.pool.free(worker)
                if step.id in self.options.dropped and not worker.killed:
                    self.pool.kill(worker)  # it was asked to stop, and would stop its next step as well
                self.dag.release(step.id)
                self._ended(step, decode(Outcome, message.data["outcome"]))
            case "exited" if worker.step:
                self._lost(worker, message.data["status"], message.data["memory"])

    def _lost(self, worker: Worker, status: int, memory: int) -> None:
        """A worker died while it had a step."""
        step = self.steps[worker.step]
        self.dag.release(step.id)
        if self.deadline is not None:
            self._ended(step, Outcome("stopped", memory=memory))
        else:
            told = failure.killed(status, memory, str(self.journal.log(step.id)))
            self._ended(step, Outcome("failed", memory=memory, error=told))

    # -- ends ----------------------------------------------------------------------------------------------------

    def _ended(self, step: Step, outcome: Outcome) -> None:
        digests = {port: out.digest for port, out in outcome.outputs.items()}
        spent: dict[str, Any] = {"seconds": outcome.seconds, "cpu": outcome.cpu, "memory": outcome.memory}
        self.busy.discard(step.id)
        match outcome.status:
            case "ran" | "reused" | "applied":
                event = {"ran": "step_finished", "reused": "step_reused", "applied": "effect_applied"}[outcome.status]
                result = StepResult(outcome.status, digests, summary=outcome.summary, **spent)
                self._finish(step, result, event, key=self.resolver.keys[step.id], **spent)
            case "busy":
                self._busy(step)
            case "waiting":
                gate = {"evidence": outcome.evidence, "digest": outcome.digest}
                approvals.request(self.setting, step.stage, outcome.digest, outcome.evidence)
                self._close(step, StepResult("waiting", summary=gate, **spent), "gate_waiting", **gate)
            case "rejected":
                gate = {"evidence": outcome.evidence, "digest": outcome.digest}
                result = StepResult("rejected", error=outcome.error, summary=gate, **spent)
                self._close(step, result, "gate_rejected", why=(outcome.error or {}).get("message", ""), **gate)
                if self.options.on_error == "fail_fast":
                    self._halt(f"the run ends: {step.stage} is rejected")
            case "not_due":
                result = StepResult("skipped", summary=outcome.summary, **spent)
                self._close(step, result, "step_skipped", because=outcome.summary["why"])
            case "stopped":
                self._close(step, StepResult("stopped", **spent), "step_skipped", because="stopped")
            case "failed":
                self._retry_or_fail(step, StepResult("failed", error=outcome.error, **spent))

    def _busy(self, step: Step) -> None:
        """Another run holds the key: wait for its record, without taking a slot."""
        held = leases.holder(self.store, self.resolver.keys[step.id])
        if step.id not in self.busy:
            self.emit("step_waiting", step.id, holder=held or {})
        self.busy.add(step.id)
        self.tries[step.id] = max(0, self.tries.get(step.id, 1) - 1)
        self._again(step, 0.02 if held is None else TICK)

    def _retry_or_fail(self, step: Step, result: StepResult) -> None:
        again = bool((result.error or {}).get("transient"))
        tries = self.tries.setdefault(step.id, 1)
        if again and tries <= self.options.retries and not self.halted:
            delay = BACKOFF * 2 ** (tries - 1)
            self.emit("step_retry", step.id, error=result.error, tries=tries, delay=delay)
            if step.needs.process == "inline":
                self.tries[step.id] = tries + 1
            self._again(step, delay)
        else:
            self._fail(step, result)

    def _again(self, step: Step, delay: float) -> None:
        if self.halted:
            self._close(step, StepResult("stopped"), "step_skipped", because="stopped")
        else:
            self.later[step.id] = time.monotonic() + delay

    def _fail(self, step: Step, result: StepResult) -> None:
        self._close(step, result, "step_failed", error=result.error, log=str(self.journal.log(step.id)))
        if self.options.on_error == "fail_fast":
            self._halt(f"the run ends: {step.stage} failed")

    def _finish(self, step: Step, result: StepResult, event: str, **data: Any) -> None:
        self.results[step.id] = result
        self.resolver.digests[step.id] = result.digests
        self.emit(event, step.id, stage=step.stage, digests=result.digests, **data)
        self.dag.done(step.id)

    def _close(self, step: Step, result: StepResult, event: str, **data: Any) -> None:
        """A step ended without outputs; what hangs on it is skipped."""
        self.results[step.id] = result
        self.emit(event, step.id, stage=step.stage, **data)
        ended = "not due" if result.status == "skipped" else result.status
        for id in self.dag.fail(step.id):
            self._skip(id, f"{step.stage}: {ended}")

    def _skip(self, id: str, because: str) -> None:
        self.later.pop(id, None)
        self.results[id] = StepResult("skipped")
        self.emit("step_skipped", id, stage=self.steps[id].stage, because=because)

    def _halt(self, because: str = "the run ends") -> None:
        """Start nothing more; what runs may end."""
        self.halted = True
        for id in self.dag.drain():
            self._skip(id, because)

    def commit(self) -> None:
        """Write the group of inline records, when it is due or a worker is about to need it."""
        pending = set(self.inline.port.pending)
        try:
            self.inline.port.flush()
        except OSError as error:
            told = failure.describe(error, self.store.work, 0, {})
            for id, key in self.resolver.keys.items():
                if key in pending and id in self.results:
                    self.results[id] = StepResult("failed", error=told)
                    self.emit("step_failed", id, stage=self.steps[id].stage, error=told)
            self._halt()

    # -- stopping ------------------------------------------------------------------------------------------------

    def _stopping(self) -> bool:
        return self.deadline is not None or self.stop.is_set()

    def _check_stop(self) -> None:
        """First signal: ask the running steps to stop. Second one, or no grace left: kill them."""
        if self.stop.is_set():
            self.stop.clear()
            if self.deadline is None:
                self.deadline = time.monotonic() + self.options.grace
                self._halt()
                for worker in list(self.pool.workers.values()):
                    if worker.step:
                        self.pool.terminate(worker)
            else:
                self.deadline = 0.0
        for worker in list(self.pool.workers.values()) if self.options.dropped else ():
            if worker.step in self.options.dropped and worker.step not in self.ending:
                self.ending.add(worker.step)
                self.pool.terminate(worker)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            for worker in list(self.pool.workers.values()):
                if not worker.killed:
                    self.pool.kill(worker)

    def _status(self) -> RunStatus:
        ends: set[StepStatus] = {result.status for result in self.results.values()}
        if self.deadline is not None and ("stopped" in ends or "skipped" in ends):
            return "stopped"
        if "failed" in ends:
            return "failed"
        if "rejected" in ends:
            return "rejected"
        return "waiting" if "waiting" in ends else "ok"


def _from_record(status: StepStatus, digests: dict[str, str], record: Record | None) -> StepResult:
    if record is None:
        return StepResult(status, digests)
    return StepResult(status, digests, record.seconds, record.cpu, record.memory, None, record.summary)

"""A run as OpenLineage events (https://openlineage.io/spec), written by hand from its journal and plan.

START and COMPLETE, FAIL or ABORT for the run and for each step that executed. A reused step has no events: what it
stands for was told by the run that executed it. A gate that waits ends in ABORT, one that said no in FAIL.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mldlc
from mldlc.engine.files import write_atomic
from mldlc.engine.history import alive, events, find
from mldlc.engine.result import Event
from mldlc.loop import datasets
from mldlc.loop.datasets import PRODUCER, facet
from mldlc.loop.lineage import values
from mldlc.loop.pins import read_pins
from mldlc.loop.stale import load_plan
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step
from mldlc.store.layout import Store, existing_store

FILE = "openlineage.jsonl"
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
ENDS = {
    "step_finished": "COMPLETE", "effect_applied": "COMPLETE", "step_failed": "FAIL", "gate_rejected": "FAIL",
    "gate_waiting": "ABORT",
}  # fmt: skip
TYPES = {"training": "TRAIN", "evaluation": "EVALUATE", "data": "TRANSFORM", "profile": "PROFILE", "report": "REPORT"}


@dataclass
class _Span:
    """One execution of a step: when it began and how it ended ("" while it runs)."""

    step: Step
    began: float = 0.0
    ended: float = 0.0
    end: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


def run_events(outputs: Path, run: str) -> list[dict[str, Any]]:
    """All events of a run (a name, the start of one, or `latest`), in order of time. DiagnosticError `unknown_run`."""
    folder = find(outputs, run)
    plan = load_plan(folder / "plan.json")
    story = list(events(folder))
    teller = _Teller(folder, plan, existing_store(outputs))
    live = alive(folder)
    last = story[-1].time if story else 0.0
    made = teller.whole(story, live, last)
    known, spans = _spans(plan, story)
    for span in spans:
        if not span.end and not live:
            span.end, span.ended = "ABORT", last
        made += teller.span(span, known)
    return [event for _, _, event in sorted(made, key=lambda item: item[:2])]


def write_events(outputs: Path, run: str) -> Path:
    """Write `openlineage.jsonl` into the run's folder; its path."""
    path = find(outputs, run) / FILE
    write_atomic(path, to_lines(run_events(outputs, run)).encode(), sync=False)
    return path


def to_lines(found: Iterable[dict[str, Any]]) -> str:
    """NDJSON, ready to be sent line by line to an OpenLineage HTTP endpoint."""
    return "".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in found)


def run_uuid(run: str, step: str = "") -> str:
    """UUIDv7 (RFC 9562) of a run or of a step in it: the time in the run's name, the rest from a hash of both names."""
    found = re.match(r"(\d{8}T\d{6})Z", run)
    began = datetime.datetime.strptime(found[1] + "+0000", "%Y%m%dT%H%M%S%z").timestamp() if found else 0.0
    noise = int.from_bytes(hashlib.blake2b(f"{run}\0{step}".encode(), digest_size=10).digest(), "big")
    value = (int(began * 1000) & (1 << 48) - 1) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0b11 << 62) | 0b10 << 62))


def _spans(plan: Plan, story: list[Event]) -> tuple[dict[str, dict[str, str]], list[_Span]]:
    """(step -> digests, executions): the first start and the last end of each step; what was only reused has none."""
    steps = plan.by_id()
    known: dict[str, dict[str, str]] = {}
    spans: dict[str, _Span] = {}
    for event in story:
        if event.data.get("digests"):
            known[event.step] = event.data["digests"]
        if event.step not in steps:
            continue
        if event.type == "step_started":
            spans.setdefault(event.step, _Span(steps[event.step], event.time))
            continue
        end = ENDS.get(event.type, "")
        if not end and event.step in spans:  # it began, then another run had made it, or the run was stopped
            end = {"step_reused": "COMPLETE", "step_skipped": "ABORT"}.get(event.type, "")
        if end:
            span = spans.setdefault(
                event.step, _Span(steps[event.step], event.time - float(event.data.get("seconds") or 0.0))
            )
            span.end, span.ended = end, event.time
            span.digests = event.data.get("digests") or {}
            span.error = event.data.get("error") or {"message": event.data.get("why") or ""}
    return known, list(spans.values())


class _Teller:
    """Makes the events of one run. What is the same for all of them is made once."""

    def __init__(self, folder: Path, plan: Plan, store: Store | None) -> None:
        self.run, self.plan, self.store = folder.name, plan, store
        self.pins = read_pins(folder)
        self.steps = plan.by_id()
        self.namespace = self.pins.get("git", {}).get("url") or f"mldlc://{plan.name}"
        me = {"run": {"runId": run_uuid(self.run)}, "job": {"namespace": self.namespace, "name": plan.name}}
        self.parent = facet("1-2-0/ParentRunFacet", {**me, "root": me})
        self.engine = facet(
            "1-1-1/ProcessingEngineRunFacet",
            {"version": mldlc.__version__, "name": "mldlc", "openlineageAdapterVersion": mldlc.__version__},
        )

    def whole(self, story: list[Event], live: bool, last: float) -> list[tuple[float, int, dict[str, Any]]]:
        """The events of the run itself, the parent of its steps."""
        facets = {"processing_engine": self.engine}
        run: dict[str, Any] = {"runId": run_uuid(self.run), "facets": facets}
        job = {"namespace": self.namespace, "name": self.plan.name, "facets": self._job("PIPELINE", "")}
        out = []
        finished = next((event for event in story if event.type == "run_finished"), None)
        for event in story:
            if event.type == "run_started":
                out.append((event.time, 0, _event("START", event.time, run, job)))
        if finished is None and live:
            return out
        status = finished.data["status"] if finished else "interrupted"
        end = {"ok": "COMPLETE", "failed": "FAIL", "rejected": "FAIL"}.get(status, "ABORT")
        if end == "FAIL":
            failed = [event for event in story if event.type in ("step_failed", "gate_rejected")]
            told = "; ".join(f"{e.step}: {(e.data.get('error') or {}).get('message', status)}" for e in failed)
            run = {**run, "facets": {**facets, "errorMessage": _error({"message": told or status})}}
        when = finished.time if finished else last
        return [*out, (when, 3, _event(end, when, run, job))]

    def span(self, span: _Span, known: dict[str, dict[str, str]]) -> Iterator[tuple[float, int, dict[str, Any]]]:
        """START, and how it ended, of one step."""
        step = span.step
        facets: dict[str, Any] = {"parent": self.parent, "processing_engine": self.engine}
        parameters = self._parameters(step)
        if parameters:
            facets["executionParameters"] = facet("1-0-0/ExecutionParametersRunFacet", {"parameters": parameters})
        run = {"runId": run_uuid(self.run, step.id), "facets": facets}
        kind = step.kind.partition(".")[0] if ":" not in step.kind else ""
        job = {
            "namespace": self.namespace, "name": f"{self.plan.name}.{step.stage}",
            "facets": self._job(TYPES.get(kind, "TASK"), step.impl),
        }  # fmt: skip
        inputs = [*datasets.artifacts_in(self.plan, step, self.steps, known), *datasets.sources_in(self.plan, step)]
        yield span.began, 1, _event("START", span.began, run, job, inputs)
        if not span.end:
            return
        if span.end == "FAIL":
            run = {**run, "facets": {**facets, "errorMessage": _error(span.error)}}
        outs = datasets.artifacts_out(self.plan, step, span.digests, self.store) if span.end == "COMPLETE" else []
        yield max(span.began, span.ended), 2, _event(span.end, max(span.began, span.ended), run, job, inputs, outs)

    def _job(self, type: str, impl: str) -> dict[str, Any]:
        told = {"processingType": "BATCH", "integration": "MLDLC", "jobType": type}
        out = {"jobType": facet("2-0-4/JobTypeJobFacet", told)}
        git = self.pins.get("git", {})
        rev, url = git.get("rev", ""), git.get("url", "")
        if rev and url:
            where = {"type": "git", "url": f"{url}/tree/{rev}", "repoUrl": url, "version": rev}
            path = self._source_file(impl)
            where |= {"path": path} if path else {}
            out["sourceCodeLocation"] = facet("1-1-0/SourceCodeLocationJobFacet", where)
        return out

    def _source_file(self, impl: str) -> str:
        """Path of a step's module in the repository; "" for a step of mldlc, and for code outside the project."""
        parts = impl.partition(":")[0].split(".")
        prefix, root = self.pins.get("git", {}).get("prefix", ""), Path(self.plan.config.root)
        for place in map(Path, self.plan.snapshot.code if parts[0] != "mldlc" else ()):
            file = place.joinpath(*parts).with_suffix(".py")
            if place.is_relative_to(root) and file.exists():
                return f"{prefix}{file.relative_to(root).as_posix()}"
        return ""

    def _parameters(self, step: Step) -> list[dict[str, str]]:
        return [
            {"key": value.path, "value": value.value if isinstance(value.value, str) else json.dumps(value.value)}
            for value in values(self.plan, step)
        ]


def _event(
    type: str,
    time: float,
    run: dict[str, Any],
    job: dict[str, Any],
    inputs: Iterable[dict[str, Any]] = (),
    outputs: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    when = datetime.datetime.fromtimestamp(time, datetime.UTC).isoformat(timespec="milliseconds")
    return {
        "eventType": type, "eventTime": when.replace("+00:00", "Z"), "run": run, "job": job, "inputs": list(inputs),
        "outputs": list(outputs), "producer": PRODUCER, "schemaURL": SPEC,
    }  # fmt: skip


def _error(error: dict[str, Any]) -> dict[str, Any]:
    told = {"message": str(error.get("message") or "failed"), "programmingLanguage": "python"}
    if error.get("traceback"):
        told["stackTrace"] = str(error["traceback"])
    return facet("1-0-1/ErrorMessageRunFacet", told)

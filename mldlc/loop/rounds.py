"""One round of a search: its points as one merged plan, compiled and run like any sweep, and what each point gave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import CompileRequest, Selection
from mldlc.compiler.pipeline import compile_plan
from mldlc.engine.result import Event, Options, Result
from mldlc.loop.execute import run_settled
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail
from mldlc.plan.plan import Plan

Listener = Callable[[Event], None]
Watch = Callable[[Plan], AbstractContextManager[Listener]]
Lines = tuple[str, ...]


@dataclass(frozen=True)
class Goal:
    """An objective: a metric, and whether less or more of it is better."""

    metric: str
    mode: str


@dataclass
class Frozen:
    """Config and code as they stood when the search began; a round that finds them changed does not run."""

    base: Plan
    files: dict[str, str] = field(default_factory=dict)

    def check(self, plan: Plan) -> None:
        """DiagnosticError naming what was edited meanwhile."""
        self.files = {**self.base.config.files, **self.files}
        moved = [path for path, digest in plan.config.files.items() if self.files.setdefault(path, digest) != digest]
        roots = self.base.snapshot.code
        moved += [root for root, digest in plan.snapshot.code.items() if roots.get(root, digest) != digest]
        if moved:
            text = f"changed while the search ran: {', '.join(moved)}"
            raise fail("search_moved", text, hint="what is done is kept; the same command begins with the new state")


@dataclass(frozen=True)
class Round:
    """What a round came to. values: for each point its objectives, or why there are none. executed: steps that ran."""

    plan: Plan
    result: Result
    values: list[list[float] | str]
    page: Path | None = None


class Watcher:
    """Hears the events of a round: notices a metric that nobody logs, and lets the search end points that do badly."""

    def __init__(
        self,
        plan: Plan,
        goals: Sequence[Goal],
        show: Listener,
        stop: threading.Event,
        prune: Callable[[int, float, int], bool] | None,
        dropped: set[str],
    ) -> None:
        self.points = {step.id: step.points for step in plan.steps}
        self.goals, self.show, self.stop, self.prune, self.dropped = goals, show, stop, prune, dropped
        self.seen: dict[str, set[str]] = {}
        self.counts: dict[str, int] = {}
        self.lacking = ""

    def __call__(self, event: Event) -> None:
        """One event of the engine."""
        self.show(event)
        if event.type == "metric":
            name = str(event.data.get("name"))
            self.seen.setdefault(event.step, set()).add(name)
            if self.prune is not None and name == self.goals[0].metric:
                self.counts[event.step] = number = self.counts.get(event.step, 0) + 1
                ends = [self.prune(point, float(event.data["value"]), number) for point in self.points[event.step]]
                if all(ends):
                    self.dropped.add(event.step)
        elif event.type == "step_finished" and event.step in self.seen:
            for goal in self.goals:
                if "." not in goal.metric and goal.metric not in self.seen[event.step] and not self.lacking:
                    self.lacking = goal.metric
                    self.stop.set()


def run_round(
    ask: CompileRequest,
    points: Sequence[Lines],
    goals: Sequence[Goal],
    frozen: Frozen,
    options: Options,
    watch: Watch,
    stop: threading.Event,
    *,
    settings: dict[str, Any],
    until: str = "",
    prune: Callable[[int, float, int], bool] | None = None,
) -> Round:
    """Compile and run some points up to stage `until`. settings: what the plan says of its search.

    prune: (point, value, how many validations) -> whether to end it. DiagnosticError: what the config cannot be, or an
    objective that no point has.
    """

    def compiled() -> Plan:
        chosen = Selection(until, ask.selection.since, ask.selection.force)
        plan = compile_plan(replace(ask, points=tuple(points), multirun=False, selection=chosen))
        frozen.check(plan)
        return replace(plan, settings={**plan.settings, "search": settings})

    plan = compiled()
    dropped: set[str] = set()
    with watch(plan) as show:
        heard = Watcher(plan, goals, show, stop, prune, dropped)
        going = replace(options, on_error="keep_going", dropped=dropped)
        plan, result, page = run_settled(plan, compiled, going, heard, stop)
    if heard.lacking:
        raise _no_metric(heard.lacking, set().union(*heard.seen.values()))
    return Round(plan, result, [_values(plan, result, point.id, goals, dropped) for point in plan.points], page)


def _values(plan: Plan, result: Result, point: int, goals: Sequence[Goal], dropped: set[str]) -> list[float] | str:
    steps = [step for step in plan.steps if point in step.points and step.id in result.steps]
    if any(step.id in dropped and result.steps[step.id].status == "stopped" for step in steps):
        return "pruned"
    ends = {result.steps[step.id].status: step for step in steps}
    for status in ("failed", "rejected", "waiting", "stopped"):
        if status in ends:
            return f"{status}: {ends[status].stage}"  # type: ignore[index]
    known = dict(item for step in steps for item in _metrics(step.stage, result.steps[step.id].summary))
    for goal in goals:
        if goal.metric not in known:
            if result.status == "stopped":
                return "stopped"
            raise _no_metric(goal.metric, known)
    return [known[goal.metric] for goal in goals]


def _metrics(stage: str, summary: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers of a step by name: what it logged, and `part.name` of what it measured, but never on test rows."""
    for name, value in summary.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.startswith("test"):
            yield name, float(value)
            yield f"{stage}.{name}", float(value)
    parts = summary.get("metrics")
    for part, values in parts.items() if isinstance(parts, dict) else ():
        if isinstance(values, dict) and part != "test":
            for name, value in values.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield f"{part}.{name}", float(value)


def _no_metric(name: str, known: Any) -> DiagnosticError:
    names = sorted(item for item in known if not item.startswith("train_loss"))
    hint = did_you_mean(name, names) or f"there is: {', '.join(names) or 'nothing'}"
    return fail("unknown_metric", f"no point has the metric '{name}'", key="sweep.objective.metric", hint=hint)

"""One round of a search: its points as one merged plan, compiled and run like any sweep, and what each point gave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import CompileRequest, Selection
from mldlc.compiler.pipeline import compile_plan
from mldlc.engine.result import Event, Options, Result
from mldlc.loop.execute import run_settled
from mldlc.loop.objective import Goal, measured
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail
from mldlc.plan.plan import Plan

Listener = Callable[[Event], None]
Watch = Callable[[Plan], AbstractContextManager[Listener]]
Lines = tuple[str, ...]
LACKING = "failed: it has no finite number of the objective's name"


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
    """Hears the events of a round: notices a metric that nobody logs, and lets the search end points that do badly.

    A metric that was not `expected` is missed after the first validation of a training, any other one at its end.
    """

    def __init__(
        self,
        plan: Plan,
        goals: Sequence[Goal],
        show: Listener,
        stop: threading.Event,
        prune: Callable[[int, float, int], bool] | None,
        dropped: set[str],
        expected: Collection[str] = (),
    ) -> None:
        self.points = {step.id: step.points for step in plan.steps}
        self.trainings = {step.id for step in plan.steps if step.kind.startswith("training.")}
        self.goals, self.show, self.stop, self.prune, self.dropped = goals, show, stop, prune, dropped
        self.expected = expected
        self.seen: dict[str, set[str]] = {}
        self.validated: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.lacking = ""

    def __call__(self, event: Event) -> None:
        """One event of the engine."""
        self.show(event)
        if event.type == "metric":
            name, at = str(event.data.get("name")), event.data.get("at")
            if self.validated.get(event.step, at) != at:
                self._miss(goal for goal in self.goals if goal.metric not in self.expected)
            if name != "train_loss" and event.step in self.trainings:
                self.validated.setdefault(event.step, at)
            self.seen.setdefault(event.step, set()).add(name)
            if self.prune is not None and name == self.goals[0].metric:
                self.counts[event.step] = number = self.counts.get(event.step, 0) + 1
                ends = [self.prune(point, float(event.data["value"]), number) for point in self.points[event.step]]
                if all(ends):
                    self.dropped.add(event.step)
        elif event.type == "step_finished" and event.step in self.seen:
            self._miss(self.goals)

    def _miss(self, goals: Iterable[Goal]) -> None:
        """Stop the round for a goal that a step should have logged by now, and no step did."""
        seen = set().union(*self.seen.values())
        lacking = [goal.metric for goal in goals if "." not in goal.metric and goal.metric not in seen]
        if lacking and not self.lacking:
            self.lacking = lacking[0]
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
    expected: Collection[str] = (),
) -> Round:
    """Compile and run some points up to stage `until`. settings: what the plan says of its search.

    prune: (point, value, how many validations) -> whether to end it. expected: metrics that the config promises.
    DiagnosticError: what the config cannot be, or an objective that no point has.
    """

    def compiled() -> Plan:
        chosen = Selection(until, ask.selection.since, ask.selection.force)
        plan = compile_plan(replace(ask, points=tuple(points), multirun=False, selection=chosen))
        frozen.check(plan)
        return replace(plan, settings={**plan.settings, "search": settings})

    plan = compiled()
    dropped: set[str] = set()
    with watch(plan) as show:
        heard = Watcher(plan, goals, show, stop, prune, dropped, expected)
        going = replace(options, on_error="keep_going", dropped=dropped)
        plan, result, page = run_settled(plan, compiled, going, heard, stop)
    if heard.lacking:
        raise _no_metric(heard.lacking, set().union(*heard.seen.values()))
    values = [_values(plan, result, point.id, goals, dropped) for point in plan.points]
    if LACKING in values and not any(isinstance(value, list) for value in values):
        known = _known(plan, result, plan.points[values.index(LACKING)].id)
        raise _no_metric(next(goal.metric for goal in goals if goal.metric not in known), known)
    return Round(plan, result, values, page)


def _known(plan: Plan, result: Result, point: int) -> dict[str, float]:
    """Every number of a point that may be an objective."""
    steps = [step for step in plan.steps if point in step.points and step.id in result.steps]
    return measured((step, result.steps[step.id].summary) for step in steps)


def _values(plan: Plan, result: Result, point: int, goals: Sequence[Goal], dropped: set[str]) -> list[float] | str:
    steps = [step for step in plan.steps if point in step.points and step.id in result.steps]
    if any(step.id in dropped and result.steps[step.id].status == "stopped" for step in steps):
        return "pruned"
    ends = {result.steps[step.id].status: step for step in steps}
    for status in ("failed", "rejected", "waiting", "stopped"):
        if status in ends:
            return f"{status}: {ends[status].stage}"  # type: ignore[index]
    known = _known(plan, result, point)
    for goal in goals:
        if goal.metric not in known:
            if result.status == "stopped":
                return "stopped"
            return LACKING
    return [known[goal.metric] for goal in goals]


def _no_metric(name: str, known: Any) -> DiagnosticError:
    names = sorted(item for item in known if not item.startswith("train_loss"))
    hint = did_you_mean(name, names) or f"there is: {', '.join(names) or 'nothing'}"
    return fail("unknown_metric", f"no point has the metric '{name}'", key="sweep.objective.metric", hint=hint)

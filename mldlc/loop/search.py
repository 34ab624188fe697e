"""A search: asks a searcher for a batch of points, runs them as a round, tells it what came out, until enough is known.

A searcher is a plugin (entry points of group `mldlc.search`); it keeps its trials under outputs/search/<study>, so that
the same command goes on where it was stopped or killed.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.config.space import Choices, line_of, read_param
from mldlc.engine.result import Options, Result
from mldlc.loop.objective import Goal
from mldlc.loop.rounds import Frozen, Lines, Watch, run_round
from mldlc.plan.codec import digest
from mldlc.plan.dag import reachable
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail
from mldlc.plan.plan import Plan

SEARCHERS = "mldlc.search"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One point of a search. values: objectives, once it is complete. state: running, complete, pruned, failed."""

    number: int
    params: dict[str, Any]
    state: str = "running"
    values: tuple[float, ...] = ()

    @property
    def lines(self) -> Lines:
        """The overrides that make the point."""
        return tuple(line_of(key, value) for key, value in self.params.items())


class Searcher(Protocol):
    """What a plugin gives: `open_search(settings, folder, study)`; `settings["params"]` is the space as plain data."""

    def ask(self, count: int, limit: int) -> list[Trial]:
        """Points to run next: first those that were begun and never told, then new ones; [] when there are none.

        No more than `limit` are ever begun, also by several processes that search at once.
        """
        ...

    def tell(self, number: int, values: Sequence[float] | None, state: str) -> None:
        """How a trial ended: complete with its values, pruned, or failed. Told twice, the first counts."""
        ...

    def prune(self, number: int, value: float, at: int) -> bool:
        """Note the objective at the `at`-th validation of a running trial; whether to end it."""
        ...

    def trials(self) -> list[Trial]:
        """Every trial so far."""
        ...

    def best(self) -> list[Trial]:
        """The best trial; those that no other beats, where there are several objectives; [] without a complete one."""
        ...


@dataclass
class Found:
    """How a search ended. result: of the last plan that ran (the best points' whole plan, if the search got there).

    executed: steps of plans that ran. updates: optimizer steps that were made, where the trainings count them.
    """

    study: str
    goals: list[Goal]
    trials: list[Trial] = field(default_factory=list)
    best: list[Trial] = field(default_factory=list)
    rounds: list[str] = field(default_factory=list)
    status: str = "ok"
    plan: Plan | None = None
    result: Result | None = None
    page: Path | None = None
    executed: int = 0
    updates: int = 0


def search(ask: CompileRequest, base: Plan, options: Options, watch: Watch, stop: threading.Event, say: Say) -> Found:
    """Search as `base.settings["search"]` asks. base: the plan of the configured point, which told what there is."""
    settings = base.settings["search"]
    goals = [Goal(**item) for item in settings["objective"]]
    until = stage_of(base, settings)
    study = study_of(base, settings, until)
    check_space(ask, settings)
    searcher = open_searcher(settings, Path(base.outputs) / "search" / study, study)
    found, frozen, ended = Found(study, goals), Frozen(base), time.monotonic() + (settings["timeout"] or float("inf"))
    parent = ""
    while found.status == "ok":
        if found.rounds and time.monotonic() >= ended:
            say(f"No further round: sweep.timeout={settings['timeout']:g} s are over.")
            break
        done = sum(trial.state != "running" for trial in searcher.trials())
        trials = searcher.ask(settings["batch"], settings["n_trials"])
        if not trials:
            break
        say(f"Round {len(found.rounds) + 1}: {len(trials)} of {settings['n_trials']} points, {done} done.")
        told = {"study": study, "round": len(found.rounds) + 1, "parent": parent, "trials": [t.number for t in trials]}
        told |= {"objective": settings["objective"]}
        pruning = settings["pruner"] != "none"
        turn = run_round(
            ask, [trial.lines for trial in trials], goals, frozen, options, watch, stop, settings=told, until=until,
            expected=settings["expected"],
            prune=(lambda point, value, at, t=trials: searcher.prune(t[point].number, value, at)) if pruning else None,
        )  # fmt: skip
        parent = turn.plan.id
        take(found, turn.plan, turn.result)
        for trial, values in zip(trials, turn.values, strict=True):
            if isinstance(values, list):
                searcher.tell(trial.number, values, "complete")
            elif values == "pruned" or values.startswith("failed"):
                searcher.tell(trial.number, None, "pruned" if values == "pruned" else "failed")
        if turn.result.status == "stopped":
            found.status = "stopped"
        elif all(isinstance(values, str) and values != "pruned" for values in turn.values):
            found.status = turn.result.status if turn.result.status != "ok" else "failed"
    found.trials, found.best = searcher.trials(), searcher.best()
    if found.status == "ok":
        finish(found, ask, base, frozen, options, watch, stop, say)
    return found


def finish(
    found: Found, ask: CompileRequest, base: Plan, frozen: Frozen, options: Options, watch: Watch,
    stop: threading.Event, say: Say,
) -> None:  # fmt: skip
    """Run the whole plan at the best points."""
    if not found.best:
        found.status = "failed"
        return
    if not base.settings["search"]["finish"]:
        return
    say(f"Best: {'; '.join(' '.join(trial.lines) for trial in found.best)}")
    points = [trial.lines for trial in found.best]
    told = {"study": found.study, "best": [trial.number for trial in found.best]}
    turn = run_round(ask, points, [], frozen, options, watch, stop, settings=told, until=ask.selection.until)
    take(found, turn.plan, turn.result)
    found.page, found.status = turn.page, turn.result.status


def take(found: Found, plan: Plan, result: Result) -> None:
    """Note a plan that ran."""
    found.plan, found.result = plan, result
    found.rounds.append(result.run)
    found.executed += result.counts.get("run", 0)
    ran = (step.summary for step in result.steps.values() if step.status == "ran")
    found.updates += sum(int(summary.get("steps_executed", 0)) for summary in ran)


def stage_of(base: Plan, settings: dict[str, Any]) -> str:
    """The stage up to which rounds run; "" for all of them."""
    until = settings["until"] or ""
    stages = sorted({step.stage for step in base.steps})
    if until and until not in stages:
        hint = f"stages: {', '.join(stages)}; null runs all of them"
        raise fail("unknown_stage", f"sweep.until: no stage '{until}'", key="sweep.until", hint=hint)
    return until


def study_of(base: Plan, settings: dict[str, Any], until: str) -> str:
    """Name of a study: trials are comparable while code, config, data, space and objective are the same."""
    upstream = {step.id: step.upstream() for step in base.steps}
    ends = [step.id for step in base.steps if not until or step.stage == until]
    within = reachable(upstream, ends)
    recipes = sorted(step.recipe for step in base.steps if step.id in within)
    same = ("kind", "params", "objective", "sampler", "seed", "pruner", "n_points", "factor", "min_epochs")
    asked = {name: settings[name] for name in same if name in settings}
    return digest(["search", recipes, sorted(base.snapshot.sources.items()), asked])[:16]


def check_space(ask: CompileRequest, settings: dict[str, Any]) -> None:
    """Compile the ends of every interval and every choice: DiagnosticError with values that the config cannot take."""
    space = {name: read_param(value) for name, value in settings["params"].items()}
    ends = {
        name: list(param.values) if isinstance(param, Choices) else [param.low, param.high]
        for name, param in space.items()
    }
    rows = itertools.zip_longest(*ends.values())
    points = [
        tuple(line_of(name, values[0] if value is None and None not in values else value)
              for (name, values), value in zip(ends.items(), row, strict=True))
        for row in rows
    ]  # fmt: skip
    compile_plan(replace(ask, points=tuple(points), multirun=False, offline=True))


def open_searcher(settings: dict[str, Any], folder: Path, study: str) -> Searcher:
    """The plugin of this kind of search; DiagnosticError when it is not installed."""
    kind = settings["kind"]
    for entry in importlib.metadata.entry_points(group=SEARCHERS, name=kind):
        try:
            opened = entry.load()
        except ImportError as error:
            hint = f"pip install 'mldlc[{kind}]' ./plugins/mldlc-{kind}"
            raise fail("broken_plugin", f"the plugin of sweep={kind} cannot be imported: {error}", hint=hint) from error
        folder.mkdir(parents=True, exist_ok=True)
        return opened(settings, folder, study)  # type: ignore[no-any-return]
    raise DiagnosticError([no_plugin(kind)])


def no_plugin(kind: str, severity: Literal["error", "warning"] = "error") -> Diagnostic:
    """What is said of a kind of search that nothing installed gives."""
    hint = f"pip install 'mldlc[{kind}]' ./plugins/mldlc-{kind}"
    return Diagnostic(
        "no_plugin", f"sweep={kind} needs a plugin that is not installed", severity=severity, key="sweep", hint=hint
    )


def has_plugin(kind: str) -> bool:
    """Whether a plugin for this kind of search is installed."""
    return bool(importlib.metadata.entry_points(group=SEARCHERS, name=kind))

"""Successive halving: all points train a little, the better ones train on, the best to the end. No state of its own.

A rung is a stage `training.rung` whose state is an input of the next one, under the same schedule: a plan of round r
holds the whole chain, so what is trained already is reused by its key, and the last rung gives the bytes of a plain
training.
"""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import replace
from typing import Any

from mldlc.compiler.draft import CompileRequest
from mldlc.config.space import line_of
from mldlc.engine.result import Options
from mldlc.loop.draws import points_of
from mldlc.loop.objective import Goal
from mldlc.loop.rounds import Frozen, Lines, Watch, run_round
from mldlc.loop.search import Found, Say, Trial, check_space, finish, stage_of, study_of, take
from mldlc.plan.diagnostic import fail
from mldlc.plan.plan import Plan

TRAIN, RUNG = "training.train", "training.rung"
BUDGET = "trainer.max_epochs"
BEYOND = ("min_epochs", "min_steps", "max_time")  # settings of `trainer` under which a cut training is another one


def halve(ask: CompileRequest, base: Plan, options: Options, watch: Watch, stop: threading.Event, say: Say) -> Found:
    """Search as `base.settings["search"]` asks, of kind halving."""
    settings = base.settings["search"]
    goals = [Goal(**item) for item in settings["objective"]]
    until = stage_of(base, settings)
    entry = training_of(base, until)
    rungs = rungs_of(base, settings)
    study = study_of(base, settings, until)
    check_space(ask, settings)
    alive = points_of(settings)
    found, frozen, parent = Found(study, goals, trials=list(alive)), Frozen(base), ""
    for number, epochs in enumerate(rungs, 1):
        say(f"Round {number} of {len(rungs)}: {len(alive)} points up to epoch {epochs}.")
        told = {"study": study, "round": number, "parent": parent, "trials": [trial.number for trial in alive]}
        told |= {"objective": settings["objective"]}
        chained = replace(ask, overrides=(*ask.overrides, *chain(entry, until, rungs[:number])))
        turn = run_round(
            chained, [trial.lines for trial in alive], goals, frozen, options, watch, stop, settings=told, until=until,
            expected=settings["expected"],
        )  # fmt: skip
        parent = turn.plan.id
        take(found, turn.plan, turn.result)
        if turn.result.status == "stopped":
            found.status = "stopped"
            return found
        alive = _note(found, alive, turn.values, number == len(rungs), math.ceil(len(alive) / settings["factor"]))
        if not alive:
            found.status = "failed"
            return found
    found.best = alive[:1]
    finish(found, chained, base, frozen, options, watch, stop, say)
    return found


def rungs_of(base: Plan, settings: dict[str, Any]) -> list[int]:
    """The epochs at which rounds end; the last is the whole training. DiagnosticError where there is no such whole."""
    trainer = base.blobs[base.points[0].config].get("trainer", {})
    whole, least, factor = trainer.get("max_epochs"), settings["min_epochs"], settings["factor"]
    if not isinstance(whole, int) or whole < 1:
        hint = "set it: it is what the last ones of the points train"
        raise fail("no_end", f"halving needs {BUDGET} (found {whole})", key=BUDGET, hint=hint)
    if least > whole:
        message = f"sweep.min_epochs={least} is more than {BUDGET}={whole}"
        raise fail("bad_rungs", message, key="sweep.min_epochs", hint="lower it: it is what the first round trains")
    for name in BEYOND:
        if trainer.get(name) is not None:
            message = (
                f"trainer.{name}={trainer[name]} and halving exclude each other: no piece of a training ends there"
            )
            raise fail("bad_rungs", message, key=f"trainer.{name}", hint=f"set trainer.{name}=null")
    if BUDGET in settings["params"]:
        message = f"halving cannot search over {BUDGET}: it is what the last ones of the points train"
        raise fail("bad_space", message, key=f"sweep.params.{BUDGET}", hint="leave it out of the space")
    return [*itertools.takewhile(lambda epochs: epochs < whole, (least * factor**i for i in itertools.count())), whole]


def chain(entry: dict[str, Any], stage: str, rungs: list[int]) -> Lines:
    """Overrides that make a training of its rungs so far: `rung_1`, `rung_2`, ... and the stage itself as the last."""
    lines = [f"++sweep.rungs.r{number}.epochs={epochs}" for number, epochs in enumerate(rungs, 1)]
    for number in range(1, len(rungs) + 1):
        inputs = {**(entry.get("inputs") or {}), **({"state": f"rung_{number - 1}.state"} if number > 1 else {})}
        config = {**(entry.get("config") or {}), "rung": f"sweep.rungs.r{number}"}
        made = {**entry, "kind": RUNG, "inputs": inputs, "config": config}
        name = stage if number == len(rungs) else f"rung_{number}"
        lines.append("++" + line_of(f"lifecycle.stages.{name}", {k: v for k, v in made.items() if v is not None}))
    return tuple(lines)


def training_of(base: Plan, stage: str) -> dict[str, Any]:
    """The lifecycle's entry of the stage that is cut into rungs; DiagnosticError when it is no training."""
    stages = base.blobs[base.points[0].config]["lifecycle"]["stages"]
    entry = stages.get(stage)
    if not isinstance(entry, dict) or entry.get("kind") != TRAIN:
        fitting = [name for name, item in stages.items() if isinstance(item, dict) and item.get("kind") == TRAIN]
        message = f"halving cuts a stage of kind {TRAIN} into pieces; sweep.until names '{stage or 'null'}'"
        hint = f"set sweep.until={fitting[0]}" if fitting else "there is no such stage here; use sweep=optuna"
        raise fail("no_training", message, key="sweep.until", allowed=tuple(fitting), hint=hint)
    return entry


def _note(found: Found, alive: list[Trial], values: list[list[float] | str], last: bool, most: int) -> list[Trial]:
    """Note how the points of a round did in `found.trials`; gives those that go on, best first."""
    sign = -1 if found.goals[0].mode == "max" else 1
    given = {trial.number: value for trial, value in zip(alive, values, strict=True)}
    ranked = sorted((sign * value[0], number) for number, value in given.items() if isinstance(value, list))
    kept = [number for _, number in ranked[: 1 if last else most]]
    for number, value in given.items():
        state = "failed" if isinstance(value, str) else "complete" if last else "running"
        if state == "running" and number not in kept:
            state = "pruned"
        scores = () if isinstance(value, str) else tuple(value)
        found.trials[number] = replace(found.trials[number], state=state, values=scores)
    return [found.trials[number] for number in kept]

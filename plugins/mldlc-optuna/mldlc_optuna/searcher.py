"""Asks and tells one Optuna study, kept in an SQLite file: whatever is killed, the file has what was told."""

from __future__ import annotations

import fcntl
import itertools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from mldlc.config.space import Choices, Param, read_param
from mldlc.loop.search import Trial

NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
STATES = {name: state for state, name in NAMES.items()}
FILE, LOCK = "study.db", "ask.lock"


def open_search(settings: Mapping[str, Any], folder: Path, study: str) -> OptunaSearch:
    """The study of this name in `folder`, made if need be."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return OptunaSearch(settings, folder, study)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other process makes the study, begins trials of it or ends them."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def opened(settings: Mapping[str, Any], folder: Path, study: str) -> optuna.Study:
    """The study in its file, which is made if need be."""
    url = f"sqlite:///{folder / FILE}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    return optuna.create_study(
        storage=storage, study_name=study, load_if_exists=True, pruner=pruner(settings),
        directions=["minimize" if goal["mode"] == "min" else "maximize" for goal in settings["objective"]],
    )  # fmt: skip


class OptunaSearch:
    """A searcher of mldlc.loop.search over an Optuna study."""

    def __init__(self, settings: Mapping[str, Any], folder: Path, study: str) -> None:
        self.folder = folder
        space = {name: read_param(value) for name, value in settings["params"].items()}
        self.space = {name: distribution(param) for name, param in space.items()}
        self.choices = {name: param.values for name, param in space.items() if isinstance(param, Choices)}
        self.pruning = settings["pruner"] != "none"
        self.grid = list(grid(space)) if settings["sampler"] == "grid" else None
        with alone(folder):
            self.study = opened(settings, folder, study)
        # another process goes on with other draws, not with the same ones again
        self.study.sampler = sampler(settings["sampler"], settings["seed"] + len(self.study.get_trials(deepcopy=False)))

    def ask(self, count: int, limit: int) -> list[Trial]:
        """Running trials of the study first: a process that asked for them is gone, or does the same as we.

        One process asks at a time, so that two begin no more than `limit` together.
        """
        with alone(self.folder):
            every = self.study.get_trials(deepcopy=False)
            if sum(trial.state in NAMES for trial in every) >= limit:
                return []
            begun = [trial for trial in every if trial.state == TrialState.RUNNING]
            found = [self._trial(trial) for trial in begun if trial.params.keys() == self.space.keys()]
            for trial in begun:
                if trial.params.keys() != self.space.keys():  # killed between its parameters
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            room = limit - sum(trial.state != TrialState.WAITING for trial in every)
            return found + self._fresh(max(0, min(count - len(found), room)))

    def _fresh(self, count: int) -> list[Trial]:
        """New trials; of a grid those that are not known yet."""
        if self.grid is not None:
            known = [trial.params for trial in self.study.get_trials(deepcopy=False) if trial.params]
            fresh = [params for params in self.grid if params not in known][:count]
            for params in fresh:
                self.study.enqueue_trial(params, skip_if_exists=True)
            count = len(fresh)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = [self.study.ask(fixed_distributions=self.space) for _ in range(count)]
        return [Trial(trial.number, self._values(trial.params)) for trial in asked]

    def tell(self, number: int, values: Sequence[float] | None, state: str) -> None:
        """How a trial ended."""
        with alone(self.folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study.tell(number, values, state=STATES[state] if values is None else None, skip_if_finished=True)

    def prune(self, number: int, value: float, at: int) -> bool:
        """Whether Optuna's pruner would end the trial at its `at`-th validation."""
        if not self.pruning:
            return False
        frozen = self.study.get_trials(deepcopy=False)[number]
        trial = optuna.trial.Trial(self.study, frozen._trial_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.report(value, at)
        return trial.should_prune()

    def trials(self) -> list[Trial]:
        """Every trial so far."""
        return [self._trial(trial) for trial in self.study.get_trials(deepcopy=False) if trial.params]

    def best(self) -> list[Trial]:
        """The best complete trial, or the Pareto front in the order of its numbers."""
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return []
        if len(self.study.directions) == 1:
            return [self._trial(self.study.best_trial)]
        return [self._trial(trial) for trial in sorted(self.study.best_trials, key=lambda trial: trial.number)]

    def _trial(self, trial: FrozenTrial) -> Trial:
        values = tuple(trial.values) if trial.state == TrialState.COMPLETE else ()
        return Trial(trial.number, self._values(trial.params), NAMES.get(trial.state, "running"), values)

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna's values as the config wants them, in the order of the space."""
        return {name: self._value(name, params[name]) for name in self.space}

    def _value(self, name: str, value: Any) -> Any:
        for choice in self.choices.get(name, ()):
            if _simple(choice) == value and type(_simple(choice)) is type(value):
                return choice
        return value


def distribution(param: Param) -> BaseDistribution:
    """Optuna's form of a parameter."""
    if isinstance(param, Choices):
        return CategoricalDistribution([_simple(value) for value in param.values])
    if param.integer:
        return IntDistribution(int(param.low), int(param.high), log=param.log, step=int(param.step or 1))
    return FloatDistribution(param.low, param.high, log=param.log, step=param.step)


def _simple(value: Any) -> Any:
    """A choice as Optuna keeps it: lists and mappings as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def grid(space: Mapping[str, Param]) -> list[dict[str, Any]]:
    """All combinations, the last parameter varies fastest."""
    columns = []
    for param in space.values():
        if isinstance(param, Choices):
            columns.append([_simple(value) for value in param.values])
        else:
            step = param.step or 1
            count = int((param.high - param.low) / step + 1e-9) + 1
            columns.append([param.low + number * step for number in range(count)])
    return [dict(zip(space, row, strict=True)) for row in itertools.product(*columns)]


def sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a search. A batch is asked for before any of it is told, hence the constant liar."""
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def pruner(settings: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """The pruner of a search."""
    match settings["pruner"]:
        case "median":
            return optuna.pruners.MedianPruner(settings["startup_trials"], settings["warmup"])
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, settings["warmup"]))
    return optuna.pruners.NopPruner()

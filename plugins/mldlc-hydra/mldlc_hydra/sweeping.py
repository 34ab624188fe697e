"""Which jobs `hydra/sweeper=mldlc` launches: every point of a sweep, in batches, or rounds of a search."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import OmegaConf

from mldlc.config.space import from_override, line_of, plain, text_of
from mldlc.config.sweeping import Item, declared, expand, key_of, keys_of
from mldlc.loop.search import Searcher, Trial, open_searcher
from mldlc.plan.codec import digest
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError
from mldlc_hydra.plan import code_of
from mldlc_hydra.task import TaskError, task_of

log = logging.getLogger(__name__)
SAMPLERS = ("tpe", "cmaes", "grid", "random")
RESULTS = "optimization_results.yaml"  # as Hydra's own searching sweepers name it


class Parser:
    """Hydra's parser of overrides, a line at a time: all that reading a sweep needs of a composer."""

    def __init__(self, config_loader: Any) -> None:
        self._parser = OverridesParser.create(config_loader=config_loader)

    def parse(self, line: str) -> Any:
        return self._parser.parse_overrides([line])[0]


def sweep(sweeper: Any, arguments: Sequence[str]) -> list[Sequence[JobReturn]]:
    """What `MldlcSweeper.sweep` does."""
    parser, settings = Parser(sweeper.hydra_context.config_loader), _plain(sweeper.settings)
    folder = Path(str(sweeper.config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(sweeper.config, folder / "multirun.yaml")
    try:
        if settings["sampler"] is not None:
            return Search(sweeper, parser, settings, arguments, folder).run()
        jobs = [job for job, _ in expand(parser, _items(parser, settings, arguments))]  # type: ignore[arg-type]
    except (DiagnosticError, TaskError) as error:
        raise HydraException(f"hydra/sweeper=mldlc: {error}") from error
    size = settings["max_batch_size"] or len(jobs)
    batches = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    returns: list[Sequence[JobReturn]] = []
    for number, batch in enumerate(batches):
        sweeper.validate_batch_is_legal(batch)
        found = sweeper.launcher.launch(batch, initial_job_idx=number * size)
        for item in found:
            _ = item.return_value  # raises what made a job fail, as Hydra's own sweeper does
        returns.append(found)
    return returns


def _plain(settings: Any) -> dict[str, Any]:
    return {
        name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for name, value in settings.items()
    }


def _items(parser: Parser, settings: dict[str, Any], arguments: Sequence[str]) -> list[Item]:
    """Overrides and what the config declares, in order: `params` first and overridden in its place, as Hydra does."""
    lines = [*_params(settings), *arguments]
    for override in map(parser.parse, lines):
        if override.is_sweep_override() and not override.is_discrete_sweep():
            message = f"null, but '{override.input_line}' has no list of points; tpe, cmaes or random can search it"
            raise _wrong("sampler", message)
    asked = {"kind": "grid", "params": {}, **{part: settings[part] for part in ("zip", "vary", "points")}}
    axes, wrong = declared(parser, asked, set().union(*map(keys_of, lines)), lambda key: None)  # type: ignore[arg-type]
    if wrong:
        raise DiagnosticError(wrong)
    return [*lines, *axes]


def _params(settings: dict[str, Any]) -> list[str]:
    """`params` as overrides: a text is in Hydra's grammar, a list holds the values."""
    found = []
    for key, value in (settings["params"] or {}).items():
        values = value if isinstance(value, list) else [value]
        found.append(f"{key}={value if isinstance(value, str) else ','.join(map(text_of, values))}")
    return found


class Search:
    """Rounds of points that a searcher of mldlc asks for; the same command goes on with the same study."""

    def __init__(self, sweeper: Any, parser: Parser, settings: dict[str, Any], arguments: Sequence[str], folder: Path):
        self.sweeper, self.settings, self.folder = sweeper, settings, folder
        if settings["sampler"] not in SAMPLERS:
            raise _wrong("sampler", f"'{settings['sampler']}' is not one of {', '.join(SAMPLERS)}")
        lines = [*_params(settings), *arguments]
        swept = [line for line in lines if parser.parse(line).is_sweep_override()]
        self.fixed = [line for line in arguments if line not in swept]
        given = set(map(key_of, self.fixed))
        space = {}
        for override in map(parser.parse, swept):
            if override.key_or_group in given:
                continue
            try:
                space[override.get_key_element()] = plain(from_override(override, parser.parse))
            except ValueError as error:
                raise _wrong("params", f"'{override.input_line}': {error}") from None
        if not space:
            raise _wrong("params", "there is nothing to search; give keys several values: 'lr=interval(1e-4,1e-2)'")
        modes = settings["mode"] if isinstance(settings["mode"], list) else [settings["mode"]]
        if not set(modes) <= {"min", "max"}:
            raise _wrong("mode", f"{settings['mode']!r} is neither min nor max")
        self.goals = [{"metric": f"value {number}", "mode": mode} for number, mode in enumerate(modes, 1)]
        self.searcher = self._open(space)

    def _open(self, space: dict[str, Any]) -> Searcher:
        outputs = Path(self.sweeper.config.hydra.runtime.cwd, self.settings["outputs"]).resolve()
        task = task_of(self.sweeper.task_function)
        asked = {
            "kind": "optuna", "params": space, "objective": self.goals, "sampler": self.settings["sampler"],
            "seed": self.settings["seed"], "pruner": "none", "startup_trials": 0, "warmup": 0,
        }  # fmt: skip
        same = [asked, self.fixed, task.module, task.name, sorted(code_of(task, outputs).modules.items())]
        study = digest(["hydra search", *same])[:16]
        return open_searcher(asked, outputs / "search" / study, study)

    def run(self) -> list[Sequence[JobReturn]]:
        """Rounds until all trials are done; writes the best into the folder of the sweep."""
        ends = time.monotonic() + (self.settings["timeout"] or float("inf"))
        returns: list[Sequence[JobReturn]] = []
        number = 0
        while time.monotonic() < ends:
            trials = self.searcher.ask(self.settings["batch"], self.settings["n_trials"])
            if not trials:
                break
            batch = [[*self.fixed, *trial.lines] for trial in trials]
            self.sweeper.validate_batch_is_legal(batch)
            found = self.sweeper.launcher.launch(batch, initial_job_idx=number)
            number += len(batch)
            returns.append(found)
            for trial, item in zip(trials, found, strict=True):
                self._tell(trial, item)
            if all(item.status == JobStatus.FAILED for item in found):
                _ = found[0].return_value  # raises it
        self._conclude()
        return returns

    def _tell(self, trial: Trial, item: JobReturn) -> None:
        if item.status == JobStatus.FAILED:
            self.searcher.tell(trial.number, None, "failed")
            return
        value = item.return_value
        values = list(value) if isinstance(value, list | tuple) else [value]
        try:
            numbers = [float(item) for item in values]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != len(self.goals):
            self.searcher.tell(trial.number, None, "failed")
            what = "a number" if len(self.goals) == 1 else f"{len(self.goals)} numbers"
            raise HydraException(f"the function must return {what} to be searched by, it returned {value!r}")
        self.searcher.tell(trial.number, numbers, "complete")

    def _conclude(self) -> None:
        best = self.searcher.best()
        found: dict[str, Any] = {"name": "mldlc"}
        if len(self.goals) == 1 and best:
            found |= {"best_params": best[0].params, "best_value": best[0].values[0]}
        else:
            found["solutions"] = [{"params": trial.params, "values": list(trial.values)} for trial in best]
        OmegaConf.save(OmegaConf.create(found), self.folder / RESULTS)
        for trial in best:
            lines = " ".join(line_of(key, value) for key, value in trial.params.items())
            log.info("best: %s (%s)", lines, ", ".join(f"{value:g}" for value in trial.values))


def _wrong(name: str, message: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("bad_sweeper", f"hydra.sweeper.{name}: {message}", key=f"hydra.sweeper.{name}")])

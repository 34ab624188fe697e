"""Launches a batch of jobs: composes as Hydra does, plans, runs what is not known, gives one `JobReturn` each."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, configure_log, filter_overrides, run_job, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from mldlc.cli.run import stopping
from mldlc.engine.result import Event, Options, Result
from mldlc.loop.execute import run_plan
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from mldlc.plan.spec import Resources
from mldlc.plan.step import Step
from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files
from mldlc_hydra.job import FILES, VALUE, JobError, Order
from mldlc_hydra.plan import Code, Planned, code_of, freeze, normalised, plan_jobs
from mldlc_hydra.task import MAIN, Task, TaskError, task_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One job of a batch. folder: what Hydra gives it to write into."""

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    folder: Path


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """What `MldlcLauncher.launch` does. A job that fails has its exception in its `JobReturn`; the others go on."""
    config, settings = launcher.config, launcher.settings
    setup_globals()
    sys.modules.setdefault(MAIN, sys.modules["__main__"])  # what jobs return may be of a class of the program
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    outputs = Path(config.hydra.runtime.cwd, settings["outputs"]).resolve()
    try:
        task = task_of(launcher.task_function)
        open_store(outputs)
        code = code_of(task, outputs, settings["code"])
        jobs = _compose(launcher, job_overrides, initial_job_idx)
        with _orders(outputs) as place:
            plan = _plan(jobs, task, code, outputs, place, settings, config)
            if code_of(task, outputs, settings["code"]) != code:
                raise TaskError("the code changed while the jobs were planned: run the same command again")
            _tell(plan, jobs)
            result = _execute(plan, jobs, settings)
            steps = [next(step for step in plan.steps if point.id in step.points) for point in plan.points]
            return [_ended(launcher, job, step, result, outputs, place) for job, step in zip(jobs, steps, strict=True)]
    except (TaskError, DiagnosticError) as error:
        raise HydraException(f"hydra/launcher=mldlc: {error}") from error


def _compose(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
    """The configs of all jobs, before any of them runs."""
    jobs = []
    for number, overrides in enumerate(job_overrides, first):
        config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = number
            config.hydra.job.num = number
        with _bound(config):
            folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.runtime.output_dir = str(folder)
        jobs.append(Job(number, tuple(filter_overrides(overrides)), config, folder))
    return jobs


@contextmanager
def _bound(config: DictConfig) -> Iterator[None]:
    """`${hydra:...}` answers from this config."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@contextmanager
def _orders(outputs: Path) -> Iterator[Path]:
    """A folder for what the workers are told and what they answer."""
    root = outputs / "cache" / "hydra"
    root.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="jobs-", dir=root))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _plan(
    jobs: Sequence[Job], task: Task, code: Code, outputs: Path, place: Path, settings: Any, config: DictConfig
) -> Plan:
    copies, app = freeze(code, outputs), JobRuntime.instance().get("name")
    root = Path(config.hydra.runtime.cwd)
    folders = [job.folder for job in jobs]
    planned = []
    for job in jobs:
        order = place / f"{job.number}.order"
        nested = any(job.folder == other or job.folder in other.parents for other in folders if other is not job.folder)
        kept = str(job.folder) if settings["keep_files"] and not nested else ""
        written = Order(task, pickle.dumps(job.config), app, str(root), copies, kept, str(_answer(place, job)))
        order.write_bytes(pickle.dumps(written))
        hydra = job.config.hydra.job
        planned.append(Planned(job.overrides, _known(job), hydra.chdir, dict(hydra.env_set), str(order)))
    memory = settings["memory_gb"]
    needs = Resources(
        cpu=settings["cpu"], gpu=settings["gpu"], memory=None if memory is None else int(memory * 2**30),
        process="fresh", preload=("hydra.core.utils", "mldlc_hydra.job", *settings["preload"]),
    )  # fmt: skip
    return plan_jobs(
        app, planned, task, code, root, outputs, needs, files=settings["code"], force=not settings["reuse"]
    )


def _answer(place: Path, job: Job) -> Path:
    return place / f"{job.number}.answer"


def _known(job: Job) -> Any:
    """What a job is known by: its resolved config without `hydra`, its own folders as `<job>` and `<sweep>`."""
    with _bound(job.config):
        sweep = Path(str(job.config.hydra.sweep.dir))
        known = OmegaConf.masked_copy(job.config, [str(key) for key in job.config if key != "hydra"])
        try:
            found = OmegaConf.to_container(known, resolve=True, enum_to_str=True)
        except OmegaConfBaseException:  # a value that the job may never look at
            found = OmegaConf.to_container(known, resolve=False, enum_to_str=True)
    relative = os.path.relpath(job.folder)

    def own(text: str) -> str:
        for path, name in ((str(job.folder), "<job>"), (str(sweep.absolute()), "<sweep>")):
            text = text.replace(path, name)
        for path, name in ((relative, "<job>"), (str(sweep), "<sweep>")):
            if text == path or text.startswith(path + os.sep):
                text = name + text[len(path) :]
        return text

    return normalised(found, own)


def _tell(plan: Plan, jobs: Sequence[Job]) -> None:
    counts = plan.counts()
    log.info("Launching %d jobs on mldlc: %d to run, %d known", len(jobs), counts["run"], counts["reuse"])
    for job in jobs:
        log.info("\t#%d : %s", job.number, " ".join(job.overrides))


def _execute(plan: Plan, jobs: Sequence[Job], settings: Any) -> Result:
    names = {step.id: ", ".join(f"#{jobs[point].number}" for point in step.points) for step in plan.steps}

    def heard(event: Event) -> None:
        if event.type == "step_finished":
            log.info("\t%s ran, %.1f s", names[event.step], event.data.get("seconds", 0.0))
        elif event.type == "step_failed":
            log.error("\t%s failed: %s", names[event.step], (event.data.get("error") or {}).get("message", ""))

    with stopping() as (stop, received):
        result, _ = run_plan(plan, Options(jobs=settings["jobs"], on_error="keep_going"), heard, stop)
    if result.status == "stopped":
        log.info("stopped: the same command runs what is not done")
        raise KeyboardInterrupt(f"signal {received[0]}" if received else "")
    return result


def _ended(launcher: Any, job: Job, step: Step, result: Result, outputs: Path, place: Path) -> JobReturn:
    """How a job ended: as its worker answered, or what is known of it, put into its folder of this time."""
    answer = _answer(place, job)
    if answer.exists():
        found: JobReturn = pickle.loads(answer.read_bytes())
        return found
    done = result.steps[step.id]
    error = done.error or {}

    def known(config: DictConfig) -> Any:
        if done.status not in ("ran", "reused"):
            raise JobError(f"{error.get('message', done.status)}; the log: {_log(outputs, result, step)}")
        files = tree_files(open_store(outputs), done.digests["job"])
        for name, path in files.items():
            if name.startswith(f"{FILES}/"):
                target = job.folder / name.removeprefix(f"{FILES}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return pickle.loads(files[VALUE].read_bytes())

    return run_job(
        hydra_context=launcher.hydra_context, task_function=known, config=job.config, job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir", configure_logging=False,
    )  # fmt: skip


def _log(outputs: Path, result: Result, step: Step) -> str:
    return os.path.relpath(outputs / "runs" / result.run / "logs" / f"{step.id}.log")

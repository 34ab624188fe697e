"""Runs one job in a worker, by Hydra's own `run_job`: folders, logs, environment and callbacks as its launchers."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, run_job, setup_globals
from hydra.types import HydraContext

from mldlc.plan.context import Cancelled, Context, StepError
from mldlc_hydra.task import Task, load

VALUE, FILES = "value.pickle", "files"


@dataclass(frozen=True)
class Order:
    """How to run a job now. config: pickled, with its `hydra` node. files: frozen code, module -> (live path, copy).

    folder: what the job writes into, "" when its files are not kept. answer: where its `JobReturn` goes, pickled.
    """

    task: Task
    config: bytes
    app: str
    cwd: str
    files: Mapping[str, tuple[str, str]]
    folder: str
    answer: str


class JobError(Exception):
    """An exception of a job that cannot be carried to another process, as text."""


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Run the job; its value and files become the artifact, its `JobReturn` goes to the launcher."""
    order: Order = pickle.loads(Path(cfg.job.order).read_bytes())
    os.chdir(order.cwd)
    function = load(order.task, order.files)
    config = pickle.loads(order.config)
    setup_globals()
    JobRuntime.instance().set("name", order.app)
    HydraConfig.instance().set_config(config)
    with _interruptible():
        found = run_job(
            task_function=function, config=config, job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
            hydra_context=HydraContext(config_loader=None, callbacks=Callbacks(config)),  # type: ignore[arg-type]
        )  # fmt: skip
    os.chdir(order.cwd)
    if ctx.cancelled():  # some frameworks take an interrupt for an early end
        raise Cancelled("interrupted")
    if found.status == JobStatus.FAILED:
        error = found._return_value
        _answer(order, found, portable(error))
        print("".join(traceback.format_exception(error)), file=sys.stderr)
        raise StepError(f"{type(error).__name__}: {error}", where=" ".join(found.overrides or ()))
    out = ctx.out("job")
    try:
        (out / VALUE).write_bytes(pickle.dumps(found._return_value))
    except Exception as error:
        raise StepError(
            f"what the job returned cannot be kept: {type(error).__name__}: {error}",
            where=order.task.name, hint="return numbers, texts, lists, arrays: what pickle takes",
        ) from error  # fmt: skip
    for name, path in files_in(Path(order.folder)) if order.folder else ():
        (out / FILES / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / FILES / name)
    if isinstance(found._return_value, int | float):
        ctx.summary({"value": float(found._return_value)})
    _answer(order, found, found._return_value)


@contextmanager
def _interruptible() -> Iterator[None]:
    """A request to stop reaches the job as Ctrl-C does under Hydra's own launcher."""
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: Any) -> None:
        if callable(before):
            before(number, frame)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _answer(order: Order, found: JobReturn, value: Any) -> None:
    found.return_value = value
    Path(order.answer).write_bytes(pickle.dumps(found))


def portable(error: BaseException) -> BaseException:
    """The exception, or its text where another process could not have it."""
    try:
        again = pickle.loads(pickle.dumps(error))
        return error if type(again) is type(error) else JobError("".join(traceback.format_exception(error)))
    except Exception:
        return JobError("".join(traceback.format_exception(error)))


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """What a job wrote into its folder: plain files, but for those of Hydra itself."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] != ".hydra" and path.is_file() and not path.is_symlink():
            yield str(name), path

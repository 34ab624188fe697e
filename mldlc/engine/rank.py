"""One rank of a step: reads the step file of its worker, calls the entry, reports over a socket."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from mldlc import deferred
from mldlc.engine import failure, inputs, step_file
from mldlc.engine.context import StepContext
from mldlc.engine.guardian import PR_SET_PDEATHSIG, prctl
from mldlc.engine.objects import LocalObjects
from mldlc.engine.ranks import RankOrder
from mldlc.engine.step_file import StepFile
from mldlc.plan.context import Cancelled, StepError
from mldlc.store.layout import open_store

# Ranks are forked from a server that imports this module before those of a training. They do need torch's compiler:
# process groups and DDP set what it is to leave alone.
deferred.install("scipy.signal")


class Reporter:
    """The socket to the worker. Its end, or SIGTERM to this rank, are requests to stop: at once, or cleanly."""

    def __init__(self, address: str, rank: int) -> None:
        self.rank, self.stopping, self.over = rank, False, False
        self._sending = threading.Lock()
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.connect(address)
        self.send("hello", {})
        threading.Thread(target=self._read, daemon=True, name="orders").start()
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _read(self) -> None:
        with self._link.makefile("rb") as lines:
            for line in lines:
                self.stopping = self.stopping or line == b"stop\n"
        if not self.over:
            os._exit(1)  # the worker is gone, or another rank is: nothing that this one does can count

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """One line."""
        line = json.dumps({"rank": self.rank, "say": kind, "data": data}, default=str).encode() + b"\n"
        with self._sending:
            self._link.sendall(line)

    def say(self, kind: str, data: dict[str, Any]) -> None:
        """An event of the step: rank 0 speaks for all."""
        if self.rank == 0:
            self.send(kind, data)


def serve(order: RankOrder) -> None:
    """What torchrun calls in every rank; RANK and WORLD_SIZE are in the environment, as for any of its programs."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, force=True,
        format=f"%(asctime)s %(levelname)s rank {rank} %(name)s: %(message)s",
    )  # fmt: skip
    reporter = Reporter(order.address, rank)
    work = Path(order.work) if rank == 0 else Path(order.work) / f"rank-{rank}"
    work.mkdir(parents=True, exist_ok=True)
    file = step_file.read(Path(order.step))
    try:
        ctx = _run(file, order.entry, reporter, work, rank, world)
        adopted = {name: dict(ctx.adopted(name)) for name in file.outputs}
        reporter.over = True
        reporter.send("done", {"facts": ctx.facts, "adopted": adopted} if rank == 0 else {})
    except Cancelled:
        _leave(reporter, "stopped", {})
    except BaseException as error:
        log = logging.getLogger("mldlc.step")
        if not isinstance(error, StepError):
            log.error("the rank failed\n%s", failure.full_text(error))
        _leave(reporter, "error", failure.describe(error, work, file.predicted, file.setting.roots))


def _run(file: StepFile, entry: str, reporter: Reporter, work: Path, rank: int, world: int) -> StepContext:
    owner = {"run": file.setting.run, "step": file.step, "pid": str(os.getpid())}
    port = LocalObjects(open_store(Path(file.setting.outputs)), owner)
    log = logging.getLogger("mldlc.step")
    if rank:
        log.setLevel(logging.WARNING)
    ctx = StepContext(file, port, work, reporter.say, lambda: reporter.stopping, log)
    ctx.rank, ctx.world = rank, world
    cfg = inputs.config(file, [])
    inputs.implementation(entry)(ctx, cfg, inputs.readers(file, port, work / "views"))
    return ctx


def _leave(reporter: Reporter, kind: str, data: dict[str, Any]) -> None:
    """End this process at once, as failed: torchrun then ends the others, should they wait for this one."""
    reporter.over = True
    reporter.send(kind, data)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)

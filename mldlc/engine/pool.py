"""The worker processes of one run, as the scheduler sees them: start, choose, talk, end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mldlc.engine.guardian import TOKEN, bury

BOOT = (
    "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
    "from mldlc.engine.guardian import main; main(a['socket'], a['outputs'])"
)
KEPT = 1  # idle workers kept after their fresh step, for light steps that need the same heavy modules
WAITING = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}  # the user's own setting of either stands
SPINS = "3000"  # libgomp's 300,000 at a barrier outlast a time slice: threads spin for one that waits for their core


@dataclass
class Worker:
    """One process. use: `fresh` waits for its one fresh step, `used` had it, `light` takes light steps only."""

    number: int
    link: socket.socket
    use: Literal["light", "fresh", "used"]
    imported: set[str] = field(default_factory=set)
    step: str = ""
    pid: int = 0
    buffer: bytes = b""
    killed: bool = False


@dataclass(frozen=True)
class Message:
    """What a worker said, or what became of it (`exited`, with status and peak memory)."""

    worker: Worker
    say: str
    data: dict[str, Any]


class Pool:
    """Workers live below one guardian process, which is started with the first of them."""

    def __init__(self, outputs: Path, token: str, log: Path, roots: Mapping[str, str], threads: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.workers: dict[int, Worker] = {}
        self._outputs, self._token, self._log, self._roots, self._threads = outputs, token, log, roots, threads
        self._control: socket.socket | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._count = 0

    def warm(self, preload: Sequence[str]) -> None:
        """Have a fresh worker at hand that imports these modules, unless there is one."""
        if not any(w.use == "fresh" and not w.step and w.imported >= set(preload) for w in self.workers.values()):
            self._start("fresh", preload)

    def no_more_fresh(self) -> None:
        """No fresh step is to come: what their workers are forked from gives its memory back."""
        self._order({"do": "retire"})

    def choose(self, step: str, process: str, preload: Sequence[str]) -> Worker:
        """A worker for a step, started if need be; it is busy from now on."""
        wanted = set(preload)
        idle = [w for w in self.workers.values() if not w.step and not w.killed]
        if process == "fresh":
            found = next((w for w in idle if w.use == "fresh" and w.imported >= wanted), None)
            found = found or self._start("fresh", preload)
            found.use = "used"
            for other in idle:  # allocators keep what data steps freed; training has better use for the memory
                if other.use == "light":
                    self.kill(other)
        else:
            ready = [w for w in idle if w.use != "fresh" and wanted and w.imported >= wanted]
            light = [w for w in idle if w.use == "light"]
            found = min(ready or light, key=lambda w: len(w.imported), default=None) or self._start("light", ())
        found.imported |= wanted
        found.step = step
        return found

    def send(self, worker: Worker, order: dict[str, Any]) -> None:
        """One order; a worker that is gone says so by its exit."""
        with contextlib.suppress(OSError):
            worker.link.sendall(json.dumps(order).encode() + b"\n")

    def free(self, worker: Worker) -> None:
        """Its step ended. Idle heavy workers beyond KEPT are ended."""
        worker.step = ""
        heavy = [w for w in self.workers.values() if w.use == "used" and not w.step and not w.killed]
        for extra in heavy[KEPT:]:
            self.kill(extra)

    def terminate(self, worker: Worker) -> None:
        """Ask it to stop (SIGTERM)."""
        self._order({"do": "term", "worker": worker.number})

    def kill(self, worker: Worker) -> None:
        """SIGKILL to it and its process group."""
        worker.killed = True
        self._order({"do": "kill", "worker": worker.number})

    def wait(self, timeout: float) -> Iterator[Message]:
        """Messages of workers, after at most `timeout` seconds. Other registered descriptors just end the wait."""
        for chosen, _ in self.selector.select(timeout):
            if chosen.data == "guardian":
                yield from self._from_guardian()
            elif isinstance(chosen.data, Worker) and chosen.data.number in self.workers:
                # (an event earlier in this batch may have told of its end, and closed its link)
                yield from self._from_worker(chosen.data)

    def close(self) -> None:
        """End all workers and the guardian; returns when none of their descendants is left."""
        if self._control is not None:
            self._control.close()
        for worker in self.workers.values():
            worker.link.close()
        if self._guardian is not None:
            self._guardian.wait()
        self.selector.close()

    def _start(self, use: Literal["light", "fresh"], preload: Sequence[str]) -> Worker:
        control = self._control or self._start_guardian()
        ours, theirs = socket.socketpair()
        self._count += 1
        worker = Worker(self._count, ours, use, set(preload))
        try:
            told = {"do": "spawn", "worker": worker.number, "preload": list(preload)}
            socket.send_fds(control, [json.dumps(told).encode()], [theirs.fileno()])
        finally:
            theirs.close()
        self.workers[worker.number] = worker
        self.selector.register(ours, selectors.EVENT_READ, worker)
        if preload:
            self.send(worker, {"do": "import", "modules": list(preload)})
        return worker

    def _start_guardian(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        live = {os.path.realpath(root) for root in self._roots}
        path = [p for p in sys.path if p and os.path.realpath(p) not in live]
        threads = str(self._threads)
        env = {
            **os.environ, TOKEN: self._token, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
            "POLARS_MAX_THREADS": threads, "PYTHONPATH": os.pathsep.join([*self._roots.values(), *_inherited(live)]),
        }  # fmt: skip
        env.setdefault("PYTHONHASHSEED", "0")  # sets of texts then have one order: equal inputs give equal bytes
        if not env.keys() & WAITING:
            env["GOMP_SPINCOUNT"] = SPINS
        told = {"path": [*self._roots.values(), *path], "socket": theirs.fileno(), "outputs": str(self._outputs)}
        with self._log.open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, json.dumps(told)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/", pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip
        theirs.close()
        self._control = ours
        self.selector.register(ours, selectors.EVENT_READ, "guardian")
        return ours

    def _order(self, order: dict[str, Any]) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps(order).encode())

    def _from_guardian(self) -> Iterator[Message]:
        assert self._control is not None
        try:
            data = self._control.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:  # it should never die before us; its workers die with it, and what they started is ours to end
            self.selector.unregister(self._control)
            bury(self._token)
            self._control.close()
            self._control = None
            for worker in list(self.workers.values()):
                yield from self._gone(worker, -signal.SIGKILL, 0)
            return
        told = json.loads(data)
        known = self.workers.get(told["worker"])
        if known is None:
            return
        if told["say"] == "started":
            known.pid = told["pid"]
        else:
            yield from self._gone(known, told["status"], told["memory"])

    def _gone(self, worker: Worker, status: int, memory: int) -> Iterator[Message]:
        """Read what it said last, then report its end."""
        worker.link.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := worker.link.recv(1 << 18):
                worker.buffer += data
        yield from _messages(worker)
        self.workers.pop(worker.number, None)
        if worker.link.fileno() in self.selector.get_map():
            self.selector.unregister(worker.link)
        worker.link.close()
        yield Message(worker, "exited", {"status": status, "memory": memory})

    def _from_worker(self, worker: Worker) -> Iterator[Message]:
        try:
            data = worker.link.recv(1 << 18)
        except (BlockingIOError, ConnectionError):
            data = b""
        if not data:
            if worker.link.fileno() in self.selector.get_map():
                self.selector.unregister(worker.link)  # the guardian tells the rest
            return
        worker.buffer += data
        yield from _messages(worker)


def _messages(worker: Worker) -> Iterator[Message]:
    """The whole lines of what was read."""
    *lines, worker.buffer = worker.buffer.split(b"\n")
    for line in lines:
        told = json.loads(line)
        yield Message(worker, told.pop("say"), told)


def _inherited(live: set[str]) -> list[str]:
    """The user's own PYTHONPATH, without live code roots."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [path for path in named if path and os.path.realpath(path) not in live]

"""A process that has imported what fresh workers need, and forks them: a training then starts in milliseconds.

It lives below the guardian. A worker is forked by way of a process that ends at once, so the guardian, as subreaper,
becomes its parent and learns of its end. Importing starts no thread that a child would miss: none of OpenMP's; OpenBLAS
and jemalloc make theirs anew, that of Polars idles. Ranks are forked from such a server as well (`ranks.py`).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from mldlc import deferred


@dataclass
class Template:
    """As the guardian sees it. pending: numbers of the workers asked for that are not there yet."""

    pid: int
    link: socket.socket
    modules: tuple[str, ...]
    pending: list[int] = field(default_factory=list)
    ended: bool = False

    def ask(self, worker: int, descriptor: int) -> None:
        """Have a worker forked that serves the socket; OSError when this process is gone."""
        socket.send_fds(self.link, [json.dumps({"worker": worker}).encode()], [descriptor])
        self.pending.append(worker)

    def told(self) -> list[tuple[int, int]]:
        """(number, pid) of the workers that were forked since."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := self._heard():
                said = json.loads(data)
                self.forget(said["worker"])
                found.append((said["worker"], said["pid"]))
            self.ended = True
        return found

    def _heard(self) -> bytes:
        try:
            return self.link.recv(1 << 12, socket.MSG_DONTWAIT)
        except ConnectionError:
            return b""

    def forget(self, worker: int) -> bool:
        """Whether the worker was still to come."""
        known = worker in self.pending
        if known:
            self.pending.remove(worker)
        return known

    def retire(self) -> None:
        """It ends when it has forked what it was asked for, and is asked for nothing more."""
        self.modules = ()
        with contextlib.suppress(OSError):
            self.link.shutdown(socket.SHUT_WR)


def nurse(link: socket.socket, modules: Sequence[str], become_worker: Callable[[int], NoReturn]) -> None:
    """Import the modules, then fork a worker for every socket that comes, until no more can come."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # else imports start CUDA, which no fork survives
    deferred.install()
    for name in modules:
        with contextlib.suppress(Exception):  # a broken module fails in the step that needs it, with its message
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(link, 1 << 12, 1)
        if not data:
            return
        pid = _grandchild(link, descriptors[0], become_worker)
        os.close(descriptors[0])
        link.send(json.dumps({"worker": json.loads(data)["worker"], "pid": pid}).encode())


def _grandchild(link: socket.socket, descriptor: int, become_worker: Callable[[int], NoReturn]) -> int:
    """The process that became the worker; its parent has ended."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                os.close(writing)
                link.close()
                become_worker(descriptor)
            os.write(writing, str(pid).encode())
        finally:
            os._exit(0)
    os.close(writing)
    told = os.read(reading, 32)
    os.close(reading)
    os.waitpid(between, 0)
    return int(told)

"""The parent of all worker processes: forks them quickly, reports their end, and leaves nothing behind.

It lives in its own session and waits on a socket to the scheduler. When that closes, for whatever reason (also
kill -9), it kills every worker's process group at once and then everything that still descends from this run. It is
single-threaded, so a worker's parent-death signal means the guardian's death and not that of some thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

TOKEN = "MLDLC_RUN_TOKEN"  # in the environment of every descendant: finds those that left their process group
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ROUNDS = 50


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the sockets that close are the only sign of a parent's death."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Guardian:
    """State of the guardian: the socket to the scheduler and the workers by number."""

    def __init__(self, control: socket.socket, outputs: str) -> None:
        self.control, self.outputs = control, outputs
        self.workers: dict[int, int] = {}  # pid -> number

    def loop(self) -> None:
        """Serve until the scheduler's end of the socket closes."""
        awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self.control, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while True:
            for chosen, _ in selector.select():
                if chosen.fd == awake:
                    os.read(awake, 4096)
                    self.reap()
                    continue
                try:
                    message, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 1)
                except ConnectionError:
                    message = b""
                if not message:
                    return
                self.obey(json.loads(message), descriptors, selector)

    def obey(self, order: dict[str, Any], descriptors: list[int], selector: selectors.BaseSelector) -> None:
        """spawn (with a socket), term or kill one worker."""
        number = order["worker"]
        if order["do"] == "spawn":
            pid = os.fork()
            if pid == 0:
                self._become_worker(descriptors[0], selector)
            os.close(descriptors[0])
            self.workers[pid] = number
            self.tell({"say": "started", "worker": number, "pid": pid})
            return
        for pid in [pid for pid, n in self.workers.items() if n == number]:
            if order["do"] == "term":
                os.kill(pid, signal.SIGTERM)
            else:
                kill_group(pid)

    def _become_worker(self, descriptor: int, selector: selectors.BaseSelector) -> None:
        parent = os.getppid()
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            selector.close()
            self.control.close()
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            from mldlc.engine.worker import serve

            code = serve(socket.socket(fileno=descriptor), Path(self.outputs))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def reap(self) -> None:
        """Collect the dead. What is left of a dead worker's group goes before its end is told."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid in self.workers:
                kill_group(pid)
            _, status, spent = os.wait4(pid, 0)
            number = self.workers.pop(pid, None)
            if number is not None:
                code = os.waitstatus_to_exitcode(status)
                self.tell({"say": "exited", "worker": number, "status": code, "memory": spent.ru_maxrss * 1024})

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            return  # the scheduler is gone: the loop sees it

    def end(self, token: str) -> None:
        """Kill all workers with their groups, then what escaped from its group."""
        for pid in list(self.workers):
            kill_group(pid)
        for _ in range(ROUNDS):
            left = [pid for pid in descendants(token) if pid != os.getpid()]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                if not left:
                    return


def kill_group(pid: int) -> None:
    """SIGKILL to a process group, and to its leader should it not have made the group yet."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def bury(token: str) -> None:
    """For the scheduler, when the guardian died before it: kill what the guardian would have killed."""
    for _ in range(ROUNDS):
        left = descendants(token, adopted=False)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def descendants(token: str, *, adopted: bool = True) -> list[int]:
    """Processes of this run: who has the token in the environment; adopted: and the children of this process."""
    mine, found = os.getpid(), []
    mark = f"{TOKEN}={token}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if stat[0] == b"Z":
                    continue
                if (adopted and int(stat[1]) == mine) or mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def main(descriptor: int, outputs: str) -> None:
    """Entry: `descriptor` is the socket to the scheduler."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a worker unblocks it once it can take it
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    import mldlc.engine.worker  # imported once, before the forks: a worker then starts in milliseconds

    assert mldlc.engine.worker is not None
    gc.freeze()
    guardian = Guardian(socket.socket(fileno=descriptor), outputs)
    try:
        guardian.loop()
    finally:
        guardian.end(os.environ[TOKEN])

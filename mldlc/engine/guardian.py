"""The parent of all worker processes: forks them quickly, reports their end, and leaves nothing behind.

It lives in its own session and waits on a socket to the scheduler. When that closes, for whatever reason (also
kill -9), it kills every worker's process group at once and then everything that still descends from this run. It is
single-threaded, so a worker's parent-death signal means the guardian's death and not that of some thread. Workers that
need modules which take seconds to import are forked by a process that has them, see `template.py`.
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
from typing import Any, NoReturn

from mldlc.engine.template import Template, nurse

TOKEN = "MLDLC_RUN_TOKEN"  # in the environment of every descendant: finds those that left their process group
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ROUNDS = 50
ADOPTION_SECONDS = 5.0  # that a worker's parent, which ends at once, has for it


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the sockets that close are the only sign of a parent's death."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Guardian:
    """State of the guardian: the socket to the scheduler, the workers by number, and the templates that fork some.

    unclaimed: (exit code, memory) of processes that ended before a template told that they were workers. early: what
    was asked of workers that are not there yet.
    """

    def __init__(self, control: socket.socket, outputs: str) -> None:
        self.control, self.outputs = control, outputs
        self.workers: dict[int, int] = {}  # pid -> number
        self.templates: dict[int, Template] = {}  # by pid
        self.unclaimed: dict[int, tuple[int, int]] = {}
        self.early: dict[int, str] = {}
        self.selector = selectors.DefaultSelector()

    def loop(self) -> None:
        """Serve until the scheduler's end of the socket closes."""
        awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(self.control, selectors.EVENT_READ)
        self.selector.register(awake, selectors.EVENT_READ)
        while True:
            for chosen, _ in self.selector.select():
                if chosen.fd == awake:
                    os.read(awake, 4096)
                    self.reap()
                    continue
                if isinstance(chosen.data, Template):
                    if not chosen.data.ended:  # else an event earlier in this batch told of its end
                        self.claim(chosen.data)
                    continue
                try:
                    message, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 1)
                except ConnectionError:
                    message = b""
                if not message:
                    return
                self.obey(json.loads(message), descriptors)

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """spawn (with a socket), term or kill one worker; retire the templates: no worker of theirs is to come."""
        match order["do"]:
            case "spawn":
                self.spawn(order["worker"], descriptors[0], tuple(order["preload"]))
                os.close(descriptors[0])
            case "retire":
                for template in self.templates.values():
                    template.retire()
            case wanted:
                pids = [pid for pid, number in self.workers.items() if number == order["worker"]]
                for pid in pids:
                    _end(pid, wanted)
                if not pids:
                    self.end_early(order["worker"], wanted)

    def spawn(self, number: int, descriptor: int, modules: tuple[str, ...]) -> None:
        """Fork a worker that serves the socket, or have it forked by who has its modules."""
        if modules and sys.platform == "linux":  # elsewhere no grandchild comes back to this process
            try:
                self.template(modules, descriptor).ask(number, descriptor)
                return
            except OSError:
                pass  # it is gone: the worker imports its modules itself
        guardian = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(descriptor, guardian)
        self.workers[pid] = number
        self.tell({"say": "started", "worker": number, "pid": pid})

    def template(self, modules: tuple[str, ...], descriptor: int) -> Template:
        """The one that has these modules; it may still import them. descriptor: is a worker's, and not kept by it."""
        for known in self.templates.values():
            if known.modules == modules and not known.ended:
                return known
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guardian = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._leave(guardian)
                ours.close()
                os.close(descriptor)
                nurse(theirs, modules, lambda descriptor: self._become_worker(descriptor, guardian))
            finally:
                os._exit(0)
        theirs.close()
        made = self.templates[pid] = Template(pid, ours, modules)
        self.selector.register(ours, selectors.EVENT_READ, made)
        return made

    def claim(self, template: Template) -> None:
        """Take over the workers that a template has forked; one that ends is no longer listened to."""
        for number, pid in template.told():
            if self.early.get(number) == "kill":  # its end was told
                kill_group(pid)
                continue
            self.tell({"say": "started", "worker": number, "pid": pid})
            if pid in self.unclaimed:
                kill_group(pid)
                self.tell_end(number, *self.unclaimed.pop(pid))
            else:
                self.workers[pid] = number
                if number in self.early:
                    _end(pid, self.early.pop(number))
        if not any(other.pending for other in self.templates.values()):
            self.unclaimed.clear()
        if template.ended and template.link in self.selector.get_map():
            self.selector.unregister(template.link)

    def end_early(self, number: int, order: str) -> None:
        """A worker that a template has not forked yet: SIGTERM waits for it, SIGKILL does not."""
        self.early[number] = order
        if order == "kill" and any(template.forget(number) for template in self.templates.values()):
            self.tell_end(number, -signal.SIGKILL, 0)

    def _leave(self, guardian: int) -> None:
        """Make a forked process one of its own: signals, session, and death with the guardian."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        self.selector.close()
        self.control.close()
        for template in self.templates.values():
            template.link.close()
        os.setsid()
        _die_with(guardian)

    def _become_worker(self, descriptor: int, guardian: int) -> NoReturn:
        code = 1
        try:
            if os.getsid(0) == os.getsid(guardian):
                self._leave(guardian)
            else:  # from a template, which has left already
                os.setsid()
                _die_with(guardian)
                _reseed()
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
            code, memory = os.waitstatus_to_exitcode(status), spent.ru_maxrss * 1024
            if pid in self.workers:
                self.tell_end(self.workers.pop(pid), code, memory)
            elif pid in self.templates:
                self.bereave(self.templates.pop(pid), code)
            elif any(template.pending for template in self.templates.values()):
                self.unclaimed[pid] = code, memory

    def bereave(self, template: Template, code: int) -> None:
        """A template has ended: so have the workers that it did not get to."""
        self.claim(template)
        template.ended = True
        if template.link in self.selector.get_map():
            self.selector.unregister(template.link)
        template.link.close()
        for number in template.pending:
            self.tell_end(number, code or 1, 0)

    def tell_end(self, number: int, code: int, memory: int) -> None:
        self.tell({"say": "exited", "worker": number, "status": code, "memory": memory})

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            return  # the scheduler is gone: the loop sees it

    def end(self, token: str) -> None:
        """Kill all workers with their groups, then what escaped from its group."""
        for pid in (*self.workers, *self.templates):
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


def _end(pid: int, order: str) -> None:
    """SIGTERM to a worker, or SIGKILL to it and its group."""
    if order == "term":
        os.kill(pid, signal.SIGTERM)
    else:
        kill_group(pid)


def _die_with(guardian: int) -> None:
    """SIGKILL when the guardian ends; at once if it has."""
    deadline = time.monotonic() + ADOPTION_SECONDS
    while os.getppid() != guardian and time.monotonic() < deadline:
        time.sleep(0.0005)  # a template's grandchild, until the process between them is gone
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)


def _reseed() -> None:
    """Forked from one template, workers would draw the same numbers of NumPy, which Python's own `random` sees to."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


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

"""A worker process: takes orders as JSON lines over a socket (stdout is the user's), executes step after step."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mldlc import deferred
from mldlc.engine import inputs as _inputs  # noqa: F401  imported here so that forked workers have it
from mldlc.engine import step_file
from mldlc.engine.objects import LocalObjects
from mldlc.engine.perform import Surroundings, perform
from mldlc.engine.secrets import redact, redact_all
from mldlc.plan.codec import encode
from mldlc.store.layout import open_store

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Worker:
    """One worker. The main thread executes (libraries want it for signals); a second one reads the socket."""

    def __init__(self, link: socket.socket, outputs: Path) -> None:
        self.link = link
        self.store = open_store(outputs)
        self.orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.stopping = False
        self._sending = threading.Lock()

    def run(self) -> int:
        """Serve until the other end goes away; then the whole process group dies."""
        deferred.install()
        signal.signal(signal.SIGTERM, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        threading.Thread(target=self._read, daemon=True, name="orders").start()
        while True:
            order = self.orders.get()
            if order["do"] == "import":
                self._preload(order["modules"])
            elif order["do"] == "step":
                self._step(order)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _read(self) -> None:
        with self.link.makefile("rb") as lines:
            for line in lines:
                self.orders.put(json.loads(line))
        os.killpg(0, signal.SIGKILL)

    def say(self, type: str, data: dict[str, Any]) -> None:
        """One message to the scheduler. A scheduler that is gone is not this thread's business."""
        line = json.dumps({"say": type, **data}, default=str).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self.link.sendall(line)

    def _preload(self, modules: list[str]) -> None:
        for name in modules:
            with contextlib.suppress(Exception):  # a broken module fails in the step that needs it, with its message
                importlib.import_module(name)
        self.say("imported", {"modules": modules})

    def _step(self, order: dict[str, Any]) -> None:
        path = Path(order["file"])
        work = path.parent
        file = step_file.read(path)
        secrets: list[str] = []

        def say(type: str, data: dict[str, Any]) -> None:
            self.say(type, {"step": file.step, "data": redact_all(data, secrets)})

        masked = secrets if _may_hold_secrets(file.params) else None
        with _logged(Path(order["log"]), masked, say) as log:
            os.chdir(work)
            around = Surroundings(work, say, lambda: self.stopping, log, secrets=secrets)
            owner = {"run": file.setting.run, "step": file.step, "pid": str(os.getpid())}
            outcome = perform(file, LocalObjects(self.store, owner), around)
            os.chdir("/")
        signal.signal(signal.SIGTERM, self._stop)  # a library may have put its own handler there
        shutil.rmtree(work, ignore_errors=True)
        self.say("result", {"step": file.step, "outcome": redact_all(encode(outcome), secrets)})


def _may_hold_secrets(params: Any) -> bool:
    """Whether any text in the params looks like a reference to a secret."""
    if isinstance(params, dict):
        return any(_may_hold_secrets(item) for item in params.values())
    if isinstance(params, list):
        return any(_may_hold_secrets(item) for item in params)
    return isinstance(params, str) and params.startswith(("env:", "file:"))


@contextlib.contextmanager
def _logged(path: Path, secrets: list[str] | None, say: Any) -> Iterator[logging.Logger]:
    """stdout, stderr and logging of the step go to its log file.

    Where there may be secrets they go through a pipe that masks them; otherwise straight, so that the last words of a
    killed worker are kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    copier: threading.Thread | None = None
    if secrets is not None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        copier = threading.Thread(target=_copy, args=(reading, target, secrets), daemon=True, name="log")
        copier.start()
        target = writing
    saved = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (1, 2):
        os.dup2(target, number)
    os.close(target)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    handler = _WarningsToJournal(say)
    root, log = logging.getLogger(), logging.getLogger("mldlc.step")
    if not root.handlers:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=LOG_FORMAT)
    log.addHandler(handler)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), saved, strict=True):
            os.dup2(old, number)
            os.close(old)
        if copier is not None:
            copier.join(timeout=1.0)  # a child that still holds the pipe must not hold the step


def _copy(reading: int, target: int, secrets: list[str]) -> None:
    """Lines from the pipe to the log file."""
    with os.fdopen(reading, "rb", buffering=1 << 16) as lines:
        for line in lines:
            os.write(target, redact(line.decode("utf-8", "replace"), secrets).encode())
    os.close(target)


class _WarningsToJournal(logging.Handler):
    """Warnings of a step are worth a line in the journal."""

    def __init__(self, say: Any) -> None:
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        self.say("log", {"level": record.levelname.lower(), "text": record.getMessage()})


def serve(link: socket.socket, outputs: Path) -> int:
    """Run a worker on an open socket; gives the exit code."""
    return Worker(link, outputs).run()


def main(arguments: list[str]) -> int:
    """`python -m mldlc.engine.worker OUTPUTS FD`: a worker on an inherited socket."""
    return serve(socket.socket(fileno=int(arguments[1])), Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The folder of one run: plan, journal, logs, summary. The journal is locked as long as its run is alive."""

from __future__ import annotations

import datetime
import fcntl
import json
import math
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mldlc.engine.files import link_atomic, write_atomic
from mldlc.engine.result import FORMAT, Event, Result
from mldlc.plan.codec import canonical, encode
from mldlc.plan.diagnostic import fail
from mldlc.plan.plan import Plan, dump

NAME = "journal.jsonl"
SUMMARY = "summary.json"
DURABLE = {
    "run_started", "step_finished", "step_failed", "gate_waiting", "gate_rejected", "effect_applied", "run_finished",
}  # fmt: skip


_strict = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=str).encode


class Journal:
    """Appends events as JSON lines. A disk that is full ends the journal (`broken`), not the run: records decide."""

    def __init__(self, outputs: Path, plan: Plan) -> None:
        now = datetime.datetime.now(datetime.UTC)
        try:
            while True:
                self.run = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
                self.folder = outputs / "runs" / self.run
                try:
                    self.folder.mkdir(parents=True)
                    break
                except FileExistsError:
                    continue
            (self.folder / "logs").mkdir()
            write_atomic(self.folder / "plan.json", dump(plan).encode(), sync=False)
            self._file = os.open(self.folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            link_atomic(outputs / "latest", f"runs/{self.run}")
        except OSError as error:
            message = f"cannot write the run under {outputs}: {error.strerror}"
            raise fail("outputs_not_writable", message, key="paths.outputs") from error
        self.broken: OSError | None = None
        self._lines: list[bytes] = []
        self._durable = False

    def log(self, step: str) -> Path:
        """Where the output of a step goes."""
        return self.folder / "logs" / f"{re.sub(r'[^A-Za-z0-9._@=+-]', '_', step)}.log"

    def write(self, event: Event) -> None:
        """Keep an event until the next `flush`."""
        self._lines.append(canonical_line(event))
        self._durable |= event.type in DURABLE

    def flush(self) -> None:
        """Append what was kept; fsync when one of the events matters."""
        if not self._lines:
            return
        data, self._lines = b"".join(self._lines), []
        if self.broken is None:
            try:
                os.write(self._file, data)
                if self._durable:
                    os.fsync(self._file)
            except OSError as error:
                self.broken = error
        self._durable = False

    def close(self, result: Result, started: float, name: str) -> None:
        """Write the summary (the machine contract and every step) and let go of the lock."""
        self.flush()
        body: dict[str, Any] = {"format": FORMAT, "name": name, "started": started, **encode(result)}
        for key in ("metrics", "steps"):
            body.setdefault(key, {})
        try:
            write_atomic(self.folder / SUMMARY, _line(body, canonical))
        except OSError as error:
            self.broken = self.broken or error
        os.close(self._file)


def canonical_line(event: Event) -> bytes:
    """One line of the journal."""
    body = {"type": event.type, "time": round(event.time, 6), "step": event.step, "data": event.data}
    return _line(body, lambda value: _strict(value).encode())


def _line(body: Any, written: Callable[[Any], bytes]) -> bytes:
    """A JSON line, from a copy of the body only where it holds what JSON does not."""
    try:
        return written(body) + b"\n"
    except (TypeError, ValueError):
        return written(_finite(body)) + b"\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: a diverging loss is written as a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

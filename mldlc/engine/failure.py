"""What went wrong in a step, as data: one clear message; the user's own part of a traceback; whether to try again."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldlc.plan.context import StepError, TransientError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ENGINE = str(Path(__file__).parent) + os.sep


class Told(Exception):
    """A failure that another process of the step has described already."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.told = told


def describe(error: BaseException, work: Path, predicted: int, roots: Mapping[str, str]) -> dict[str, Any]:
    """{type, message, where, hint, traceback, transient} of an exception that a step raised."""
    if isinstance(error, Told):
        return error.told
    full = _storage(error, work, predicted)
    if full:
        return full
    if isinstance(error, StepError):
        return _error("StepError", error.message, error.where, error.hint)
    transient = isinstance(error, TransientError | ConnectionError)
    kind = type(error).__name__
    text = str(error).strip()
    return _error(
        kind, f"{kind}: {text}" if text else kind, where=_place(error, roots), trace=_own(error, roots), again=transient
    )


def _error(
    kind: str, message: str, where: str = "", hint: str = "", trace: str = "", again: bool = False
) -> dict[str, Any]:
    return {"type": kind, "message": message, "where": where, "hint": hint, "traceback": trace, "transient": again}


def _storage(error: BaseException, work: Path, predicted: int) -> dict[str, Any] | None:
    """Storage that is full or not writable, anywhere in the chain of causes."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            needed = max(predicted, _size(work))
            free = shutil.disk_usage(work if work.exists() else work.parent).free
            message = f"disk full: needs about {_human(needed)} or more, {_human(free)} free at {work.parent}"
            return _error("DiskFull", message, chain.filename or "", "free some space, then run the same command again")
        if isinstance(chain, OSError) and chain.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            why = "the file system is read-only" if chain.errno == errno.EROFS else "permission denied"
            path = str(chain.filename or work)
            return _error("NotPermitted", f"{why}: {path}", path, "check the owner and mode of that path")
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return None


def killed(status: int, memory: int, log: str, who: str = "the worker") -> dict[str, Any]:
    """A worker (or a rank) that died. status: negative signal number or exit code; memory: its peak RSS in bytes."""
    peak = f"peak memory {_human(memory)}" if memory else "peak memory unknown"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = f"read {log}"
        if -status == signal.SIGKILL:
            hint = (
                "often the system ran out of memory: use less of it (smaller batches, fewer jobs) or set needs.memory"
            )
        return _error("WorkerKilled", f"{who} was killed by {name} ({peak})", hint=hint, again=True)
    message = f"{who} ended with exit code {status} before the step did ({peak})"
    return _error("WorkerExited", message, hint=f"read {log}", again=True)


def _own(error: BaseException, roots: Mapping[str, str]) -> str:
    """The traceback without the engine's frames; paths in a frozen copy are shown at the live place."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ENGINE)]
    mine = [f for f in frames if _live(f.filename, roots) != f.filename]
    last = frames[-1:] if frames and mine and frames[-1] is not mine[-1] else []
    lines = traceback.format_list((mine + last) if mine else frames)
    return _live_text("".join(lines + traceback.format_exception_only(error)), roots)


def _place(error: BaseException, roots: Mapping[str, str]) -> str:
    """file:line of the innermost frame in the user's own code."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        live = _live(frame.filename, roots)
        if live != frame.filename:
            return f"{live}:{frame.lineno}"
    return ""


def full_text(error: BaseException) -> str:
    """The whole traceback, for the log of the step."""
    return "".join(traceback.format_exception(error))


def _live(path: str, roots: Mapping[str, str]) -> str:
    for live, frozen in roots.items():
        if path.startswith(frozen + os.sep):
            return live + path[len(frozen) :]
    return path


def _live_text(text: str, roots: Mapping[str, str]) -> str:
    for live, frozen in roots.items():
        text = text.replace(frozen + os.sep, live + os.sep)
    return text


def _size(folder: Path) -> int:
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file()) if folder.exists() else 0


def _human(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

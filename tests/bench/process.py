"""Runs a command as a whole process and reads what it cost: wall, CPU of its whole tree, peak memory of its tree."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MLDLC = (sys.executable, "-m", "mldlc")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and CPU, peak PSS in bytes (0: not sampled), and what it printed."""

    wall: float
    cpu: float
    memory: int = 0
    out: str = ""


def run(command: Sequence[str], cwd: Path, *, memory: bool = False, env: dict[str, str] | None = None) -> Cost:
    """Run to the end, as where Python keeps its bytecode; RuntimeError with its output when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept | (env or {})
    )
    peak = [0]
    stop = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, peak, stop)) if memory else None
    if sampler:
        sampler.start()
    out, err = process.communicate()
    wall = time.perf_counter() - started
    stop.set()
    if sampler:
        sampler.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 4):
        raise RuntimeError(f"{command}: {process.returncode}\n{out[-2000:]}\n{err[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, peak[0], out)


def median(work: Callable[[], Cost], rounds: int) -> Cost:
    """Medians of several runs; memory is the largest."""
    costs = [work() for _ in range(rounds)]
    return Cost(
        statistics.median(c.wall for c in costs),
        statistics.median(c.cpu for c in costs),
        max(c.memory for c in costs),
        costs[-1].out,
    )


def _sample(pid: int, peak: list[int], stop: threading.Event) -> None:
    """Largest sum of PSS over the process tree, every 100 ms: shared pages count once."""
    while not stop.wait(0.1):
        total = 0
        try:
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            return
        for process in tree:
            try:
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue
        peak[0] = max(peak[0], total)

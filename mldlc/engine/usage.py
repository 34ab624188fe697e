"""CPU seconds and peak memory of one execution: this process and every process it started."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

INTERVAL = 0.25  # seconds between looks at child processes


class Usage:
    """Measures from construction to `stop()`. The own peak is exact (the kernel keeps it), that of children sampled."""

    def __init__(self, sampled: bool = True) -> None:
        self.started = time.time()
        self._clock = time.perf_counter()
        self._cpu = _cpu()
        self.seconds = self.cpu = 0.0
        self.memory = 0
        self._peak = 0
        self._children_cpu = 0.0
        self._thread: threading.Thread | None = None
        if sampled:
            _reset_peak()
            self._end = threading.Event()
            self._thread = threading.Thread(target=self._sample, daemon=True, name="usage")
            self._thread.start()

    def stop(self) -> None:
        """Fix `seconds`, `cpu` (live children at their last look) and `memory` (bytes)."""
        self.seconds = time.perf_counter() - self._clock
        self.cpu = _cpu() - self._cpu + self._children_cpu
        if self._thread is not None:
            self._end.set()
            self.memory = max(own_peak(), self._peak)

    def _sample(self) -> None:
        while not self._end.wait(INTERVAL):
            if _has_children():
                self._look()

    def _look(self) -> None:
        import psutil

        memory, cpu = psutil.Process().memory_info().rss, 0.0
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
                memory += child.memory_info().rss
                cpu += times.user + times.system
            except psutil.Error:
                continue
        self._peak, self._children_cpu = max(self._peak, memory), cpu


def _cpu() -> float:
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + done.ru_utime + done.ru_stime


def _reset_peak() -> None:
    """Start the kernel's high-water mark anew (Linux), so a shared worker reports the step's peak and not its own."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def own_peak() -> int:
    """Peak RSS of this process in bytes since `_reset_peak`."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _has_children() -> bool:
    try:
        return any((task / "children").read_text() for task in Path(f"/proc/{os.getpid()}/task").iterdir())
    except OSError:
        return True

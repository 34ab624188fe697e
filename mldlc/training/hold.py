"""Where a streamed table is held: in memory where it fits the budget, else on disk. Light: asked by plan and worker."""

from __future__ import annotations

from pathlib import Path

SHARE = 0.5  # of the free memory: the model, its optimizer and the other steps need some, too
CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that a new process may take: what the machine has free, and less where a control group says so."""
    found = []
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    most, used = _read(CGROUP / "memory.max").strip(), _read(CGROUP / "memory.current").strip()
    if most.isdigit() and used.isdigit():
        found.append(max(0, int(most) - int(used)))
    return min(found, default=0)


def budget(memory_gb: float | None) -> int:
    """Bytes that a table may take."""
    return int(memory_gb * 2**30) if memory_gb is not None else int(free_memory() * SHARE)


def choose(hold: str, size: int, limit: int) -> tuple[str, str]:
    """(memory or disk, why) for a table of `size` bytes under a budget of `limit`. hold: memory, disk or auto."""
    if hold != "auto":
        return hold, f"ingest.hold={hold}"
    fits = size <= limit
    return ("memory" if fits else "disk"), f"{shown(size)} {'fit' if fits else 'do not fit'} {shown(limit)}"


def shown(size: int) -> str:
    """A number of bytes for people."""
    number = float(size)
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.3g} GB"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""What a worker imports before its first step: with modules deferred, as ours do, and as any other process would."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.process import run
from tests.bench.results import keep, table

ROUNDS = 5
AFTER = (
    "import resource\nown = resource.getrusage(resource.RUSAGE_SELF)\n"
    "print(own.ru_utime + own.ru_stime, len(sys.modules), own.ru_maxrss)\n"
)
DEFER = "import sys\nfrom mldlc import deferred\ndeferred.install()\n"
CASES = {
    "python": "",
    "torch": "import torch",
    "lightning.pytorch": "import lightning.pytorch",
    "a training": "import mldlc.training.train",
    "whylogs": "import whylogs",
    "a profile": "import mldlc.profile.profile",
}


def main(rounds: int = ROUNDS) -> None:
    """Measure and keep the table; the two ways take turns."""
    folder = Path(tempfile.mkdtemp())
    rows = []
    for name, code in CASES.items():
        found: dict[str, list[list[float]]] = {"import sys\n": [], DEFER: []}
        for _ in range(rounds):
            for way, seen in found.items():
                out = run([sys.executable, "-c", way + code + "\n" + AFTER], folder).out
                seen.append([float(item) for item in out.split()])
        (cpu, modules, memory), (light, fewer, less) = (
            [statistics.median(column) for column in zip(*seen, strict=True)] for seen in found.values()
        )
        rows.append(
            [name, f"{cpu:.2f}", f"{light:.2f}", f"{light / cpu:.2f}x", f"{modules:.0f}", f"{fewer:.0f}",
             f"{memory / 1024:.0f}", f"{less / 1024:.0f}"]
        )  # fmt: skip
    names = ["import of", "CPU s", "deferred", "ratio", "modules", "deferred", "peak MB", "deferred"]
    keep("Imports of a worker, with modules deferred and without", table(names, rows))


if __name__ == "__main__":
    main()

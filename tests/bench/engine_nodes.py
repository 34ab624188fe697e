"""Cost of a node to the engine: 20, 200 and 1000 inline no-op nodes, a first run and an unchanged one.

Run it with `python -m tests.bench.engine_nodes [folder]`. Medians of 5; the floor beside them is what the same
disk takes for one durable small file a node (write, fsync, rename), one after another.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mldlc.engine.history import read_run
from mldlc.plan.plan import Plan
from tests.engine.plans import Builder, Watch, planned

ROUNDS = 5


def layers(count: int, width: int = 10) -> Plan:
    """A DAG of no-op nodes: every node but the first row waits for two of the row before."""
    built = Builder()
    for number in range(count):
        row, column = divmod(number, width)
        above = [f"n{(row - 1) * width + (column + shift) % width}.done" for shift in (0, 1)] if row else []
        built.add(f"n{number}", "noop", {"after": above}, value=f"v{number}")
    return built.plan()


def floor(folder: Path, count: int) -> float:
    """Seconds a node for one durable file each."""
    start = time.perf_counter()
    for number in range(count):
        with (folder / "tmp").open("wb") as file:
            file.write(b"x" * 600)
            os.fsync(file.fileno())
        (folder / "tmp").rename(folder / str(number))
    return (time.perf_counter() - start) / count


def measure(folder: Path, count: int) -> tuple[float, float, float, float]:
    """Median µs a node: floor, first run, run of the same plan, run of the plan that the compiler makes after it."""
    plan = layers(count)
    rows = []
    for number in range(ROUNDS):
        place = folder / f"{count}-{number}"
        (place / "floor").mkdir(parents=True)
        low = floor(place / "floor", count)
        watch = Watch(place / "out")
        start = time.perf_counter()
        result = watch.run(plan)
        first = time.perf_counter() - start
        assert result.counts["run"] == count, result.counts
        keys = {e.step: e.data["key"] for e in watch.events if e.type == "step_finished"}
        start = time.perf_counter()
        assert watch.run(plan).counts["reuse"] == count
        same = time.perf_counter() - start
        after = planned(plan, result, keys)
        start = time.perf_counter()
        done = watch.run(after)
        unchanged = time.perf_counter() - start
        assert done.counts["reuse"] == count and read_run(watch.outputs, done.run).status == "ok"
        rows.append((low, first / count, same / count, unchanged / count))
        shutil.rmtree(place)
    return tuple(statistics.median(row[column] * 1e6 for row in rows) for column in range(4))  # type: ignore[return-value]


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    print("µs a node     floor    first     same    unchanged")
    for count in (20, 200, 1000):
        low, first, same, unchanged = measure(folder, count)
        print(f"{count:>9} {low:>9.0f} {first:>8.0f} {same:>8.0f} {unchanged:>12.0f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

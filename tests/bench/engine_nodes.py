"""Cost of a node to the engine: 20, 200 and 1000 inline no-op nodes, a first run and an unchanged one.

Run it with `python -m tests.bench.engine_nodes [folder]`. Medians of 5, wall / CPU in µs a node, interleaved with the
floor of the same disk: one durable small file a node (write, fsync, rename), one after another. The store has its
fan-out folders already, as any store has after its first runs. `same` runs the same plan again (every key is looked
up), `unchanged` the plan that the compiler makes after it (all `reuse`).
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mldlc.plan.plan import Plan
from mldlc.store.layout import open_store
from tests.engine.plans import Builder, Watch, planned

ROUNDS = 5


def layers(count: int, round: int = 0, width: int = 10) -> Plan:
    """A DAG of no-op nodes: every node but the first row waits for two of the row before."""
    built = Builder()
    for number in range(count):
        row, column = divmod(number, width)
        above = [f"n{(row - 1) * width + (column + shift) % width}.done" for shift in (0, 1)] if row else []
        built.add(f"n{number}", "noop", {"after": above}, value=f"v{number} {round}")
    return built.plan()


def floor(folder: Path, count: int) -> None:
    """One durable file a node."""
    for number in range(count):
        with (folder / "tmp").open("wb") as file:
            file.write(b"x" * 600)
            os.fsync(file.fileno())
        (folder / "tmp").rename(folder / str(number))


def timed(work: Callable[[], Any], count: int) -> tuple[tuple[float, float], Any]:
    """((wall, CPU) in µs a node, what the work gave)."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = work()
    return ((time.perf_counter() - wall) / count * 1e6, (time.process_time() - cpu) / count * 1e6), value


def measure(folder: Path, count: int) -> list[tuple[float, float]]:
    """Medians (wall, CPU): floor, first, same, unchanged."""
    watch = Watch(folder / f"out{count}")
    store = open_store(watch.outputs)
    for number in range(256):
        for part in (store.objects, store.records):
            (part / f"{number:02x}").mkdir()
    rows = []
    for number in range(ROUNDS):
        plan = layers(count, number)
        (folder / f"floor{count}-{number}").mkdir()
        low, _ = timed(lambda n=number: floor(folder / f"floor{count}-{n}", count), count)  # type: ignore[misc]
        first, result = timed(lambda p=plan: watch.run(p), count)  # type: ignore[misc]
        assert result.counts["run"] == count, result.counts
        keys = {e.step: e.data["key"] for e in watch.events if e.type == "step_finished"}
        same, again = timed(lambda p=plan: watch.run(p), count)  # type: ignore[misc]
        after = planned(plan, result, keys)
        unchanged, done = timed(lambda p=after: watch.run(p), count)  # type: ignore[misc]
        assert again.counts["reuse"] == done.counts["reuse"] == count
        rows.append((low, first, same, unchanged))
    return [
        (statistics.median(r[column][0] for r in rows), statistics.median(r[column][1] for r in rows))
        for column in range(4)
    ]


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    print("| nodes | floor | first | same | unchanged |  wall / CPU, µs a node")
    for count in (20, 200, 1000):
        cells = [f"{wall:.0f} / {cpu:.0f}" for wall, cpu in measure(folder, count)]
        print(f"| {count} | {' | '.join(cells)} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

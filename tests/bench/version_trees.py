"""Measures trees of 1,000,000 entries: build, commits of 10,000 changes, differences, digests, merges, small commits.

Run it as `python -m tests.bench.version_trees [folder]`. CPU seconds of the process (all threads), medians of 5 with the
variants interleaved. The floor reads, sorts and writes all entries as one Polars parquet file (zstd 1, digests as 32
bytes) with the same fsyncs; it neither applies the changes nor checks what it reads.
"""

from __future__ import annotations

import gc
import io
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import polars as pl

from mldlc.plan.versions import Entry
from mldlc.store.durable import replace_file
from mldlc.store.layout import Store, open_store
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.digests import partitions, prefix_digest
from mldlc.store.versions.merging import merge_trees
from mldlc.store.versions.trees import (
    DiskNodes,
    apply_changes,
    build_tree,
    find_entry,
    iter_entries,
    open_tree,
    read_columns,
)
from tests.bench.results import verdict

T = TypeVar("T")
ROUNDS = 5
DAYS, PARTS, CHANGES = 1000, 1000, 10_000
CLUSTERED, SCATTERED, DIFF = "10,000 clustered changes", "10,000 scattered changes", "diff, clustered"
FLOOR = "floor: columns rewritten"


def paths() -> list[str]:
    """A million paths, day by day."""
    days = [f"data/day={2023 + d // 360}-{d // 30 % 12 + 1:02d}-{d % 30 + 1:02d}" for d in range(DAYS)]
    return [f"{day}/part-{part:05d}.parquet" for day in days for part in range(PARTS)]


def entry(path: str) -> Entry:
    """An entry of random content."""
    return Entry(path, os.urandom(32).hex(), random.randrange(1 << 24))


def write_floor(frame: pl.DataFrame, path: Path) -> None:
    """One durable parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    replace_file(path.with_suffix(".tmp"), path, buffer.getbuffer(), 0o444)


def rewrite(path: Path) -> None:
    """The floor of a scattered commit."""
    write_floor(pl.read_parquet(path).sort("path"), path)


def frame_of(entries: list[Entry]) -> pl.DataFrame:
    """Entries as columns."""
    names, digests, sizes, _ = zip(*entries, strict=True)
    return pl.DataFrame({"path": names, "digest": list(map(bytes.fromhex, digests)), "size": sizes})


class Clock:
    """CPU and wall seconds of calls by name."""

    def __init__(self) -> None:
        self.cpu: dict[str, list[float]] = {}
        self.wall: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Call once, after the disk is idle."""
        os.sync()
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.cpu.setdefault(name, []).append(time.process_time() - cpu)
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        return result

    def median(self, name: str) -> tuple[float, float]:
        """Median CPU and wall seconds."""
        return statistics.median(self.cpu[name]), statistics.median(self.wall[name])


def scattered(entries: list[Entry]) -> list[Entry]:
    """Changes all over: nine in ten new content, one in ten a new path."""
    chosen = random.sample(entries, CHANGES)
    return [entry(old.path if n % 10 else f"{old.path}.new") for n, old in enumerate(chosen)]


def clustered(entries: list[Entry]) -> list[Entry]:
    """Changes of ten whole days, next to each other."""
    start = random.randrange(len(entries) - CHANGES)
    return [entry(old.path) for old in entries[start : start + CHANGES]]


def measure(store: Store, rounds: int) -> Clock:
    """All measurements on one store."""
    nodes, clock, root = DiskNodes(store), Clock(), ""
    entries = [entry(path) for path in paths()]
    gc.collect()
    gc.freeze()  # the million entries are the caller's: their collection is not part of a commit
    floor = store.work / "floor.parquet"
    write_floor(frame_of(entries), floor)
    apply_changes(nodes, build_tree(nodes, entries[:1000]), entries[1:2])  # imports, threads
    for _ in range(rounds):
        for kind in ("ranges", "trees"):
            shutil.rmtree(store.root / kind)
        root = measure_round(nodes, clock, entries, floor)
    sizes = [nodes.path("ranges", info.id).stat().st_size for info in open_tree(nodes, root).ranges]
    print(
        f"{len(sizes)} ranges of {statistics.mean(sizes) / 1e3:.0f} KB, {sum(sizes) / len(entries):.0f} bytes an entry"
    )
    print(f"floor: one file, {floor.stat().st_size / len(entries):.0f} bytes an entry")
    return clock


def measure_round(nodes: DiskNodes, clock: Clock, entries: list[Entry], floor: Path) -> str:
    """Each measurement once, the floor twice; the tree of all entries."""
    near, far, single = clustered(entries), scattered(entries), [entry(random.choice(entries).path)]
    root = clock.time("build 1,000,000 entries", lambda: build_tree(nodes, entries))
    clock.time(FLOOR, lambda: rewrite(floor))
    one = clock.time(CLUSTERED, lambda: apply_changes(nodes, root, near))
    two = clock.time(SCATTERED, lambda: apply_changes(nodes, root, far))
    three = clock.time("one change", lambda: apply_changes(nodes, root, single))
    clock.time(FLOOR, lambda: rewrite(floor))
    clock.time(DIFF, lambda: list(diff_trees(nodes, root, one)))
    clock.time("diff, scattered", lambda: list(diff_trees(nodes, root, two)))
    clock.time("diff of days, scattered", lambda: list(diff_trees(nodes, root, two, "data/", 1)))
    clock.time("merge, clustered into one change", lambda: merge_trees(nodes, root, one, three, "dest-wins"))
    clock.time("merge, scattered into clustered", lambda: merge_trees(nodes, root, two, one, "dest-wins"))
    clock.time("digest of a day", lambda: prefix_digest(nodes, root, "data/day=2024-02-03/"))
    clock.time("digest of all", lambda: prefix_digest(nodes, root))
    clock.time("digest of each day", lambda: partitions(nodes, root, "data/"))
    clock.time("find one entry", lambda: find_entry(nodes, root, "data/day=2024-02-03/part-00017.parquet"))
    clock.time("list all as entries", lambda: sum(1 for _ in iter_entries(nodes, root)))
    clock.time("list all as a table", lambda: read_columns(nodes, root))
    return root


def main() -> None:
    """Print the table and the verdicts."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        clock = measure(open_store(Path(name) / "outputs"), ROUNDS)
    floor = clock.median(FLOOR)[0]
    bounds = {CLUSTERED: 0.1, SCATTERED: 1.2 * floor, DIFF: 0.2}
    for way in clock.cpu:
        cpu, wall = clock.median(way)
        bound = f"   bound {bounds[way] * 1e3:6.0f} ms: {verdict(cpu, bounds[way])}" if way in bounds else ""
        print(f"{way:<34} {cpu * 1e3:8.1f} ms CPU {wall * 1e3:8.1f} ms wall {cpu / floor:6.2f} of the floor{bound}")


if __name__ == "__main__":
    main()

"""Measures the store: microseconds a record, alone and in a group, and put_tree against the floor of the same disk.

Run it as `python -m tests.bench.store_records [folder]`. Variants are interleaved; medians of 5.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from blake3 import blake3

from mldlc.plan.record import Output, Record
from mldlc.store.layout import Store, open_store
from mldlc.store.objects import has_tree, put_tree
from mldlc.store.records import read_record, write_record, write_records

ROUNDS = 5
BATCH = 64
SHAPES = {"2 files x 1 KB": (2, 1000), "2000 files x 20 KB": (2000, 20_000), "8 files x 24 MB": (8, 24_000_000)}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, after the disk is idle."""
    os.sync()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def example(round: int, number: int) -> Record:
    """A record as large as a training step's."""
    key = blake3(f"{os.getpid()} {round} {number} {os.urandom(4).hex()}".encode()).hexdigest()
    outputs = {"model": Output(key, "Model", 1 << 20, 3), "metrics": Output(key, "Metrics", 900, 1)}
    inputs = {port: {"": key} for port in ("table", "split", "preprocessor")}
    return Record(key, key, "training.train", "train", outputs, inputs, summary={f"m{n}": n / 7 for n in range(12)})


def measure_records(store: Store) -> dict[str, float]:
    """Median microseconds a record; both ways end with every record durable."""
    times: dict[str, list[float]] = {"single": [], "group of 64": [], "read": []}
    fan_out(store.records)
    for round in range(ROUNDS + 1):
        one, many = ([example(round, n) for n in range(BATCH)] for _ in range(2))
        times["single"].append(seconds(lambda one=one: [write_record(store, item) for item in one]))
        times["group of 64"].append(seconds(lambda many=many: write_records(store, many)))
        times["read"].append(seconds(lambda many=many: [read_record(store, item.key) for item in many]))
    return {name: statistics.median(values[1:]) / BATCH * 1e6 for name, values in times.items()}


def make_files(folder: Path, count: int, size: int) -> Path:
    """New files of random bytes."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05d}").write_bytes(os.urandom(size))
    return folder


def floor(folder: Path, target: Path) -> None:
    """The least that moving a folder in durably can take: read, hash, fsync by 8 threads, rename, fsync the folders."""

    def move(path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        hasher = blake3(max_threads=blake3.AUTO)
        while data := os.read(descriptor, 8 << 20):
            hasher.update(data)
        os.fsync(descriptor)
        os.close(descriptor)
        name = hasher.hexdigest()
        Path(path).rename(f"{target}/{name[:2]}/{name[2:]}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, [entry.path for entry in os.scandir(folder)]))
        list(pool.map(sync, [prefix for prefix in target.iterdir() if any(prefix.iterdir())]))


def sync(folder: Path) -> None:
    """fsync of one folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def fan_out(folder: Path) -> Path:
    """The 256 folders that objects or records fall into, made before the clock starts."""
    for prefix in range(256):
        (folder / f"{prefix:02x}").mkdir(parents=True)
    return folder


def measure_trees(store: Store, count: int, size: int) -> dict[str, float]:
    """Median seconds to store one folder: ours, the floor, ours again with equal content, and the presence check."""
    times: dict[str, list[float]] = {"put_tree": [], "floor": [], "again": [], "has_tree": []}
    for round in range(ROUNDS + 1):
        fan_out(store.objects)
        target = fan_out(store.work / f"floor{round}")
        ours = make_files(store.work / f"ours{round}", count, size)
        same = Path(shutil.copytree(ours, store.work / f"same{round}"))
        theirs = make_files(store.work / f"theirs{round}", count, size)
        found: list[Output] = []
        times["put_tree"].append(seconds(lambda ours=ours, found=found: found.append(put_tree(store, ours))))
        times["floor"].append(seconds(lambda theirs=theirs, target=target: floor(theirs, target)))
        times["again"].append(seconds(lambda same=same: put_tree(store, same)))
        times["has_tree"].append(seconds(lambda found=found: has_tree(store, found[0].digest)))
        for path in (store.work, store.objects):
            shutil.rmtree(path)
            path.mkdir()
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        store = open_store(Path(name) / "outputs")
        for way, micros in measure_records(store).items():
            print(f"record, {way:<12} {micros:8.0f} us a record")
        for label, (count, size) in SHAPES.items():
            found = measure_trees(replace(store), count, size)
            rate = count * size / found["put_tree"] / 1e6
            print(
                f"{label:<20} put_tree {found['put_tree'] * 1e3:8.2f} ms ({rate:6.0f} MB/s), "
                f"floor {found['floor'] * 1e3:8.2f} ms, ratio {found['put_tree'] / found['floor']:.2f}, "
                f"equal content again {found['again'] * 1e3:8.2f} ms, has_tree {found['has_tree'] * 1e3:7.2f} ms"
            )


if __name__ == "__main__":
    main()

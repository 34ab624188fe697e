"""Measures the loaders: 1M x 30, batch 1024; in core beside the bare permuted loop, streaming beside bare readers.

Run `python -m tests.bench.loader_speed [rows] [--peers] [--only PART ...]`; prints medians of interleaved rounds and ratios
within the same run, by wall and by CPU (of all threads). --peers: also torch DataLoader, HF datasets, litdata and
mosaicml-streaming, in venvs that it makes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mldlc.training.loader import BatchLoader
from mldlc.training.models.mlp import TabularMLP
from mldlc.training.spec import TRAIN
from tests.bench import loader_streams as streams
from tests.bench.loader_peers import Peer, peers
from tests.step_harness import run_step
from tests.training import tables

BATCH, ROUNDS = 1024, 5
FLOOR = "bare permuted loop (floor)"
Taken = tuple[float, float]  # seconds of the wall clock, and of CPU
Variants = dict[str, Callable[[], Taken | None]]


def bare(tensors: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """The floor: a fresh permutation, and one index_select a tensor and batch."""
    order = torch.randperm(len(tensors[0]))
    for start in range(0, len(order), BATCH):
        index = order[start : start + BATCH]
        yield tuple(tensor.index_select(0, index) for tensor in tensors)


def gathered(tensors: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """The alternative: permute everything once an epoch, then cut slices; needs a second copy of the data."""
    order = torch.randperm(len(tensors[0]))
    copies = [tensor.index_select(0, order) for tensor in tensors]
    for start in range(0, len(order), BATCH):
        yield tuple(copy[start : start + BATCH] for copy in copies)


def copied(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """The same in memory of its own."""
    for batch in batches:
        yield tuple(tensor.clone() for tensor in batch)


def consume(batches: Iterator[tuple[Tensor, ...]]) -> None:
    for _ in batches:
        pass


def fit_bare(batches: Iterator[tuple[Tensor, ...]], cardinalities: list[int]) -> None:
    """A plain torch loop with the model that the step trains below."""
    torch.manual_seed(0)
    net = TabularMLP(28, cardinalities, 1, layers=(64, 32))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    for numeric, categorical, label in batches:
        loss = F.binary_cross_entropy_with_logits(net(numeric, categorical), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def measure(variants: Variants, floor: str, rows: int, fewer: dict[str, int] | None = None) -> None:
    """Interleaved rounds; prints each variant's median samples a second and its speed relative to the floor.

    rows: of an epoch; `fewer`: of the variants with fewer. A variant that gives seconds has taken the time itself.
    """
    taken: dict[str, list[Taken]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, run in variants.items():
            began, used = time.perf_counter(), time.process_time()
            own = run()
            taken[name].append(own or (time.perf_counter() - began, time.process_time() - used))
    one = {name: (fewer or {}).get(name, rows) for name in variants}
    row = {n: [statistics.median(kind) / one[n] for kind in zip(*runs, strict=True)] for n, runs in taken.items()}
    for name, (wall, cpu) in row.items():
        ratios = f"{row[floor][0] / wall:7.3g} of the floor by wall, {row[floor][1] / cpu:7.3g} by CPU"
        print(f"{name:50} {1e-6 / wall:7.3f} M samples/s {cpu * 1e9:7.0f} ns of CPU a sample {ratios}", flush=True)


def in_core(columns: dict[str, np.ndarray], folder: Path, beside: bool) -> None:
    """Batches alone, nothing is trained: from memory, and beside other loaders."""
    numeric, categorical, label = columns.values()
    tensors = (torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label).float())
    loader = BatchLoader(tensors, torch.arange(len(label)), BATCH, shuffle=True)
    table, split = streams.write(folder, columns, "arrow")
    held = streams.ours(table, split, folder / "held", BATCH, hold="memory")
    variants: Variants = {
        FLOOR: lambda: consume(bare(tensors)),
        "mldlc in_core": lambda: consume(iter(loader)),
        "mldlc streaming, held in memory": lambda: consume(iter(held)),
        "gather once an epoch": lambda: consume(gathered(tensors)),
    }
    others: list[Peer] = []
    if beside:
        np.savez(folder / "columns.npz", **columns)
        others = list(peers(folder))
    titles = {f"{peer.name} {peer.version}, {peer.rows:,} rows": peer for peer in others}
    try:
        measure(
            variants | {title: peer.seconds for title, peer in titles.items()}, FLOOR, len(label),
            {title: peer.rows for title, peer in titles.items()},
        )  # fmt: skip
    finally:
        for peer in others:
            peer.close()


def streamed(columns: dict[str, np.ndarray], folder: Path, storage: str) -> None:
    """Batches alone, nothing is trained: from files, beside bare readers of the same files."""
    table, split = streams.write(folder, columns, storage)
    floor = f"bare reader of {storage}, in its order (floor)"
    variants: Variants = {
        floor: lambda: consume(streams.bare(table, BATCH)),
        "bare reader with the same block shuffle": lambda: consume(streams.mixed(table, BATCH)),
    }
    if storage == "arrow":  # the bare reader hands out views of the mapped file, and touches no number
        variants["bare reader, each batch copied once"] = lambda: consume(copied(streams.bare(table, BATCH)))
    made: dict[str, dict[str, object]] = {
        f"mldlc streaming, workers={n}": {"cache": False, "workers": n} for n in (0, 1, 2)
    }
    straight = {"cache": False, "shuffle": False, "lanes": 1}  # as val rows are read
    made |= {f"mldlc streaming, in its order, workers={n}": {**straight, "workers": n} for n in (0, 1)}
    if storage == "parquet":
        variants["Polars collect_batches, in its order"] = lambda: consume(streams.batched(table, BATCH))
        made["mldlc streaming, decoded before, workers=1"] = {"workers": 1}
    for number, (name, keys) in enumerate(made.items()):
        feed = streams.ours(table, split, folder / f"{storage}-{number}", BATCH, **keys)
        variants[name] = lambda feed=feed: consume(iter(feed))  # type: ignore[misc]
    measure(variants, floor, len(columns["label"]))


def steps(columns: dict[str, np.ndarray], folder: Path) -> None:
    """One epoch of training."""
    numeric, categorical, label = columns.values()
    tensors = (torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label).float())
    loader, runs = BatchLoader(tensors, torch.arange(len(label)), BATCH, shuffle=True), iter(range(3 * ROUNDS))
    info = {"kind": "class", "classes": ["a", "b"]}
    inputs = tables.prepared(
        folder / "in", numeric, categorical, label, info, cardinalities=[10, 10], shares=(0.999, 0.001)
    )

    def step(**ingest: object) -> None:
        config = tables.config(
            model={"layers": [64, 32], "dropout": 0.0}, optimizer={"lr": 0.001, "scheduler": {"kind": "none"}},
            trainer={"max_epochs": 1, "log_every_n_steps": 50},
        ) | {"ingest": {"batch_size": BATCH, **ingest}}  # fmt: skip
        run_step(TRAIN, config, inputs, folder / f"run{next(runs)}", threads=1)

    floor = "bare torch loop (floor)"
    variants: Variants = {
        floor: lambda: fit_bare(bare(tensors), [10, 10]),
        "bare torch loop over mldlc in_core": lambda: fit_bare(iter(loader), [10, 10]),
        "the whole train step, in_core": lambda: step(kind="in_core"),
        "the whole train step, streaming": lambda: step(kind="streaming", hold="disk"),
    }
    measure(variants, floor, len(label))


PARTS = ("core", "parquet", "arrow", "steps")


def main(rows: int = 1_000_000, beside: bool = False, only: tuple[str, ...] = PARTS) -> None:
    """The loaders alone, in core and streaming, then one epoch of training."""
    rng = np.random.default_rng(0)
    numeric, categorical = rng.normal(size=(rows, 28)).astype(np.float32), rng.integers(0, 10, (rows, 2))
    label = (numeric[:, :15].sum(1) + rng.normal(size=rows) > 0).astype(np.int32)
    columns = {"numeric": numeric, "categorical": categorical.astype(np.int32), "label": label}
    torch.set_num_threads(1)
    print(
        f"{rows:,} rows x 30, batch {BATCH}, torch {torch.__version__}, lightning {pl.__version__}, medians of {ROUNDS}"
    )
    for part in only:
        print(f"\n{part}", flush=True)
        with tempfile.TemporaryDirectory() as name:
            if part == "core":
                in_core(columns, Path(name), beside)
            elif part == "steps":
                steps(columns, Path(name))
            else:
                streamed(columns, Path(name), part)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    main(given.rows, given.peers, tuple(given.only))

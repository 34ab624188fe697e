"""Measures the loaders: 1M x 30, batch 1024; in core beside the bare permuted loop, streaming beside bare readers.

Run `python -m tests.bench.loader_speed [rows] [--peers]`; prints medians of interleaved rounds and ratios within the
same run. --peers: also torch DataLoader, HF datasets, litdata and mosaicml-streaming, in venvs that it makes.
"""

from __future__ import annotations

import statistics
import sys
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


def measure(variants: dict[str, Callable[[], float | None]], floor: str, rows: dict[str, int]) -> None:
    """Interleaved rounds; prints each variant's median samples a second and its speed relative to the floor.

    rows: of an epoch. A variant that gives seconds has taken the time itself.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, run in variants.items():
            began = time.perf_counter()
            own = run()
            seconds[name].append(time.perf_counter() - began if own is None else own)
    speed = {name: rows[name] / statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        best = rows[name] / min(taken)
        of_floor = f"{speed[name] / speed[floor]:5.2f} of the floor"
        print(f"{name:44} {speed[name] / 1e6:7.3f} M samples/s  {of_floor}   (best {best / 1e6:.3f})", flush=True)


def main(rows: int = 1_000_000, beside: bool = False) -> None:
    """The loaders alone, in core and streaming, then one epoch of training."""
    rng = np.random.default_rng(0)
    numeric, categorical = rng.normal(size=(rows, 28)).astype(np.float32), rng.integers(0, 10, (rows, 2))
    label = (numeric[:, :15].sum(1) + rng.normal(size=rows) > 0).astype(np.int32)
    columns = {"numeric": numeric, "categorical": categorical.astype(np.int32), "label": label}
    torch.set_num_threads(1)
    print(
        f"{rows:,} rows x 30, batch {BATCH}, torch {torch.__version__}, lightning {pl.__version__}, medians of {ROUNDS}"
    )
    with tempfile.TemporaryDirectory() as name:
        loaders(columns, Path(name), rows, beside)
        steps(columns, Path(name), rows)


def loaders(columns: dict[str, np.ndarray], folder: Path, rows: int, beside: bool) -> None:
    """Batches alone, nothing is trained."""
    numeric, categorical, label = columns.values()
    tensors = (torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label).float())
    loader = BatchLoader(tensors, torch.arange(rows), BATCH, shuffle=True)
    variants: dict[str, Callable[[], float | None]] = {
        FLOOR: lambda: consume(bare(tensors)),
        "mldlc in_core": lambda: consume(iter(loader)),
        "gather once an epoch": lambda: consume(gathered(tensors)),
    }
    others: list[Peer] = []
    if beside:
        np.savez(folder / "columns.npz", **columns)
        others = list(peers(folder))
        variants |= {f"{peer.name} {peer.version}, {peer.rows:,} rows": peer.seconds for peer in others}
    sizes = dict.fromkeys(variants, rows) | {f"{p.name} {p.version}, {p.rows:,} rows": p.rows for p in others}
    try:
        measure(variants, FLOOR, sizes)
    finally:
        for peer in others:
            peer.close()
    for storage in ("parquet", "arrow"):
        table, split = streams.write(folder, columns, storage)
        made = {f"mldlc streaming, {n} threads": {"cache": False, "workers": n} for n in (0, 1)}
        if storage == "parquet":
            made["mldlc streaming, 1 thread, decoding not timed"] = {"workers": 1}
        feeds = {n: streams.ours(table, split, folder / storage / n, BATCH, **keys) for n, keys in made.items()}
        floor = f"bare reader of {storage} (floor)"
        streamed: dict[str, Callable[[], float | None]] = {
            floor: lambda table=table: consume(streams.bare(table, BATCH)),  # type: ignore[misc]
            **{name: (lambda feed=feed: consume(iter(feed))) for name, feed in feeds.items()},
        }
        measure(streamed, floor, dict.fromkeys(streamed, rows))


def steps(columns: dict[str, np.ndarray], folder: Path, rows: int) -> None:
    """One epoch of training."""
    numeric, categorical, label = columns.values()
    tensors = (torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label).float())
    loader, runs = BatchLoader(tensors, torch.arange(rows), BATCH, shuffle=True), iter(range(3 * ROUNDS))
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
    variants: dict[str, Callable[[], float | None]] = {
        floor: lambda: fit_bare(bare(tensors), [10, 10]),
        "bare torch loop over mldlc in_core": lambda: fit_bare(iter(loader), [10, 10]),
        "the whole train step, in_core": lambda: step(kind="in_core"),
        "the whole train step, streaming": lambda: step(kind="streaming", hold="disk"),
    }
    measure(variants, floor, dict.fromkeys(variants, rows))


if __name__ == "__main__":
    given = [item for item in sys.argv[1:] if item != "--peers"]
    main(int(given[0]) if given else 1_000_000, "--peers" in sys.argv)

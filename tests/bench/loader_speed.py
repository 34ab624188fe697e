"""Measures the in-core loader: 1M x 30, batch 1024, beside the bare permuted loop, alone and with a training step.

Run `python -m tests.bench.loader_speed [rows]`; prints medians of interleaved rounds and ratios within the same run.
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
from tests.step_harness import run_step
from tests.training import tables

BATCH, ROUNDS = 1024, 5


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


def measure(variants: dict[str, Callable[[], None]], floor: str) -> None:
    """Interleaved rounds; prints the median seconds of each variant and its speed relative to the floor."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, run in variants.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    base = statistics.median(seconds[floor])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:36} {median:7.3f} s  {base / median:5.2f} of the floor   (min {min(taken):.3f})")


def main(rows: int = 1_000_000) -> None:
    """The loader alone, then one epoch of training."""
    rng = np.random.default_rng(0)
    numeric, categorical = rng.normal(size=(rows, 28)).astype(np.float32), rng.integers(0, 10, (rows, 2))
    label = (numeric[:, :15].sum(1) + rng.normal(size=rows) > 0).astype(np.int32)
    tensors = (
        torch.from_numpy(numeric),
        torch.from_numpy(categorical.astype(np.int32)),
        torch.from_numpy(label).float(),
    )
    loader = BatchLoader(tensors, torch.arange(rows), BATCH, shuffle=True)
    torch.set_num_threads(1)
    print(
        f"{rows:,} rows x 30, batch {BATCH}, torch {torch.__version__}, lightning {pl.__version__}, medians of {ROUNDS}"
    )
    measure(
        {
            "bare permuted loop (floor)": lambda: consume(bare(tensors)),
            "mldlc loader": lambda: consume(iter(loader)),
            "gather once an epoch": lambda: consume(gathered(tensors)),
        },
        "bare permuted loop (floor)",
    )
    with tempfile.TemporaryDirectory() as name:
        folder, runs = Path(name), iter(range(ROUNDS))
        info = {"kind": "class", "classes": ["a", "b"]}
        inputs = tables.prepared(
            folder / "in", numeric, categorical, label, info, cardinalities=[10, 10], shares=(0.999, 0.001)
        )
        config = tables.config(
            model={"layers": [64, 32], "dropout": 0.0}, optimizer={"lr": 0.001, "scheduler": {"kind": "none"}},
            trainer={"max_epochs": 1, "log_every_n_steps": 50}, ingest={"batch_size": BATCH},
        )  # fmt: skip
        measure(
            {
                "bare torch loop (floor)": lambda: fit_bare(bare(tensors), [10, 10]),
                "bare torch loop over mldlc loader": lambda: fit_bare(iter(loader), [10, 10]),
                "the whole train step": lambda: void(
                    run_step(TRAIN, config, inputs, folder / f"run{next(runs)}", threads=1)
                ),
            },
            "bare torch loop (floor)",
        )


def void(_: object) -> None:
    """Drop a result."""


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

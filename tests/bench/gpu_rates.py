"""Steps on one CUDA device beside a bare torch loop of the same network on the same batches: `python -m tests.bench.gpu_rates`.

The bare loop has its data on the device, and does nothing but draw rows, step and count; ours is the whole train step
of the engine, its rows held on the device, and on the host. Both are timed from their WARM-th step (compiled by then) to
the last of an epoch. One process, interleaved, medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.tokens import write_tokens
from mldlc.training.models.gpt import GPT
from mldlc.training.models.mlp import TabularMLP
from mldlc.training.network import compile_blocks
from mldlc.training.spec import TRAIN
from tests.bench.results import keep, table
from tests.step_harness import artifact, run_step
from tests.training import tables

MODULE = "tests.bench.gpu_rates"
ROUNDS, WARM = 3, 20
ROWS, VOCABULARY, CONTEXT = 1_000_000, 65, 256
TEXT: dict[str, Any] = {"layers": 12, "heads": 12, "dim": 768, "context": CONTEXT, "dropout": 0.0}
_ends: list[float] = []


class Clock(pl.Callback):
    """Notes the time at some steps, behind all work of the device."""

    def __init__(self, steps: list[int]) -> None:
        self.steps = steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _ends.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 in self.steps:
            torch.cuda.synchronize()
            _ends.append(time.perf_counter())


@dataclass(frozen=True)
class Case:
    """A training of `steps` batches. count: what one batch has of `unit`."""

    name: str
    batch: int
    steps: int
    count: int
    unit: str
    make: Callable[[], nn.Module]
    groups: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)


def mlp(name: str, batch: int) -> Case:
    return Case(
        name, batch, int(0.999 * ROWS) // batch, batch, "rows", lambda: TabularMLP(28, [10, 10], 1, layers=(64, 32)),
        {"model": {"layers": [64, 32], "dropout": 0.0}},
    )  # fmt: skip


def gpt(name: str, **trainer: Any) -> Case:
    model = {"kind": "gpt", "positions": "rotary", **TEXT}
    return Case(
        name, 64, 80, 64 * CONTEXT, "tokens", lambda: GPT(VOCABULARY, positions="rotary", **TEXT), {"model": model}, trainer
    )  # fmt: skip


CASES = [
    mlp("MLP 64-32, 1M x 30, batch 1,024", 1024),
    mlp("MLP 64-32, 1M x 30, batch 16,384", 16_384),
    gpt("GPT 85 M, 64 x 256, bf16-mixed", precision="bf16-mixed"),
    gpt("GPT 85 M, 64 x 256, bf16-mixed, compile", precision="bf16-mixed", compile=True),
]


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    numeric, categorical = rng.normal(size=(ROWS, 28)).astype(np.float32), rng.integers(0, 10, (ROWS, 2))
    return numeric, categorical.astype(np.int32), (numeric[:, :15].sum(1) > 0).astype(np.int32)


def inputs(case: Case, folder: Path) -> dict[str, Artifact]:
    if case.unit == "rows":
        info = {"kind": "class", "classes": ["a", "b"]}
        return tables.prepared(folder, *rows(), info, cardinalities=[10, 10], shares=(0.999, 0.001))
    folder.mkdir()
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=1_100_000)
    parts = [("train", tokens[:1_000_000], 1_000_000), ("val", tokens[1_000_000:], 100_000)]
    write_tokens(folder, parts, VOCABULARY, {"tokenizer": "char"})
    return {"table": artifact("Tokens", folder)}


def ours(case: Case, given: dict[str, Artifact], folder: Path, hold: str) -> float:
    """Seconds of a step."""
    keys = {"accelerator": "gpu", "max_epochs": 1, "limit_train_batches": case.steps, "limit_val_batches": 0}
    clock = {"target": f"{MODULE}:Clock", "args": {"steps": [WARM, case.steps]}}
    config = tables.config(
        **case.groups, optimizer={"lr": 0.001, "scheduler": {"kind": "none"}}, ingest={"batch_size": case.batch, "hold": hold},
        trainer=keys | {"checkpoint_every_seconds": 1000.0, "log_every_n_steps": 50} | case.trainer,
        callbacks={"checkpoint": None, "early_stopping": None, "extra": [clock]},
    )  # fmt: skip
    run_step(TRAIN, config, given, folder, threads=1)
    return (_ends[1] - _ends[0]) / (case.steps - WARM)


def batches(case: Case, held: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Drawn on the device."""
    if case.unit == "rows":
        order = torch.randperm(len(held[0]), device="cuda")
        for number in range(case.steps):
            index = order[number * case.batch : (number + 1) * case.batch]
            yield tuple(tensor.index_select(0, index) for tensor in held)
        return
    begins = torch.randint(len(held[0]) - CONTEXT, (case.steps, case.batch), device="cuda")
    reach = torch.arange(CONTEXT + 1, device="cuda")
    for begin in begins:
        yield (held[0][begin[:, None] + reach],)


def loss_of(case: Case, net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    if case.unit == "rows":
        return F.binary_cross_entropy_with_logits(net(batch[0], batch[1]), batch[2])
    return F.cross_entropy(net(batch[0][:, :-1]).flatten(0, 1), batch[0][:, 1:].flatten().long())


def bare(case: Case) -> float:
    """Seconds of a step."""
    torch.manual_seed(0)
    net = case.make().cuda()
    if case.trainer.get("compile"):
        compile_blocks(net)
    if case.unit == "rows":
        numeric, categorical, label = (torch.from_numpy(part).cuda() for part in rows())
        held: tuple[Tensor, ...] = (numeric, categorical, label.float())
    else:
        held = (torch.randint(VOCABULARY, (1_000_000,), dtype=torch.int32, device="cuda"),)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    mixed = torch.autocast("cuda", dtype=torch.bfloat16) if "precision" in case.trainer else nullcontext()
    ends = []
    for number, batch in enumerate(batches(case, held), 1):
        with mixed:
            loss = loss_of(case, net, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if number in (WARM, case.steps):
            torch.cuda.synchronize()
            ends.append(time.perf_counter())
    return (ends[1] - ends[0]) / (case.steps - WARM)


def row(case: Case, folder: Path) -> list[str]:
    given, taken = inputs(case, folder / "in"), []
    for number in range(ROUNDS):
        mine = [ours(case, given, folder / f"{hold}{number}", hold) for hold in ("auto", "host")]
        taken.append((*mine, bare(case)))
    rates = [case.count / statistics.median(kind) for kind in zip(*taken, strict=True)]
    ratios = [statistics.median(each[2] / each[kind] for each in taken) for kind in (0, 1)]
    return [case.name, case.unit, *(f"{rate:,.0f}" for rate in rates), *(f"{ratio:.2f}" for ratio in ratios)]


def main() -> None:
    """A row a case whose name has all given words."""
    found = []
    for case in CASES:
        if all(word in case.name for word in sys.argv[1:]):
            with tempfile.TemporaryDirectory() as folder:
                found.append(row(case, Path(folder)))
            print(found[-1], flush=True)  # in case the others are cut off
    names = ["ours, a second", "ours, hold=host", "bare loop", "ours / bare", "hold=host / bare"]
    body = table(["case", "unit", *names], found)
    keep(f"Rates on one CUDA device ({torch.cuda.get_device_name()})", body, write=not sys.argv[1:])


if __name__ == "__main__":
    from tests.bench import gpu_rates  # the module whose clock the training imports

    gpu_rates.main()

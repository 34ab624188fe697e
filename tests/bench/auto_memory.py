"""Predicted against measured peak memory of a training: `python -m tests.bench.auto_memory [gpu] [in=FILE] [WORD...]`.

Measured: the most anonymous memory of a rank over what it has once everything is imported and a small step was taken
(on a CUDA device: what torch's allocator gave). Predicted: `mldlc.training.placing`, which `trainer=auto` chooses by.
With `in=FILE` the measured figures go into that file, and those that are there already are not measured again.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mldlc.artifacts.tokens import write_tokens
from mldlc.plan.context import Context
from mldlc.training import train
from mldlc.training.footprint import measure
from mldlc.training.needs import PARTS, Need
from mldlc.training.placing import needed, question
from mldlc.training.preload import preload
from mldlc.training.spec import TRAIN
from tests.bench.results import keep, table
from tests.ranked_step import run_ranked
from tests.step_harness import artifact, run_step, validated
from tests.training import tables

FOUND = "MLDLC_BENCH_FOUND"  # folder for the figures of the ranks
MODULE = "tests.bench.auto_memory"
DEVICES = 2
THREADS = int(os.environ.get("OMP_NUM_THREADS", 1))
PERIOD = 0.002  # seconds between two looks
# glibc keeps freed blocks below 32 MB in its heap: with this it gives them back, so that memory is what torch asked for
EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
TEXT = {"kind": "gpt", "positions": "rotary"}
MODELS: dict[str, dict[str, Any]] = {
    "mlp 26 M": {"model": {"layers": [3584] * 3, "dropout": 0.1}, "ingest": {"batch_size": 128, "eval_batch_size": 128}},
    "cnn 29 M": {
        "model": {"kind": "cnn", "shape": [3, 16, 16], "channels": [128, 512, 1024], "convolutions": 3},
        "ingest": {"batch_size": 16, "eval_batch_size": 16},
    },
    "gpt 25 M": {
        "model": TEXT | {"layers": 8, "heads": 8, "dim": 512, "context": 128},
        "ingest": {"batch_size": 4, "eval_batch_size": 4},
    },
    "gpt 85 M": {
        "model": TEXT | {"layers": 12, "heads": 12, "dim": 768, "context": 128},
        "ingest": {"batch_size": 4, "eval_batch_size": 4},
    },
    "mlp 6 M": {"model": {"layers": [1600] * 3, "dropout": 0.0}, "ingest": {"batch_size": 128, "eval_batch_size": 128}},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One training: a model, a strategy, and more of the trainer's keys."""

    model: str
    strategy: str = "single"
    trainer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In words."""
        return ", ".join([self.model, self.strategy, *(f"{key}={value}" for key, value in self.trainer.items())])


SMALL = Case("mlp 6 M")  # what a test can afford
SHARDED = ("ddp", "deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3", "fsdp2")
CASES = [
    *(Case(name) for name in MODELS if name != SMALL.model),
    Case("gpt 25 M", trainer={"activation_checkpointing": True}),
    Case("gpt 25 M", trainer={"precision": "bf16-mixed"}),
    *(Case(name, strategy) for name in ("gpt 25 M", "mlp 26 M") for strategy in (*SHARDED, "tensor_parallel")),
    *(Case("cnn 29 M", strategy) for strategy in SHARDED),  # next to nothing of it could be cut
    *(Case("gpt 85 M", strategy) for strategy in ("ddp", "deepspeed_zero2", "fsdp2")),
    Case("gpt 25 M", "tp_fsdp2", {"devices": 4}),
]
GPU = {"accelerator": "gpu"}
GPU_CASES = [
    *(Case(name, trainer=GPU) for name in MODELS if name != SMALL.model),
    Case("gpt 25 M", trainer=GPU | {"activation_checkpointing": True}),
    *(Case("gpt 85 M", trainer=GPU | {"precision": precision}) for precision in ("bf16-mixed", "bf16-true")),
    Case("gpt 85 M", "deepspeed_offload", GPU | {"devices": 1}),
]


def inputs(model: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Random data of the right form, no more than a few batches."""
    rng = np.random.default_rng(0)
    if model.get("kind") == "gpt":
        folder.mkdir(parents=True, exist_ok=True)
        tokens = rng.integers(96, size=20_000)
        write_tokens(
            folder, [("train", tokens[:15_000], 15_000), ("val", tokens[15_000:], 5_000)], 96, {"tokenizer": "char"}
        )
        return {"table": artifact("Tokens", folder)}
    width = int(np.prod(model["shape"])) if model.get("kind") == "cnn" else 64
    label = rng.integers(0, 10, 1500 if width > 64 else 8000)
    info = {"kind": "class", "classes": list(range(10))}
    return tables.prepared(folder, rng.normal(size=(len(label), width)), np.empty((len(label), 0)), label, info)


def config(groups: Mapping[str, Any], strategy: str, **trainer: Any) -> dict[str, Any]:
    """Two epochs of two steps and a validation: the last step has all beside it that a step can have."""
    keys = {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1, "checkpoint_every_seconds": 1000.0}
    keys |= {"strategy": strategy, "devices": 1 if strategy == "single" else DEVICES, "threads": THREADS}
    return tables.config(**groups, trainer=keys | trainer)


class Peak:
    """The most anonymous memory of this process, of a CUDA device where that is in use, over what it had at the start."""

    def __init__(self, cuda: bool) -> None:
        gc.collect()
        self.cuda, self.base = cuda, _anonymous()
        self.most, self._stop = self.base, threading.Event()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            self.given = torch.cuda.memory_allocated()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD):
            self.most = max(self.most, _anonymous())

    def end(self) -> int:
        """Bytes."""
        self._stop.set()
        self._thread.join()
        return torch.cuda.max_memory_allocated() - self.given if self.cuda else self.most - self.base


def _anonymous() -> int:
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024


def run(ctx: Context, cfg: Any, given: Mapping[str, Any]) -> None:
    """The step: `training.train` with ranks that are watched."""
    ctx.ranks(cfg.trainer.devices, f"{MODULE}:rank", preload(cfg.trainer))


def rank(ctx: Context, cfg: Any, given: Mapping[str, Any]) -> None:
    """One of them."""
    _warm()
    peak = Peak(cfg.trainer.accelerator != "cpu")
    train.train(ctx, cfg, given)
    (Path(os.environ[FOUND]) / f"{ctx.rank}.json").write_text(json.dumps(peak.end()))


def _warm() -> None:
    """What the first step of a process brings in once."""
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    net(torch.randn(4, 8)).sum().backward()
    optimizer.step()


def measured(case: Case, folder: Path) -> int:
    """Peak of the rank that takes most, in this process or in its ranks."""
    keys = config(MODELS[case.model], case.strategy, **case.trainer)
    given = inputs(keys["model"], folder / "data")
    if case.strategy == "single":
        tiny = tables.config(trainer=keys["trainer"])
        run_step(TRAIN, tiny, tables.blobs(folder / "tiny"), folder / "warm", threads=1)
        peak = Peak(keys["trainer"].get("accelerator", "cpu") != "cpu")
        run_step(TRAIN, keys, given, folder / "run", threads=1)
        return peak.end()
    os.environ[FOUND] = str(folder)
    outcome, _ = run_ranked(replace(TRAIN, impl=f"{MODULE}:run"), keys, given, folder / "run")
    if outcome.status != "ran":
        raise RuntimeError(outcome.error)
    return max(json.loads(path.read_text()) for path in folder.glob("*.json"))


def predicted(case: Case, folder: Path) -> Need:
    """What `trainer=auto` thinks of the same."""
    keys = config(MODELS[case.model], case.strategy, **case.trainer)
    groups = {group: value.model_dump(mode="json") for group, value in vars(validated(TRAIN, keys)).items()}
    given = inputs(keys["model"], folder / "asked")
    asked = question(groups, lambda port, file: given[port].json(file))
    assert asked is not None
    return needed(case.strategy, groups, measure(asked))


def child(case: Case) -> None:
    """One case in a process of its own: prints its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        print(measured(case, Path(folder)))


def ask(case: Case) -> int:
    """What `child` prints, in a process of its own."""
    code = f"from tests.bench import auto_memory as a; a.child(a.{case!r})"
    root, env = Path(__file__).parents[2], {**os.environ, **EXACT}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=env)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stderr[-3000:]}")
    return int(done.stdout.splitlines()[-1])


def row(case: Case, found: int) -> list[str]:
    """Cells of the table."""
    with tempfile.TemporaryDirectory() as folder:
        told = predicted(case, Path(folder))
    sizes = [f"{size / 1e6:,.0f}" for size in (*(getattr(told, part) for part in PARTS), told.total, found)]
    return [case.name, *sizes, f"{told.total / found - 1:+.1%}"]


def main() -> None:
    """A row a case whose name has all given words; `gpu` takes those of a CUDA device."""
    words = [word for word in sys.argv[1:] if not word.startswith("in=")]
    file = next((Path(word.removeprefix("in=")) for word in sys.argv[1:] if word.startswith("in=")), None)
    gpu = words[:1] == ["gpu"]
    known: dict[str, int] = json.loads(file.read_text()) if file is not None and file.exists() else {}
    rows = []
    for case in GPU_CASES if gpu else CASES:
        if not all(word in case.name for word in words[gpu:]):
            continue
        try:
            known[case.name] = known.get(case.name) or ask(case)
        except RuntimeError as error:
            print(f"{case.name}: failed\n{error}", flush=True)
            continue
        if file is not None:
            file.write_text(json.dumps(known))
        rows.append(row(case, known[case.name]))
        print(rows[-1], flush=True)
    body = table(["case", *PARTS, "predicted, MB", "measured, MB", "error"], rows)
    keep("Memory that trainer=auto predicts" + (", one CUDA device" if gpu else ""), body, write=not words[gpu:])


if __name__ == "__main__":
    main()

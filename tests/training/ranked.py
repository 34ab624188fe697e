"""Trainings on ranks, for tests and for the matrix of strategies: their configs, deaths on the way, how far apart two are."""

from __future__ import annotations

import multiprocessing.forkserver
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.tokens import write_tokens
from mldlc.engine import ranks
from mldlc.engine.perform import Outcome
from mldlc.training.spec import TRAIN
from tests.ranked_step import run_ranked
from tests.step_harness import StepRun, artifact, run_step
from tests.training import tables

LOSS, WEIGHT = 2e-6, 2e-5  # absolute; losses are about 0.5, weights below 1
FED = ("ddp", "deepspeed_zero2", "fsdp2")  # looked at with a table on disk too, and 0 or 2 threads that read ahead
RESIZED = ("ddp", "fsdp2", "pipeline")  # strategies that another number of ranks can go on with


@contextmanager
def one_server() -> Iterator[None]:
    """One fork server for all launches within: it is stopped at the end only."""
    stop, ranks._stop_server = ranks._stop_server, lambda: None
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        ranks._stop_server = stop
        stop()


def config(strategy: str, **groups: dict[str, Any]) -> dict[str, Any]:
    """`tables.config` on as many devices as a strategy takes here."""
    places = {"strategy": strategy, "devices": 4 if strategy == "tp_fsdp2" else 2} if strategy != "single" else {}
    return tables.config(**groups | {"trainer": {"max_epochs": 2} | places | groups.get("trainer", {})})


def train(strategy: str, inputs: dict[str, Artifact], folder: Path, **groups: dict[str, Any]) -> StepRun:
    """A training that must succeed, in one process for `auto`."""
    if strategy == "single":
        return run_step(TRAIN, config(strategy, **groups), inputs, folder, threads=1)
    return ran(run_ranked(TRAIN, config(strategy, **groups), inputs, folder))


def ran(found: tuple[Outcome, StepRun]) -> StepRun:
    """The run of a training that must have succeeded."""
    outcome, run = found
    assert outcome.status == "ran", outcome.error
    return run


def dying(
    strategy: str,
    inputs: dict[str, Artifact],
    folder: Path,
    steps: list[int],
    rank: int | None,
    **groups: dict[str, Any],
) -> tuple[Outcome, StepRun]:
    """A training that dies once before each of some batches: one rank, or with None all; marks in `folder` remember."""
    folder.mkdir(exist_ok=True)
    watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps, "rank": rank}}
    callbacks = {"extra": [watch]} | groups.pop("callbacks", {})
    return run_ranked(TRAIN, config(strategy, callbacks=callbacks, **groups), inputs, folder)


def ingest(workers: int | None) -> dict[str, Any]:
    """Rows in memory, or from a file with so many threads that read ahead."""
    if workers is None:
        return {"batch_size": 64}
    streams = {"lanes": 4, "block_rows": 70, "buffer_rows": 300, "hold": "disk", "workers": workers}
    return {"kind": "streaming", "batch_size": 64} | streams


def history(run: StepRun) -> list[dict[str, Any]]:
    """The epochs."""
    return run.outputs["history"].json("history.json")["epochs"]  # type: ignore[no-any-return]


def weights(run: StepRun) -> dict[str, torch.Tensor]:
    """The weights of the model, by name."""
    return load_file(run.outputs["model"].file("model.safetensors"))


def apart(one: StepRun, other: StepRun) -> tuple[float, float]:
    """Largest differences of two trainings of equal length: of what their epochs tell, and of a weight."""
    told, weight = 0.0, 0.0
    for a, b in zip(history(one), history(other), strict=True):
        assert a.keys() == b.keys()
        told = max(told, *(abs(a[name] - b[name]) for name in a))
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    weight = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    return told, weight


def assert_equal_within(one: StepRun, other: StepRun, loss: float = LOSS, weight: float = WEIGHT) -> None:
    """Two trainings are equal but for the order of sums."""
    found = apart(one, other)
    assert found[0] <= loss and found[1] <= weight, found


def equal_bytes(one: StepRun, other: StepRun) -> bool:
    """Whether two trainings gave the same model and the same history, to the byte."""
    return all(one.digest(name) == other.digest(name) for name in ("model", "history"))


def song(folder: Path) -> dict[str, Artifact]:
    """A text of 10 tokens."""
    folder.mkdir(exist_ok=True)
    tokens = np.random.default_rng(0).integers(10, size=2000)
    parts = [("train", tokens[:1600], 1600), ("val", tokens[1600:], 400)]
    write_tokens(folder, parts, 10, {"tokenizer": "char", "fitted": "train"})
    return {"table": artifact("Tokens", folder)}

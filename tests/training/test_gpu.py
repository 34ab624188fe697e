"""On a CUDA device: what is trained there equals the CPU within a tolerance, by every strategy, and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.training.spec import STRATEGIES, TRAIN
from tests.ranked_step import run_ranked
from tests.step_harness import StepRun, run_step
from tests.training import ranked, tables

pytestmark = [
    pytest.mark.skipif(not torch.cuda.device_count(), reason="needs a CUDA device"),
    pytest.mark.usefixtures("server", "kit"),
]
NAMES = [name for name in STRATEGIES if name not in ("single", "tensor_parallel", "tp_fsdp2", "pipeline")]
PLACE = {"accelerator": "gpu", "devices": 1}
LOSS, WEIGHT = 1e-4, 2e-3  # absolute: sums of another order over some 40 steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return tables.blobs(tmp_path_factory.mktemp("data") / "in", rows=1500)


def config(strategy: str, trainer: dict[str, Any], **groups: dict[str, Any]) -> dict[str, Any]:
    return tables.config(trainer={"strategy": strategy, "deterministic": True} | PLACE | trainer, **groups)


def assert_near(run: StepRun, other: StepRun, loss: float, weight: float) -> None:
    for a, b in zip(ranked.history(run), ranked.history(other), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=loss)
        assert a["val_loss"] == pytest.approx(b["val_loss"], abs=loss)
    mine, yours = ranked.weights(run), ranked.weights(other)
    assert max(float((mine[name] - yours[name]).abs().max()) for name in mine) <= weight


def of_one_kind(strategy: str, keys: dict[str, Any], inputs: dict[str, Artifact], folder: Path) -> StepRun:
    """One process for `single`, one rank for the others."""
    if strategy == "single":
        return run_step(TRAIN, keys, inputs, folder, threads=1)
    return ranked.ran(run_ranked(TRAIN, keys, inputs, folder))


@pytest.mark.parametrize(
    ("strategy", "precision"),
    [(name, "32-true") for name in ("single", *NAMES)]
    + [(n, "bf16-mixed") for n in ("single", "fsdp2", "deepspeed_zero2")],
)
def test_equals_the_cpu(strategy: str, precision: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    groups: dict[str, Any] = {"model": {"dropout": 0.0}}
    keys = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5, "precision": precision}
    single = run_step(TRAIN, tables.config(trainer=keys, **groups), data, tmp_path / "cpu", threads=1)
    run = of_one_kind(strategy, config(strategy, keys, **groups), data, tmp_path / "gpu")
    assert_near(run, single, *((LOSS, WEIGHT) if precision == "32-true" else (2e-2, 1e-1)))
    assert run.summary["gpu_memory"] > 0


@pytest.mark.parametrize("strategy", NAMES)
def test_a_killed_rank_continues_exactly(strategy: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    """With dropout on the device: its random numbers are part of the checkpoint."""
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")

    def run(name: str, steps: list[int]) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps}}
        keys = config(strategy, {"checkpoint_every_seconds": 1e-6}, callbacks={"extra": [watch]})
        return run_ranked(TRAIN, keys, data, folder)

    whole = ranked.ran(run("whole", []))
    assert run("broken", [20])[0].status == "failed"
    again = ranked.ran(run("broken", [20]))
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)

"""Every precision that is legal here trains; every level of determinism is passed on, and changes no byte on a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.plan.context import StepError
from mldlc.training.spec import TRAIN
from tests.step_harness import StepRun, run_step
from tests.training import ranked, tables

pytestmark = pytest.mark.usefixtures("kit")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return tables.blobs(tmp_path_factory.mktemp("two") / "in", rows=600)


def train(inputs: dict[str, Artifact], folder: Path, **groups: dict[str, Any]) -> StepRun:
    return run_step(TRAIN, tables.config(**groups), inputs, folder, threads=1)


@pytest.mark.parametrize(
    ("precision", "near"), [("64-true", 1e-5), ("bf16-mixed", 0.02), ("bf16-true", 0.05), ("16-true", 0.05)]
)
def test_every_precision_trains(precision: str, near: float, two: dict[str, Artifact], tmp_path: Path) -> None:
    """In the type that it names: weights of a `true` one are stored so."""
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "optimizer": {"lr": 0.003, "eps": 1e-4}}
    full = train(two, tmp_path / "full", **groups)
    other = train(two, tmp_path / "other", **groups, trainer={"precision": precision})
    losses = [ranked.history(run)[-1]["train_loss"] for run in (full, other)]
    assert losses[1] == pytest.approx(losses[0], abs=near) and losses[0] != losses[1]
    types = {str(weight.dtype) for weight in ranked.weights(other).values() if weight.is_floating_point()}
    wanted = {"64-true": "float64", "bf16-true": "bfloat16", "16-true": "float16"}.get(precision, "float32")
    assert types == {f"torch.{wanted}"}


def test_half_precision_with_scaling_needs_a_gpu(two: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(StepError, match="16-mixed needs a GPU"):
        train(two, tmp_path, trainer={"precision": "16-mixed", "accelerator": "auto"})


def test_determinism_is_passed_on(two: dict[str, Artifact], tmp_path: Path) -> None:
    found, runs = {}, {}
    for level in (False, True, "warn"):
        folder = tmp_path / str(level)
        watch = {"target": "mynets.watch:Levels", "args": {"file": str(folder) + ".json"}}
        callbacks = {"extra": [watch]}
        runs[level] = train(two, folder, trainer={"deterministic": level, "max_epochs": 1}, callbacks=callbacks)
        found[level] = json.loads(Path(watch["args"]["file"]).read_text())
    assert found == {False: [False, False], True: [True, False], "warn": [True, True]}
    assert all(ranked.equal_bytes(run, runs[False]) for run in runs.values())

"""Batches whose rows weigh nothing: no loss, no step, told; without them the training is the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mldlc.artifacts.split import Split
from mldlc.plan.context import StepError
from mldlc.training.config import Adam
from mldlc.training.learner import Learner
from mldlc.training.models.mlp import TabularMLP
from mldlc.training.module import TabularModule
from mldlc.training.objectives.binary import BinaryObjective
from mldlc.training.spec import TRAIN
from tests.step_harness import run_step
from tests.training import tables

ROWS = 600
INGEST: dict[str, dict[str, Any]] = {
    "in_core": {"shuffle": False, "batch_size": 30},
    "streaming": {"kind": "streaming", "shuffle": False, "batch_size": 30, "lanes": 1, "hold": "disk", "workers": 0},
}


def weights(first: int, last: int) -> np.ndarray:
    """Of which some in a row are 0."""
    found = np.ones(ROWS)
    found[first:last] = 0
    return found


@pytest.mark.usefixtures("kit")
@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("ingest", INGEST)
def test_they_move_nothing_and_are_told(
    ingest: str, together: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weight = weights(250, 480)
    inputs = tables.blobs(tmp_path / "in", rows=ROWS, weight=weight)
    note = {"target": "mynets.watch:Note", "args": {"file": str(tmp_path / "steps")}}
    config = tables.config(
        trainer={"accumulate_grad_batches": together}, callbacks={"extra": [note]}, ingest=INGEST[ingest]
    )
    with caplog.at_level(logging.WARNING):
        run = run_step(TRAIN, config, inputs, tmp_path / "run", threads=1)
    before, *steps = [json.loads(line) for line in (tmp_path / "steps").read_text().splitlines()]
    empty = [not weight[step["rows"]].any() for step in steps]
    assert 3 <= sum(empty) == run.summary["empty_batches"] < len(steps)
    for first in range(0, len(steps), together):
        group = slice(first, first + together)
        assert (steps[group][-1]["weights"] == before["weights"]) == all(empty[group])
        before = steps[group][-1]
    losses = [step["loss"] * together for step, nothing in zip(steps, empty, strict=True) if not nothing]
    assert not any(step["loss"] for step, nothing in zip(steps, empty, strict=True) if nothing)
    history = run.outputs["history"].json("history.json")
    assert history["empty_batches"] == sum(empty)
    assert np.mean([epoch["train_loss"] for epoch in history["epochs"]]) == pytest.approx(np.mean(losses))
    step = steps[empty.index(True)]
    told = f"in epoch 1, step {step['step']}; rows of its batch: {step['rows'][0]}, "
    assert [told in message for message in caplog.messages if "sum to 0" in message] == [True]


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_part_that_weighs_nothing_is_an_error(part: str, tmp_path: Path) -> None:
    rows = Split(tables.blobs(tmp_path / "plain", rows=ROWS)["split"]).rows(part)
    weight = np.ones(ROWS)
    weight[rows] = 0
    inputs = tables.blobs(tmp_path / "in", rows=ROWS, weight=weight)
    with pytest.raises(StepError, match=f"the rows of '{part}' have weights that sum to 0"):
        run_step(TRAIN, tables.config(), inputs, tmp_path / "run", threads=1)


def test_a_learner_along_a_stream_passes_over_them() -> None:
    torch.manual_seed(0)
    net = TabularMLP(3, [], 1, [4])
    module = TabularModule(net, BinaryObjective({}), Adam(kind="adamw"), 1, None)
    label, weight = torch.arange(8).remainder(2).float(), torch.ones(8)
    weight[4:] = 0
    learner = Learner(module, (torch.randn(8, 3), torch.empty(8, 0, dtype=torch.int32), label, weight), 1.0, 0)
    learner.learn(torch.arange(4), 4, 1, 0)
    before = learner.state()["net"]
    learner.learn(torch.arange(4, 8), 4, 1, 1)
    assert all(torch.equal(before[name], value) for name, value in learner.state()["net"].items())

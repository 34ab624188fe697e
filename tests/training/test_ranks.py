"""Training on ranks over gloo equals training in one process; ranks that are killed or stopped continue exactly."""

from __future__ import annotations

import multiprocessing.forkserver
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.engine import ranks
from mldlc.training.spec import TRAIN
from tests.ranked_step import run_ranked
from tests.shared_data import shared
from tests.step_harness import StepRun, run_step
from tests.training import tables

STRATEGIES = ["ddp"]
LOSS, WEIGHT = 2e-6, 2e-5  # absolute; losses are about 0.5, weights below 1


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One fork server for all launches of this file: the heavy imports happen once."""
    stop, ranks._stop_server = ranks._stop_server, lambda: None
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    ranks._stop_server = stop
    stop()


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "kit"))


@pytest.fixture(scope="module")
def adult(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """1,001 rows, so that the last batch is not even."""
    return tables.adult(shared("adult.data"), tmp_path_factory.mktemp("adult") / "in", rows=1001)


def config(strategy: str, **groups: dict[str, Any]) -> dict[str, Any]:
    places = {"strategy": strategy, "devices": 2} if strategy != "auto" else {}
    return tables.config(**groups | {"trainer": {"max_epochs": 2} | places | groups.get("trainer", {})})


def history(run: StepRun) -> list[dict[str, Any]]:
    return run.outputs["history"].json("history.json")["epochs"]


def weights(run: StepRun) -> dict[str, torch.Tensor]:
    return load_file(run.outputs["model"].file("model.safetensors"))


def assert_equal_within(one: StepRun, other: StepRun) -> None:
    for a, b in zip(history(one), history(other), strict=True):
        assert a == {name: pytest.approx(value, abs=LOSS) for name, value in b.items()}
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=WEIGHT) for name in ours)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equals_one_process(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Global batch size, accumulation and clipping mean the same; the model is one ordinary file."""
    keys = {"accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "trainer": keys, "ingest": {"batch_size": 50}}
    single = run_step(TRAIN, config("auto", **groups), adult, tmp_path / "single", threads=1)
    outcome, run = run_ranked(TRAIN, config(strategy, **groups), adult, tmp_path / "ranks")
    assert outcome.status == "ran", outcome.error
    assert_equal_within(run, single)
    assert sorted(run.outputs["model"].files) == ["model.json", "model.safetensors"]
    assert run.outputs["model"].json("model.json") == single.outputs["model"].json("model.json")
    assert run.summary["steps"] == single.summary["steps"]
    assert [m[0::2] for m in run.metrics] == [m[0::2] for m in single.metrics], "one rank speaks for all"
    assert np.isfinite(load_model(run.outputs["model"]).predict(np.zeros((3, 6)), np.zeros((3, 8), np.int32))).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_rank_continues_exactly(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """With dropout, each rank from its own random numbers; the same bytes as without the death."""

    def run(name: str, steps: list[int]) -> tuple[Any, StepRun]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps, "rank": 1}}
        every = {"checkpoint_every_seconds": 1e-6}
        return run_ranked(TRAIN, config(strategy, trainer=every, callbacks={"extra": [watch]}), adult, folder)

    outcome, whole = run("whole", [])
    assert outcome.status == "ran", outcome.error
    outcome, _ = run("broken", [14])
    assert outcome.status == "failed" and outcome.error is not None
    assert outcome.error["transient"] and outcome.error["message"].startswith("rank 1 was killed by SIGKILL")
    outcome, again = run("broken", [14])
    assert outcome.status == "ran", outcome.error
    assert again.summary["resumed"]
    assert (again.digest("model"), again.digest("history")) == (whole.digest("model"), whole.digest("history"))

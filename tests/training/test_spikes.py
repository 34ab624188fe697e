"""Poisoned rows in a real training: named, survived by going back, and the same again after a death."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.split import Split
from mldlc.plan.context import StepError
from mldlc.training.spec import TRAIN
from tests.step_harness import StepRun, run_step
from tests.training import tables
from tests.training.test_resume import _run

POISONED = 3


def poisoned(folder: Path, value: float) -> tuple[dict[str, Artifact], list[int]]:
    """Two classes that a linear model separates, with one number of some training rows far out; and these rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    numeric = rng.normal(size=(2000, 6)) + label[:, None]
    info = {"kind": "class", "classes": ["a", "b"]}
    empty = np.empty((2000, 0))
    clean = tables.prepared(folder / "clean", numeric, empty, label, info)
    rows = Split(clean["split"]).rows("train")[[100, 400, 700]]
    numeric[rows, 2] = value
    return tables.prepared(folder / "in", numeric, empty, label, info), rows.tolist()


def config(spikes: dict[str, Any] | None, **groups: Any) -> dict[str, Any]:
    callbacks = {"spikes": spikes} | groups.pop("callbacks", {})
    return tables.config(callbacks=callbacks, trainer={"max_epochs": 4} | groups.pop("trainer", {}), **groups)


def told(run: StepRun) -> list[dict[str, Any]]:
    return run.outputs["history"].json("history.json")["spikes"]


def test_a_loss_that_is_no_number_names_the_rows_of_its_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inputs, rows = poisoned(tmp_path, float("nan"))
    with caplog.at_level(logging.ERROR), pytest.raises(StepError, match=r"the loss became (nan|inf) in epoch 1, step \d+; rows of its batch: \d+, .* and 56 more"):  # fmt: skip
        run_step(TRAIN, config(None), inputs, tmp_path / "run", threads=1)
    named = json.loads(caplog.messages[-1].rpartition(": ")[2])
    assert len(named) == 64 and set(named) & set(rows)


@pytest.mark.parametrize("ingest", ["in_core", "streaming"])
@pytest.mark.parametrize("value", [float("nan"), 1e6], ids=["no_number", "jump"])
def test_rollback_goes_on_as_if_the_batch_had_not_been(value: float, ingest: str, tmp_path: Path) -> None:
    inputs, rows = poisoned(tmp_path, value)
    groups: dict[str, Any] = {"ingest": {"kind": "streaming", "batch_size": 64, "block_rows": 128, "hold": "disk"}} if ingest == "streaming" else {}  # fmt: skip
    run = run_step(TRAIN, config({"action": "rollback", "every": 1, "limit": 99}, **groups), inputs, tmp_path / "run", threads=1)  # fmt: skip
    found = told(run)
    assert found and all(spike["action"] == "rollback" for spike in found)
    early = [spike for spike in found if spike["usual"] is not None]
    assert {spike["rows"][0] for spike in early} <= set(rows), "the most extreme row comes first"
    if np.isnan(value):  # a number far out need not be far wrong
        assert {row for spike in found for row in spike["rows"]} >= set(rows)
    weights = load_file(run.outputs["model"].file("model.safetensors"))
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    last = run.outputs["history"].json("history.json")["epochs"][-1]
    assert last["train_loss"] < 1 and last["val_auroc"] > 0.9


def test_report_goes_on_and_stop_does_not(tmp_path: Path) -> None:
    inputs, rows = poisoned(tmp_path, 1e4)
    run = run_step(TRAIN, config({"action": "report"}), inputs, tmp_path / "report", threads=1)
    assert told(run) and {spike["rows"][0] for spike in told(run)} <= set(rows)
    with pytest.raises(StepError, match=r"step \d+ \(usual: 0\.\d+\); rows of its batch: \d+") as stopped:
        run_step(TRAIN, config({"action": "stop"}), inputs, tmp_path / "stop", threads=1)
    assert stopped.value.where == "callbacks.spikes"
    with pytest.raises(StepError, match="it is the 2th spike"):
        run_step(TRAIN, config({"action": "rollback", "limit": 1}), inputs, tmp_path / "limit", threads=1)


def test_nothing_found_changes_nothing(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in")
    watched = run_step(TRAIN, config({"action": "rollback"}), inputs, tmp_path / "watched", threads=1)
    plain = run_step(TRAIN, config(None), inputs, tmp_path / "plain", threads=1)
    assert told(watched) == []
    assert watched.digest("model") == plain.digest("model")


def test_a_death_after_a_rollback_changes_nothing(tmp_path: Path) -> None:
    given, _ = poisoned(tmp_path, 1e6)
    inputs = {name: str(next(iter(item.files.values())).parent) for name, item in given.items()}

    def run(name: str, steps: list[int]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps}}
        keys = {"checkpoint_every_seconds": 1e-6}
        settings = config({"action": "rollback", "every": 5, "limit": 99}, trainer=keys, callbacks={"extra": [watch]})
        assert [_run(settings, inputs, folder) for _ in range(len(steps) + 1)] == [-9] * len(steps) + [0]
        return folder / "out"

    whole, broken = run("whole", []), run("broken", [24, 45])
    for name in ("model/model.safetensors", "history/history.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    assert json.loads((whole / "history/history.json").read_text())["spikes"]

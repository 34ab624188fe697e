"""A training in pieces gives the bytes of the training in one: model and history, and each step is made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.plan.context import StepError
from mldlc.training.spec import RUNG, TRAIN
from tests.ranked_step import run_ranked
from tests.step_harness import StepRun, run_step
from tests.thorough import thoroughly
from tests.training import tables

EARLY = {"early_stopping": {"patience": 1, "min_delta": 10.0}}
EMA = {"averaging": {"kind": "ema", "decay": 0.9}}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "constant": {"optimizer": {"scheduler": {"kind": "none"}}},
    "one_cycle": {"optimizer": {"scheduler": {"kind": "one_cycle"}}, "trainer": {"accumulate_grad_batches": 3}},
    "plateau": {"optimizer": {"scheduler": {"kind": "plateau", "patience": 0, "monitor": "val_auroc"}}},
    "ema": {"callbacks": EMA},
    "early_stopping": {"callbacks": EARLY},
    "early_stopping_of_an_average": {"callbacks": {**EARLY, **EMA, "checkpoint": None}},
    "part_of_an_epoch": {"trainer": {"limit_train_batches": 3}},
    "max_steps": {"trainer": {"max_steps": 15}},
    "rare_validation": {"trainer": {"check_val_every_n_epoch": 3}},
    "many_validations": {"trainer": {"val_check_interval": 2}},
}


def history(run: StepRun) -> dict[str, Any]:
    return json.loads((run.outputs["history"].path() / "history.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", sorted(CASES))
def test_pieces_equal_the_whole(case: str, tmp_path: Path) -> None:
    inputs: dict[str, Artifact] = dict(tables.blobs(tmp_path / "in", rows=600))
    config = tables.config(**{**CASES[case], "trainer": {"max_epochs": 6, **CASES[case].get("trainer", {})}})
    whole = run_step(TRAIN, config, inputs, tmp_path / "whole", threads=1)
    given, executed = dict(inputs), 0
    for epochs in (1, 2, 6):
        part = run_step(RUNG, {**config, "rung": {"epochs": epochs}}, given, tmp_path / f"rung{epochs}", threads=1)
        given = {**inputs, "state": part.outputs["state"]}
        executed += part.summary["steps_executed"]
        if epochs < len(history(whole)["epochs"]):
            assert history(part)["stopped"] == "rung"
    assert history(part) == history(whole)
    assert part.digest("model") == whole.digest("model") and part.digest("history") == whole.digest("history")
    assert executed == whole.summary["steps"] == part.summary["steps"]
    assert 0 <= part.summary["data_wait"] <= 1


@pytest.mark.parametrize(("name", "value"), [("min_epochs", 2), ("max_time", "00:00:10:00")])
def test_what_cannot_be_cut_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    config = {**tables.config(trainer={name: value}), "rung": {"epochs": 1}}
    with pytest.raises(StepError, match=f"a training with {name} cannot be cut into pieces"):
        run_step(RUNG, config, tables.blobs(tmp_path / "in", rows=200), tmp_path / "out", threads=1)


@thoroughly
def test_pieces_on_two_ranks_equal_the_whole_on_two(tmp_path: Path) -> None:
    inputs: dict[str, Artifact] = dict(tables.blobs(tmp_path / "in", rows=300))
    config = tables.config(trainer={"max_epochs": 3, "strategy": "ddp", "devices": 2})
    _, whole = run_ranked(TRAIN, config, inputs, tmp_path / "whole")
    given = dict(inputs)
    for epochs in (1, 2, 3):
        _, part = run_ranked(RUNG, {**config, "rung": {"epochs": epochs}}, given, tmp_path / f"rung{epochs}")
        given = {**inputs, "state": part.outputs["state"]}
    assert history(part) == history(whole) and part.digest("model") == whole.digest("model")

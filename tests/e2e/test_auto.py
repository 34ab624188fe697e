"""`trainer=auto` among several ranks, through the commands a user types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.projects import Repository
from tests.thorough import thoroughly

WIDE = (
    "experiment=adult", "trainer=auto", "trainer.accelerator=cpu", "trainer.max_epochs=2", "trainer.limit_train_batches=4",
    "trainer.limit_val_batches=2", "model.layers=[1024,1024,1024,1024,1024,1024]", "ingest.batch_size=64",
)  # fmt: skip


def train(repo: Repository, verb: str, *overrides: str) -> dict[str, Any]:
    """What the command tells of the train step."""
    done = repo.mldlc(verb, *WIDE, *overrides, "--until", "train", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    events = map(json.loads, done.stdout.splitlines())
    return dict([event for event in events if event.get("stage") == "train"][-1])


@pytest.mark.slow
@thoroughly
def test_ranks_train_by_the_strategy_that_the_plan_chose(pristine: Repository) -> None:
    """Memory that fsdp2 fits, and no strategy before it; the model is the same as with one by name."""
    roomy = train(pristine, "plan", "trainer.memory_gb=4")["advice"]
    assert roomy["strategy"] == "ddp"
    totals = {need["strategy"]: need["total"] for need in roomy["needs"] if "total" in need}
    memory = f"trainer.memory_gb={totals['fsdp2'] * (1 + roomy['spare']) * 1.01 / 2**30}"
    told = train(pristine, "plan", memory)
    assert told["advice"]["strategy"] == "fsdp2" and not told["advice"]["needs"][0]["fits"]
    assert train(pristine, "run", memory)["type"] == "step_finished"
    summary = json.loads((pristine.root / "outputs" / "latest" / "summary.json").read_text())
    found = summary["steps"]["train"]["summary"]
    assert found["strategy"] == "fsdp2" and found["predicted_memory"] == totals["fsdp2"] and found["steps"] == 8
    assert train(pristine, "plan", memory)["action"] == "reuse"
    assert train(pristine, "plan", "trainer=ddp", "trainer.accelerator=cpu")["action"] == "reuse"

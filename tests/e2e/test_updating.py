"""`experiment=elec_online` and `elec_batch` on short stretches of the stream, through the commands a user types."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mldlc.compiler import observe
from tests.e2e.conftest import execute
from tests.projects import Repository

PARTS = "train: 0.05, val: 0.02, test: 0.02, more: 0.02, last: 0.002, later: 0.888"
SHORT = (
    f"++split.fractions={{{PARTS}}}",
    "trainer.max_epochs=3",
    "~lifecycle.stages.profile",
    "registry=folder",
    "executor.jobs=1",
)
ONLINE = (
    "update.parts=[test]", "evaluate.parts=[val,test]", "update.batch_size=8", "update.snapshot_every=20",
    "periodic.parts=[test]", "periodic.batch_size=300", "++automation.bounds={test: {accuracy: {min: 0.5}}}",
)  # fmt: skip
DEPLOYED = (
    "update.batch_size=300", "evaluate.parts=[val,test,more,last]", "update.model=registry://elec",
    "update.when={schedule: 1000w, new_rows: 500}",
)  # fmt: skip


def kept(repo: Repository, summary: dict[str, Any]) -> dict[str, Any]:
    """Step -> result, of a run."""
    return dict(json.loads((repo.root / "outputs" / "runs" / summary["run"] / "summary.json").read_text())["steps"])


@pytest.mark.slow
def test_a_model_goes_on_along_the_stream_and_what_is_deployed_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repository(tmp_path)
    first = execute(repo, "elec_online", *SHORT, *ONLINE)
    steps = kept(repo, first)
    assert steps["update"]["summary"]["batches"] == 114 and steps["periodic"]["summary"]["batches"] == 4
    told = steps["update"]["summary"]["metrics"]
    assert set(told) == {"stream", "frozen"}
    # the run's metrics are the updated model's, by what it told before it learnt; the start model's stand beside them
    assert first["metrics"]["test"]["log_loss"] == pytest.approx(told["stream"]["log_loss"], rel=1e-5)
    start = steps["before"]["summary"]["metrics"]["test"]
    assert start["log_loss"] == pytest.approx(told["frozen"]["log_loss"], rel=1e-5)
    assert start["n"] == told["frozen"]["n"] == 906
    page = (repo.root / "outputs" / "runs" / first["run"] / "report.html").read_text()
    assert all(words in page for words in ("Updating", "along the stream", "periodic (batch)", "before the update"))
    card = repo.root / "outputs" / "published" / "elec" / "current" / "manifest.json"
    assert json.loads(card.read_text())["artifacts"]["model"] == steps["update"]["digests"]["model"]

    # what is deployed goes on with the rows that it has not learnt
    def plan(*more: str) -> dict[str, Any]:
        return {step.stage: step for step in repo.plan("experiment=elec_batch", *SHORT, *DEPLOYED, *more).steps}

    again = execute(repo, "elec_batch", *SHORT, *DEPLOYED, "update.parts=[test,more]")
    steps_again = kept(repo, again)
    assert "train" not in steps_again
    assert steps_again["deployed"]["digests"]["model"] == steps["update"]["digests"]["model"]
    assert "due: scheduled for" in steps_again["due"]["summary"]["why"]
    assert steps_again["update"]["summary"]["metrics"]["stream"]["n"] == again["metrics"]["more"]["n"] > 900
    assert "test" not in again["metrics"]  # all of it was learnt before
    assert json.loads(card.read_text())["artifacts"]["model"] == steps_again["update"]["digests"]["model"]

    # it was published where it is read from, and the plan comes to rest
    rest = plan("update.parts=[test,more]")
    assert {step.action for step in rest.values()} <= {"reuse", "skip", "in place"}
    assert rest["due"].note == "not due: no new rows" and rest["update"].action == rest["evaluate"].action == "skip"

    forced = repo.plan("experiment=elec_batch", *SHORT, *DEPLOYED, "update.parts=[test,more]", force=("update",))
    assert [item.code for item in forced.diagnostics] == ["left_out"] and not forced.changes()

    # a few rows more, by another split: what the plan cannot tell, the run does
    last = ("update.parts=[test,more,last]", SHORT[0].replace("last: 0.002, later: 0.888", "last: 0.003, later: 0.887"))
    asked = plan(*last)
    assert asked["due"].action == "gate" and asked["update"].action == "maybe"
    assert "due by schedule 1000w or 500 new rows" in asked["due"].reasons[-1].text()
    left_out = {
        name
        for name, step in kept(repo, execute(repo, "elec_batch", *SHORT, *DEPLOYED, *last)).items()
        if step["status"] == "skipped"
    }
    assert left_out >= {"due", "update", "evaluate", "publish"}
    found = plan(*last)["due"]
    assert found.action == "skip" and "136 new rows of 500" in found.note and "next at" in found.note
    moved = plan(
        last[0], SHORT[0].replace("last: 0.002, later: 0.888", "last: 0.004, later: 0.886"), "update.when.new_rows=null"
    )
    assert {moved[name].action for name in ("split", "prepare", "due", "update")} == {"skip"}  # the clock alone tells
    monkeypatch.setattr(observe, "now", lambda: dt.datetime(2090, 1, 1, tzinfo=dt.UTC))
    due = plan(*last)
    assert due["due"].action == "gate" and "due: scheduled for" in due["due"].reasons[-1].text()
    assert due["update"].action == "maybe"

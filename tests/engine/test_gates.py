"""Gates: a request, an answer that holds for exactly that evidence, a rejection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.plans import Builder, Watch


def _plan(built: Builder, value: int = 1, seconds: float = 0.2, **settings):
    built.steps.clear()
    built.add("a", "SOURCE", value=value).add("ok", "ASK", {"value": "a.value"}, action="gate")
    built.add("go", "ADD", {"values": ["ok.value"]}, value=0, action="maybe")
    return built.add("side", "SOURCE", value=9, seconds=seconds).plan(**settings)


def _answer(folder: Path, value: int, decision: str) -> None:
    (folder / "ok").mkdir(parents=True, exist_ok=True)
    text = f"decision: {decision}\nby: Ada\nat: 2026-01-01T00:00:00Z\nwhy: seen\n"
    (folder / "ok" / f"evidence-{value}.yaml").write_text(text)


def test_wait_then_approve_for_this_evidence_only(built: Builder, watch: Watch) -> None:
    result = watch.run(_plan(built))
    assert result.status == "waiting" and result.counts["gate"] == 1
    assert {s: r.status for s, r in result.steps.items()} == {
        "a": "ran",
        "ok": "waiting",
        "go": "skipped",
        "side": "ran",
    }
    request = json.loads((watch.outputs / "approvals" / "ok" / "evidence-1.request.json").read_text())
    assert request["evidence"] == {"value": 1} and request["gate"] == "ok" and request["run"] == result.run
    _answer(watch.outputs / "approvals", 1, "approve")
    approved = watch.run(_plan(built))
    assert approved.status == "ok" and approved.steps["ok"].status == "ran" and approved.steps["go"].status == "ran"
    assert watch.run(_plan(built)).steps["ok"].status == "reused"
    assert watch.run(_plan(built, 2)).status == "waiting"


def test_reject_ends_the_run(built: Builder, watch: Watch, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    _answer(mine, 1, "reject")
    _answer(watch.outputs / "approvals", 1, "approve")  # the project's folder comes first
    result = watch.run(_plan(built, approvals=[str(mine)]))
    assert result.status == "rejected" and result.steps["ok"].status == "rejected" and result.counts["gate"] == 1
    assert (result.steps["ok"].error or {})["message"] == "Ada said no" and result.steps["go"].status == "skipped"
    assert "gate_rejected" in watch.types("ok")


def test_reject_ends_what_hangs_on_it_only_with_keep_going(built: Builder, watch: Watch) -> None:
    """As a failure does: by default nothing more starts; `keep_going` finishes the other branches. Exit 1 both times."""
    _answer(watch.outputs / "approvals", 1, "reject")
    _plan(built, seconds=3.0)  # the answer must be read before it ends, also on a busy machine
    built.add("later", "ADD", {"values": ["side.value"]}, value=1)
    plan = built.plan()
    ended = watch.run(plan)
    assert (ended.status, ended.steps["later"].status, ended.steps["go"].status) == ("rejected", "skipped", "skipped")
    kept = watch.run(plan, on_error="keep_going")
    assert (kept.status, kept.steps["later"].status, kept.steps["go"].status) == ("rejected", "ran", "skipped")


def test_what_is_not_due_is_left_out_and_the_run_is_fine(built: Builder, watch: Watch) -> None:
    result = watch.run(_plan(built, 7))
    assert result.status == "ok" and result.counts == {**result.counts, "gate": 0, "skip": 2, "failed": 0}
    assert {s: r.status for s, r in result.steps.items()} == {
        "a": "ran", "ok": "skipped", "go": "skipped", "side": "ran",
    }  # fmt: skip
    because = {event.step: event.data["because"] for event in watch.events if event.type == "step_skipped"}
    assert because == {"ok": "seven comes later", "go": "ok: not due"}
    assert not (watch.outputs / "approvals").exists()
    assert watch.run(_plan(built, 7)).steps["ok"].status == "skipped"  # it is asked again


@pytest.mark.parametrize("text", ["decision: [", "why: no decision\n", "- a list\n"])
def test_a_malformed_answer_is_named(built: Builder, watch: Watch, text: str) -> None:
    folder = watch.outputs / "approvals" / "ok"
    folder.mkdir(parents=True)
    (folder / "evidence-1.yaml").write_text(text)
    result = watch.run(_plan(built))
    assert result.status == "failed" and (result.steps["ok"].error or {})["where"].endswith("evidence-1.yaml")

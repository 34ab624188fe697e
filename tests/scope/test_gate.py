"""The gate: bounds, slices, answers that hold for exactly their evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.plan.context import GateRejected, GateWaiting, StepError
from mldlc.scope.spec import GATE, rule_text
from tests.step_harness import artifact, run_step, validated

METRICS = {
    "parts": {"test": {"auroc": 0.91, "accuracy": None}, "val": {"auroc": 0.9}},
    "slices": [
        {"part": "test", "slice": "sex=F", "rows": 500, "metrics": {"auroc": 0.7}},
        {"part": "test", "slice": "tiny", "rows": 3, "metrics": {"auroc": 0.1}},
    ],
}


@pytest.fixture
def metrics(tmp_path: Path) -> Artifact:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    return artifact("Metrics", folder)


def decide(
    metrics: Artifact, folder: Path, level: str, approvals: dict[str, Any] | None = None, **rule: Any
) -> dict[str, Any]:
    config = {"automation": {"level": level, **rule}, "scope": {}}
    run = run_step(GATE, config, {"metrics": metrics}, folder, approvals=approvals or {})
    return dict(run.outputs["decision"].json("decision.json"))


def test_full_decides_by_rule(metrics: Artifact, tmp_path: Path) -> None:
    assert decide(metrics, tmp_path / "a", "full", bounds={"test": {"auroc": {"min": 0.9}}})["decision"] == "approve"
    with pytest.raises(GateRejected, match=r"test.auroc is 0.91, wanted >= 0.95"):
        decide(metrics, tmp_path / "b", "full", bounds={"test": {"auroc": {"min": 0.95}}})


def test_partial_asks_only_outside_the_bounds(metrics: Artifact, tmp_path: Path) -> None:
    assert decide(metrics, tmp_path / "a", "partial", bounds={"val": {"auroc": {"min": 0.9}}})["by"] == "rule"
    with pytest.raises(GateWaiting) as waiting:
        decide(metrics, tmp_path / "b", "partial", bounds={"test": {"auroc": {"max": 0.5}}})
    assert not waiting.value.evidence["checks"][0]["ok"]


def test_an_answer_holds_for_its_evidence_only(metrics: Artifact, tmp_path: Path) -> None:
    with pytest.raises(GateWaiting) as waiting:
        decide(metrics, tmp_path / "a", "manual")
    yes = {waiting.value.digest: {"decision": "approve", "by": "ann", "why": "fine"}}
    assert decide(metrics, tmp_path / "b", "manual", yes)["by"] == "ann"
    with pytest.raises(GateWaiting):
        decide(metrics, tmp_path / "c", "manual", yes, bounds={"test": {"auroc": {"min": 0.1}}})
    no = {waiting.value.digest: {"decision": "reject", "by": "bob", "why": "no"}}
    with pytest.raises(GateRejected, match="rejected by bob: no"):
        decide(metrics, tmp_path / "d", "manual", no)


def test_slices_below_the_row_limit_do_not_count(metrics: Artifact, tmp_path: Path) -> None:
    assert decide(metrics, tmp_path / "a", "full", slices={"auroc": {"min": 0.6}})["decision"] == "approve"
    with pytest.raises(GateRejected, match="sex=F"):
        decide(metrics, tmp_path / "b", "full", slices={"auroc": {"min": 0.8}})


def test_an_undefined_metric_is_outside_every_bound(metrics: Artifact, tmp_path: Path) -> None:
    with pytest.raises(GateRejected, match="undefined"):
        decide(metrics, tmp_path / "a", "full", bounds={"test": {"accuracy": {"min": 0.0}}})


def test_a_misspelt_metric_or_part_is_named(metrics: Artifact, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no 'aurocc'") as caught:
        decide(metrics, tmp_path / "a", "full", bounds={"test": {"aurocc": {"min": 0.1}}})
    assert caught.value.hint == "did you mean 'auroc'?"
    with pytest.raises(StepError, match="no part 'tst'"):
        decide(metrics, tmp_path / "b", "full", bounds={"tst": {}})


def test_the_rule_in_one_line() -> None:
    config = {
        "automation": {
            "level": "partial",
            "bounds": {"test": {"auroc": {"min": 0.9}}},
            "slices": {"auroc": {"min": 0.8}},
        },
        "scope": {},
    }
    text = rule_text(validated(GATE, config))
    assert text == "partial automation: yes if test.auroc >= 0.9 and every slice's auroc >= 0.8, else a person decides"

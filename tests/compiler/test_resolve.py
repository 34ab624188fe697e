"""What the plan says before a run is what the run does: reuse, eviction, force, budget, sources, missing packages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import open_store
from mldlc.store.objects import read_tree
from tests.projects import TALLY, Repository, actions, repository

AFTER = "+lifecycle.stages.u={kind: scope.noop, inputs: {after: t}}"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = repository(tmp_path)
    assert made.mldlc("run", TALLY, AFTER).returncode == 0
    return made


def evict(repo: Repository, id: str) -> None:
    """Remove the bytes of a step's outputs, keep its record."""
    store = open_store(repo.root / "outputs")
    step = repo.plan(TALLY, AFTER).step(id)
    for digest in step.digests.values():
        for blob, _ in read_tree(store, digest).files.values():
            store.object(blob).unlink()


def test_an_evicted_intermediate_that_nobody_needs_stays(repo: Repository) -> None:
    evict(repo, "t")
    plan = repo.plan(TALLY, AFTER)
    assert plan.step("t").action == "reuse" and plan.step("t").evicted
    assert actions(plan)["u"] == "reuse"


def test_an_evicted_intermediate_runs_when_something_behind_it_does(repo: Repository) -> None:
    evict(repo, "t")
    plan = repo.plan(TALLY, AFTER, force=("u",))
    assert plan.step("t").action == "run"
    assert [reason.code for reason in plan.step("t").reasons] == ["artifact_missing"]
    assert repo.mldlc("run", TALLY, AFTER, "--force", "u").returncode == 0
    assert set(actions(repo.plan(TALLY, AFTER)).values()) == {"reuse"}


def test_an_evicted_end_of_the_graph_runs(repo: Repository) -> None:
    evict(repo, "u")
    assert actions(repo.plan(TALLY, AFTER))["u"] == "run"


def test_force_runs_although_nothing_changed(repo: Repository) -> None:
    plan = repo.plan(TALLY, AFTER, force=("t",))
    assert plan.step("t").reasons[0].code == "forced" and plan.step("u").action == "maybe"
    done = repo.mldlc("run", TALLY, AFTER, "--force", "t", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["counts"]["run"] == 1


def test_a_known_cost_over_the_budget_is_an_error_with_its_place(repo: Repository) -> None:
    history = repo.root / "outputs" / "cache" / "history.json"
    history.write_text(json.dumps({"a|scope.noop": {"seconds": 100.0, "memory": 2**31}}))
    budget = "+scope={budget: {seconds: 10}}"
    with pytest.raises(DiagnosticError, match="predicted 100 s is over the budget of 10 s"):
        repo.plan(budget, force=("a",))
    (warning,) = repo.plan("+scope={budget: {seconds: 1000}}", force=("a", "b", "c")).diagnostics
    assert warning.severity == "warning" and "not known before a first run" in warning.message
    with pytest.raises(DiagnosticError, match="2 GB is over the budget of 1 GB"):
        repo.plan("+scope={budget: {memory_gb: 1}}", force=("a",))


@pytest.mark.parametrize("identity", ["content", "stat"])
def test_a_changed_source_file_is_named(tmp_path: Path, identity: str) -> None:
    lifecycle = "stages:\n  collect: {kind: data.collect}\n"
    source = f"kind: csv\npath: data/x.csv\nidentity: {identity}\n"
    config = "defaults: [_self_, {paths: default}, {executor: local}, {lifecycle: one}, {source: mine}]\n"
    repo = repository(
        tmp_path, {"conf/config.yaml": config, "conf/lifecycle/one.yaml": lifecycle, "conf/source/mine.yaml": source},
    )  # fmt: skip
    with pytest.raises(DiagnosticError, match=r"x\.csv"):
        repo.plan()
    repo.write("data/x.csv", "a,b\n1,2\n")
    assert repo.mldlc("run").returncode == 0
    assert actions(repo.plan()) == {"collect": "reuse"}
    repo.write("data/x.csv", "a,b\n1,2\n3,4\n")
    (reason,) = repo.plan().step("collect").reasons
    assert reason.code == "source_changed" and "x.csv" in reason.path

"""Stages are dropped, added and rewired from the command line; what does not fit is told, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from tests.projects import TALLY, Repository, repository


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def errors(repo: Repository, *overrides: str) -> list[str]:
    with pytest.raises(DiagnosticError) as caught:
        repo.plan(*overrides)
    return [str(item) for item in caught.value.diagnostics]


def wires(repo: Repository, stage: str, *overrides: str) -> list[str]:
    return [f"{ref.step}.{ref.port}" for item in repo.plan(*overrides).step(stage).inputs.values() for ref in item.refs]


def test_a_dropped_producer_is_fine_for_a_many_port(repo: Repository) -> None:
    assert wires(repo, "c", "~lifecycle.stages.b") == ["a.done"]
    assert wires(repo, "c", "+lifecycle.stages.b.enabled=false") == ["a.done"]
    assert wires(repo, "c", "+lifecycle.stages.b.when=second.missing") == ["a.done"]
    assert wires(repo, "c", "+lifecycle.stages.b.unless=second.value") == ["a.done"]
    assert wires(repo, "c", "+lifecycle.stages.b.unless=second.missing") == ["a.done", "b.done"]


def test_a_stage_is_added_and_rewired(repo: Repository) -> None:
    assert wires(repo, "t", TALLY) == ["a.done"]
    assert wires(repo, "t", TALLY.replace("after: a", "first: b.done")) == ["b.done"]
    assert wires(repo, "c", "lifecycle.stages.c.inputs.after=b") == ["b.done"]


def test_errors_name_the_place_the_nearest_name_and_come_together(repo: Repository) -> None:
    found = errors(repo, "lifecycle.stages.b.inputs.after=aa.done", "+lifecycle.stages.c.inputs.befor=a")
    assert any("names no stage 'aa'" in text and "command line" in text for text in found)
    assert any("has no input 'befor'" in text for text in found)
    assert any(
        "has no output 'don'" in text and "did you mean 'done'?" in text
        for text in errors(repo, "lifecycle.stages.b.inputs.after=a.don")
    )


def test_a_cycle_is_printed_as_a_chain(repo: Repository) -> None:
    (text,) = errors(repo, "+lifecycle.stages.a.inputs.after=c")
    assert "wait for each other" in text and "->" in text


def test_a_wrong_type_names_both_sides(repo: Repository) -> None:
    found = errors(
        repo,
        "+lifecycle.stages.gate={kind: scope.gate, inputs: {metrics: a}}",
        "+automation={level: full}",
        "+scope={}",
    )
    assert any("wants Metrics" in text and "done (Decision)" in text for text in found)


def test_a_missing_producer_of_a_one_port_says_what_would_fit(repo: Repository) -> None:
    found = errors(repo, "+lifecycle.stages.gate={kind: scope.gate}", "+automation={level: full}", "+scope={}")
    assert any("needs input 'metrics' (Metrics): nothing is wired to it" in text for text in found)


def test_unknown_kind_and_unknown_selection(repo: Repository) -> None:
    assert any("did you mean 'scope.noop'?" in text for text in errors(repo, "lifecycle.stages.a.kind=scope.nop"))
    with pytest.raises(DiagnosticError, match="no stage 'cc'"):
        repo.plan(until="cc")


def test_until_and_from_choose_stages(repo: Repository) -> None:
    assert {s.stage: s.action for s in repo.plan(until="a").steps} == {"a": "run", "b": "skip", "c": "skip"}
    assert [r.code for r in repo.plan(since="b").step("b").reasons] == ["forced"]

"""Stages of a whole sweep: ports labelled by point, what all points share, and what a sweep must not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from tests.projects import TALLY, Repository, repository

ALL = "+lifecycle.stages.all={kind: scope.noop, scope: sweep, config: {noop: second}, inputs: {after: a}}"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def labels(plan: Plan, id: str = "all") -> list[str]:
    return [ref.label for ref in plan.step(id).inputs["after"].refs]


def test_labels_are_the_overrides_of_the_points_and_stay_when_points_come_and_go(repo: Repository) -> None:
    two = repo.plan(ALL, "noop.value=3,4", multirun=True)
    assert labels(two) == ["noop.value=3", "noop.value=4"] and two.step("all").points == (0, 1)
    assert labels(repo.plan(ALL, "noop.value=5,4", multirun=True)) == ["noop.value=5", "noop.value=4"]
    assert labels(repo.plan(ALL)) == ["base"]
    swapped = repo.plan(ALL, "noop.value=4,3", multirun=True)
    assert swapped.step("all").recipe == two.step("all").recipe
    assert repo.plan(ALL, "noop.value=3,5", multirun=True).step("all").recipe != two.step("all").recipe


def test_points_that_share_a_step_keep_a_label_each(repo: Repository) -> None:
    plan = repo.plan(ALL.replace(" config: {noop: second},", ""), "second.value=3,4", multirun=True)
    refs = plan.step("all").inputs["after"].refs
    assert [ref.label for ref in refs] == ["second.value=3", "second.value=4"] and len({ref.step for ref in refs}) == 1


def test_a_port_for_one_refuses_what_differs_between_the_points(repo: Repository) -> None:
    tally = TALLY.replace("inputs: {after: a}", "scope: sweep, inputs: {after: a, first: a}")
    with pytest.raises(DiagnosticError) as caught:
        repo.plan(tally, "noop.value=3,4", multirun=True)
    [text] = map(str, caught.value.diagnostics)
    assert "input 'first' of stage 't' takes one Decision, got 2 of 'a'" in text
    shared = repo.plan(tally, "second.value=3,4", multirun=True)
    assert [ref.step.partition("#")[0] for ref in shared.step("t").inputs["first"].refs] == ["a"]


def test_what_a_stage_of_the_sweep_reads_must_not_be_swept(repo: Repository) -> None:
    with pytest.raises(DiagnosticError) as caught:
        repo.plan(ALL, "second.value=3,4", multirun=True)
    [text] = map(str, caught.value.diagnostics)
    assert text == (
        "command line: 'second.value' is swept, but stage 'all' is made once for the whole sweep; set it for all points"
    )


def test_a_later_stage_of_a_point_may_take_what_the_sweep_gave(repo: Repository) -> None:
    plan = repo.plan(ALL, "+lifecycle.stages.d={kind: scope.noop, inputs: {after: [a, all]}}", "noop.value=3,4",
                     multirun=True)  # fmt: skip
    assert [labels(plan, step.id) for step in plan.steps if step.stage == "d"] == [["a", "all"]] * 2
    assert [step.stage for step in plan.steps].index("all") < [step.stage for step in plan.steps].index("d")

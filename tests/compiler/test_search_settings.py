"""What a config asks of a search: read with every parameter, or told with its place before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from tests.projects import Repository, repository

SWEEP = (
    "kind: optuna\nsampler: tpe\nobjective: {metric: loss}\nuntil: null\nparams:\n  second.value: {low: 1, high: 9}\n"
)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = repository(tmp_path, {"conf/sweep/optuna.yaml": SWEEP, "conf/tally/big.yaml": "size: 100\n"})
    made.write(
        "conf/config.yaml",
        (tmp_path / "conf/config.yaml").read_text().replace("noop:", "  - optional sweep: null\nnoop:"),
    )
    return made


def refusal(repo: Repository, *overrides: str) -> str:
    with pytest.raises(DiagnosticError) as caught:
        repo.plan(*overrides)
    return str(caught.value)


def test_the_space_comes_from_the_config_and_from_the_command_line(repo: Repository) -> None:
    plan = repo.plan("sweep=optuna", "noop.value=interval(1,2)", "tally=default,big")
    found = plan.settings["search"]
    assert found["params"] == {
        "second.value": {"low": 1, "high": 9, "integer": True},
        "noop.value": {"low": 1.0, "high": 2.0, "integer": False},
        "tally": {"choices": ["default", "big"]},
    }
    assert found["objective"] == [{"metric": "loss", "mode": "min"}] and len(plan.points) == 1
    again = repo.plan("sweep=optuna", "noop.value=interval(1,2)", "tally=default,big")
    assert again.settings == plan.settings and again.id == plan.id  # from the graph cache
    assert "search" not in repo.plan().settings
    assert repo.plan("sweep=optuna", "noop.value=3,4", multirun=True).settings["search"]["params"]["noop.value"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["noop.valeu=interval(1,2)"], "unknown key 'noop.valeu' in the space of the search; did you mean 'noop.value'?"),
        (["noop.value=interval(2,1)"], "command line: 'noop.value=interval(2,1)': low 2 is above high 1"),
        (["tally=default,bgi"], "command line: no option 'bgi' in group 'tally'; did you mean 'big'?"),
        (["sweep.params={second.value: {low: 1}}"], "sweep.params.second.value: it needs low and high"),
        (["sweep.objective.metric=test_loss"], "'test_loss' is measured on test rows"),
        (["sweep.sampler=grid", "noop.value=interval(1,2)"], "'noop.value' has no grid"),
        (["sweep.sampler=tpa"], "did you mean 'tpe'?"),
    ],
)  # fmt: skip
def test_mistakes(repo: Repository, overrides: list[str], told: str) -> None:
    if "params={second.value: {low: 1}}" in overrides[0]:
        repo.write("conf/sweep/optuna.yaml", SWEEP.replace(", high: 9", ""))
        assert refusal(repo, "sweep=optuna").startswith("conf/sweep/optuna.yaml:")
        overrides = []
    assert told in refusal(repo, "sweep=optuna", *overrides)


def test_several_values_without_a_search_still_want_m(repo: Repository) -> None:
    assert "add -m to sweep" in refusal(repo, "noop.value=1,2")


def test_given_points_are_composed_as_they_stand(repo: Repository) -> None:
    points = (("second.value=3", "tally=big"), ("second.value=4",))
    plan = compile_plan(CompileRequest(repo.root, ("second.value=9", "sweep=optuna"), points=points))
    configs = [plan.blobs[point.config] for point in plan.points]
    assert [config["second"]["value"] for config in configs] == [3, 4]
    assert [config["tally"]["size"] for config in configs] == [100, 3]
    assert plan.config.points == points and "search" not in plan.settings

"""A warm plan equals a cold one, and no edit of any input goes unseen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.compiler import graph_cache
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from tests.config.conftest import commit
from tests.projects import TALLY, Repository, repository

EDITS = {
    "value": ("conf/second/default.yaml", "value: {n}\n"),
    "own": ("conf/tally/default.yaml", "size: {n}\nlabel: x\n"),
    "code": ("src/tallying/counting.py", "def total(size):\n    return size + {n}\n"),
    "schema": ("src/tallying/schema.py", "BOUND = {n}\n"),
    "wiring": (
        "conf/lifecycle/chain.yaml",
        "stages:\n  a: {{kind: scope.noop}}\n  b{n}: {{kind: scope.noop, inputs: {{after: a}}}}\n",
    ),
    "root": ("conf/config.yaml", None),
    "local": ("conf/local/default.yaml", "noop: {{value: {n}}}\n"),
}
ROOT = "defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {lifecycle: chain}, {tally: default}, {second: default}, {optional local: default}]\nnoop: {value: %d}\n"


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(step.id, step.recipe, step.params) for step in plan.steps]


def cold(repo: Repository, *overrides: str) -> list[tuple[str, str, str]]:
    """Compiled without the cache (tracing switches it off)."""
    return shape(compile_plan(CompileRequest(repo.root, overrides), lambda name, text: None))


def apply(repo: Repository, edit: str, number: int) -> None:
    name, text = EDITS[edit]
    body = ROOT % number if text is None else text.format(n=number)
    if edit == "local":
        body = "# @package _global_\n" + body
    repo.write(name, body)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(1, 5)), min_size=1, max_size=4))
def test_any_edit_of_any_input_is_seen(edits: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = repository(Path(folder), {"conf/config.yaml": ROOT % 1})
        repo.plan(TALLY)
        for edit, number in edits:
            apply(repo, edit, number)
            assert shape(repo.plan(TALLY)) == cold(repo, TALLY), edit
            assert shape(repo.plan(TALLY)) == cold(repo, TALLY), f"{edit}, warm"


def test_a_warm_plan_comes_from_the_cache_and_equals_a_cold_one(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    first = repo.plan(TALLY, "second.value=1,2", multirun=True)
    ask = CompileRequest(repo.root, (TALLY, "second.value=1,2"), multirun=True)
    assert graph_cache.load(ask) is not None
    again = repo.plan(TALLY, "second.value=1,2", multirun=True)
    assert shape(first) == shape(again)
    assert [p.config for p in first.points] == [p.config for p in again.points]


def test_an_environment_variable_is_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repository(tmp_path, {"conf/paths/default.yaml": "outputs: ${oc.env:WHERE,null}\n"})
    assert repo.plan().outputs == str(tmp_path / "outputs")
    monkeypatch.setenv("WHERE", str(tmp_path / "elsewhere"))
    assert repo.plan().outputs == str(tmp_path / "elsewhere")


def test_the_clock_in_a_hashed_value_is_an_error_and_elsewhere_is_not_cached(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    with pytest.raises(DiagnosticError, match=r"\$\{oc.env:HOME\} in a value that is part of the result's identity"):
        repo.plan("noop.value=${oc.env:HOME}")
    with pytest.raises(DiagnosticError, match="part of the result's identity"):
        repo.plan("noop.value=${now:%Y}")
    repo.plan(TALLY, "tally.label=${now:%Y}")
    assert graph_cache.load(CompileRequest(repo.root, (TALLY, "tally.label=${now:%Y}"))) is None


def test_a_broken_or_read_only_cache_costs_nothing_but_time(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    wanted = shape(repo.plan())
    for file in (tmp_path / "outputs" / "cache").rglob("*.json"):
        file.write_text("{")
    assert shape(repo.plan()) == wanted
    shutil.rmtree(tmp_path / "outputs" / "cache")
    (tmp_path / "outputs" / "cache").write_text("a file where the folder should be: nothing can be cached")
    assert shape(repo.plan()) == wanted
    assert shape(repo.plan("second.value=3")) != wanted


def test_an_edit_of_a_manifest_that_is_extended_is_seen(tmp_path: Path) -> None:
    repo = repository(
        tmp_path / "repo",
        {
            "mldlc.yaml": "name: chain\nconf: conf\nextends: [../team]\ncode: [src]\n",
            "../team/mldlc.yaml": "conf: old\n",
            "../team/old/second/default.yaml": "value: 1\n",
            "../team/new/second/default.yaml": "value: 2\n",
        },
    )
    (repo.root / "conf/second/default.yaml").unlink()
    repo.plan()
    repo.write("../team/mldlc.yaml", "conf: new\n")
    assert shape(repo.plan()) == cold(repo)


def test_a_branch_of_a_git_source_that_moves_is_seen(tmp_path: Path) -> None:
    commit(tmp_path / "team", {"conf/second/default.yaml": "value: 1\n"})
    repo = repository(
        tmp_path / "repo",
        {"mldlc.yaml": "name: chain\nconf: conf\nextends: ['git://main:conf@../team']\ncode: [src]\n"},
    )
    (repo.root / "conf/second/default.yaml").unlink()
    repo.plan()
    commit(tmp_path / "team", {"conf/second/default.yaml": "value: 2\n"})
    assert shape(repo.plan()) == cold(repo)

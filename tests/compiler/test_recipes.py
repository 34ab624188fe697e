"""Recipes and keys move with what changes the result, and with nothing else."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.plan import dump, load
from tests.projects import OTHER, TALLY, Repository, repository


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def recipes(repo: Repository, *overrides: str) -> dict[str, str]:
    return {step.stage: step.recipe for step in repo.plan(TALLY, OTHER, *overrides).steps}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in before if before[stage] != after[stage]}


def test_a_result_value_moves_its_stage_and_what_follows(repo: Repository) -> None:
    assert moved(recipes(repo), recipes(repo, "tally.size=4")) == {"t"}
    assert moved(recipes(repo), recipes(repo, "noop.value=9")) == {"a", "b", "c", "t", "o"}
    assert moved(recipes(repo), recipes(repo, "second.value=9")) == {"b", "c"}


@pytest.mark.parametrize("override", ["tally.label=y", "+tally.verbose=true", "+tally.later=0", "executor=serial"])
def test_meta_runtime_neutral_and_executor_values_move_nothing(repo: Repository, override: str) -> None:
    assert moved(recipes(repo), recipes(repo, override)) == set()


def test_a_neutral_field_counts_when_it_is_set(repo: Repository) -> None:
    assert moved(recipes(repo), recipes(repo, "+tally.later=1")) == {"t"}


def test_comments_formatting_and_docstrings_move_nothing(repo: Repository) -> None:
    before = recipes(repo)
    repo.write(
        "src/tallying/counting.py",
        '"""Other words."""\n# a comment\ndef total( size ):\n    """Sum."""\n    return sum(range(size))\n',
    )
    assert moved(before, recipes(repo)) == set()


def test_an_imported_module_moves_exactly_the_steps_that_import_it(repo: Repository) -> None:
    before = recipes(repo)
    repo.write("src/tallying/counting.py", "def total(size):\n    return size\n")
    assert moved(before, recipes(repo)) == {"t"}
    repo.write("src/tallying/other.py", 'def run(ctx, cfg, inputs):\n    (ctx.out("out") / "o.txt").write_text("p")\n')
    assert moved(before, recipes(repo)) == {"t", "o"}


def test_the_place_of_the_repository_does_not_matter(tmp_path: Path) -> None:
    one, two = repository(tmp_path / "one"), repository(tmp_path / "elsewhere" / "two")
    assert recipes(one) == recipes(two)


def test_extra_code_files_join_the_hash(repo: Repository) -> None:
    repo.write("sql/query.sql", "select 1")
    extra = "+lifecycle.stages.t.code=[sql/query.sql]"
    before = recipes(repo, extra)
    repo.write("sql/query.sql", "select 2")
    assert moved(before, recipes(repo, extra)) == {"t"}


def test_the_plan_id_is_the_intent(repo: Repository) -> None:
    assert repo.plan().id == repo.plan().id == repo.plan(force=("a",)).id
    assert repo.plan().id != repo.plan("noop.value=3").id


def test_sweep_points_share_equal_steps(repo: Repository) -> None:
    plan = repo.plan("second.value=2,3,4", multirun=True)
    count = {stage: sum(1 for step in plan.steps if step.stage == stage) for stage in "abc"}
    assert count == {"a": 1, "b": 3, "c": 3}
    assert plan.by_id()[next(s.id for s in plan.steps if s.stage == "a")].points == (0, 1, 2)


def test_a_sweep_stage_takes_all_points_labelled(repo: Repository) -> None:
    plan = repo.plan(
        "second.value=2,3", "+lifecycle.stages.all={kind: scope.noop, scope: sweep, inputs: {after: b}}", multirun=True
    )
    everything = plan.step("all")
    assert everything.points == (0, 1)
    assert sorted(ref.label for ref in everything.inputs["after"].refs) == ["second.value=2", "second.value=3"]


def test_the_order_of_a_mapping_in_the_config_counts_and_survives(tmp_path: Path) -> None:
    """The parts of a split in time order, the columns of a file without a header: order is meaning."""
    config = "defaults: [_self_, {paths: default}, {executor: local}, {lifecycle: ordered}, {split: default}]\n"
    stages = "stages:\n  collect: {kind: data.collect}\n  split: {kind: data.split, inputs: {table: collect}}\n"
    split = "kind: time\nby: age\nfractions: {%s}\ncuts: null\ngap: null\n"
    source = "source: {kind: bundled, name: adult}\n"
    found = []
    for name, parts in (("one", "train: 0.7, test: 0.3"), ("two", "test: 0.3, train: 0.7")):
        files = {
            "conf/config.yaml": config + source,
            "conf/lifecycle/ordered.yaml": stages,
            "conf/split/default.yaml": split % parts,
        }
        step = repository(tmp_path / name, files).plan().step("split")
        plan = load(dump(repository(tmp_path / name, files).plan()))
        found.append((step.recipe, list(plan.blobs[step.params]["split"]["fractions"])))
    assert found[0][0] != found[1][0]
    assert [order for _, order in found] == [["train", "test"], ["test", "train"]]


def test_a_package_of_an_extra_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters need no tokenizer library; byte pairs do, which their step tells."""
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "tokenizers":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    plan = compile_plan(CompileRequest(tmp_path, ("experiment=shakespeare",)))
    packages = {step.stage: step.packages for step in plan.steps}
    assert packages["prepare"]["tokenizers"] == "absent"
    assert packages["train"]["torch"] != "absent"

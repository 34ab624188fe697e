"""A warm plan equals a cold one; what cannot be keyed is not cached. Edits: test_graph_cache_edits.py."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from mldlc import catalog
from mldlc.compiler import graph_cache
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from tests.projects import TALLY, repository


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(step.id, step.recipe, step.params) for step in plan.steps]


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


def test_a_config_that_chooses_the_outputs_itself_is_warm_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDLC_CACHE", str(tmp_path / "user"))
    monkeypatch.delenv("MLDLC_OUTPUTS", raising=False)
    repo = repository(tmp_path / "repo", {"conf/paths/default.yaml": f"outputs: {tmp_path}/far\n"})
    ask = CompileRequest(repo.root)
    wanted = shape(repo.plan())
    assert graph_cache.load(ask) is not None and shape(repo.plan()) == wanted
    assert not (repo.root / "outputs").exists()
    repo.write("conf/paths/default.yaml", f"outputs: {tmp_path}/further\n")
    assert graph_cache.load(ask) is None and repo.plan().outputs == f"{tmp_path}/further"
    repo.write("conf/paths/default.yaml", f"outputs: {tmp_path}/far\n")
    assert repo.plan().outputs == f"{tmp_path}/far", "the entry of before is as good as the config is the same again"
    repo.write("conf/paths/default.yaml", "outputs: null\n")
    assert repo.plan().outputs == str(repo.root / "outputs")
    (tmp_path / "user").rename(tmp_path / "gone")
    (tmp_path / "user").write_text("no folder: nothing can be kept there")
    repo.write("conf/paths/default.yaml", f"outputs: {tmp_path}/far\n")
    for _ in range(2):
        assert repo.plan().outputs == f"{tmp_path}/far"


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


def test_configs_from_a_source_that_cannot_be_watched_are_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "packaged"
    (package / "second").mkdir(parents=True)
    for name in ("__init__.py", "second/__init__.py"):
        (package / name).write_text("")
    monkeypatch.syspath_prepend(str(package.parent))
    repo = repository(tmp_path / "repo")
    asked = ("hydra.searchpath=['pkg://packaged']", "second=packed")
    for value in (7, 8):
        (package / "second" / "packed.yaml").write_text(f"value: {value}\n")
        plan = repo.plan(*asked)
        assert plan.blobs[plan.step("b").params] == {"noop": {"value": value}}
    assert graph_cache.load(CompileRequest(repo.root, asked)) is None


def test_a_folder_of_the_command_line_that_goes_away_is_seen(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    more = tmp_path / "more"
    more.mkdir()
    ask = CompileRequest(repo.root, config_dir=str(more))
    compile_plan(ask)
    assert graph_cache.load(ask) is not None
    more.rmdir()
    with pytest.raises(DiagnosticError, match="--config-dir: no folder"):
        compile_plan(ask)


LISTING = """
from pathlib import Path

from mldlc.config.schema import Config, location
from mldlc.plan.artifact import Decision
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import StepSpec


class ListConfig(Config):
    folder: str = location()


def sources(cfg):
    paths = tuple(str(path) for path in sorted(Path(cfg.second.folder).glob("*.txt")))
    return (SourceRef("listed", "listed", paths, patterns=(f"{cfg.second.folder}/*.txt",)),)


LIST = StepSpec(kind="list", version=1, impl="tallying.steps:run", outputs={"out": Decision}, reads={"second": ListConfig}, sources=sources)
"""


def test_files_that_a_step_of_ones_own_lists_are_seen_to_come_and_go(tmp_path: Path) -> None:
    repo = repository(
        tmp_path,
        {
            "src/tallying/listing.py": LISTING,
            "conf/second/default.yaml": "folder: texts\n",
            "conf/lifecycle/chain.yaml": "stages:\n  l: {kind: 'tallying.listing:LIST'}\n",
            "texts/a.txt": "a",
        },
    )

    def read() -> list[str]:
        return [Path(path).name for path in repo.plan().step("l").sources[0].paths]

    assert read() == read() == ["a.txt"]
    repo.write("texts/b.txt", "b")
    assert read() == ["a.txt", "b.txt"], "also where the kind was asked before"
    (tmp_path / "texts" / "a.txt").unlink()
    assert read() == ["b.txt"]


PLUGIN = """
from mldlc.plan.artifact import Decision
from mldlc.plan.spec import StepSpec

PLUG = StepSpec(kind="plug", version=%d, impl="plugged.steps:run", outputs={"out": Decision})
"""


def test_a_plugin_that_is_edited_in_its_checkout_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, told = tmp_path / "site", "[mldlc.steps]\nplug = plugged.steps:PLUG\n"
    files = {
        "plugged/__init__.py": "", "plugged/steps.py": PLUGIN % 1, "plugged-1.dist-info/entry_points.txt": told,
        "plugged-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: plugged\nVersion: 1\n",
    }  # fmt: skip
    repo = repository(tmp_path / "repo", {"conf/lifecycle/chain.yaml": "stages:\n  p: {kind: plug}\n"})
    for name, text in files.items():
        repo.write(f"../site/{name}", text)
    monkeypatch.syspath_prepend(str(site))
    catalog.plugin_kinds.cache_clear()
    try:
        assert repo.plan().step("p").version == 1
        assert graph_cache.load(CompileRequest(repo.root)) is not None
        repo.write("../site/plugged/steps.py", PLUGIN % 2)
        assert graph_cache.load(CompileRequest(repo.root)) is None
    finally:
        catalog.plugin_kinds.cache_clear()
        for name in ("plugged", "plugged.steps"):
            sys.modules.pop(name, None)

"""What typing gave before is used again, sees every edit, and spares a cold plan the import of pydantic."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mldlc.compiler import stamps
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan
from tests.projects import Repository, repository

CSV = "age,income\n1,a\n2,b\n"
LOADED = """
import sys
from mldlc.cli.main import main
main(["plan", *sys.argv[1:]])
print(*sorted({"pydantic", "hydra", "mldlc.training.spec", "mldlc.data.spec"} & set(sys.modules)), file=sys.stderr)
"""


def loaded(root: Path, *overrides: str) -> list[str]:
    """Which of the modules of interest a plan imports."""
    command = [sys.executable, "-c", LOADED, *overrides, f"paths.outputs={root / 'outputs'}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stderr.split()


def forget_graphs(root: Path) -> None:
    shutil.rmtree(root / "outputs" / "cache" / "graph")


def without_memory(root: Path, *overrides: str) -> Plan:
    return compile_plan(CompileRequest(root, overrides), lambda name, text: None)


@pytest.mark.slow
def test_a_cold_plan_types_only_what_changed(tmp_path: Path) -> None:
    assert "pydantic" in loaded(tmp_path, "experiment=adult")
    forget_graphs(tmp_path)
    assert loaded(tmp_path, "experiment=adult") == ["hydra"]
    changed = loaded(tmp_path, "experiment=adult", "optimizer.lr=0.003")
    assert changed == ["hydra", "mldlc.training.spec", "pydantic"]


def test_a_remembered_plan_equals_one_typed_again(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    source = ("source=csv", "source.path=rows.csv", "+source.roles.income=label")
    repo = Repository(tmp_path)
    for overrides in ((), ("optimizer.lr=0.1",), ("trainer.threads=1",), ("split.seed=3", "optimizer.lr=0.1"), ()):
        shutil.rmtree(tmp_path / "outputs" / "cache" / "graph", ignore_errors=True)
        remembered, again = repo.plan(*source, *overrides), without_memory(tmp_path, *source, *overrides)
        assert remembered.steps == again.steps
        assert remembered.settings == again.settings


def test_a_mistake_is_told_every_time(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    repo.plan()
    for _ in range(2):
        with pytest.raises(DiagnosticError, match=r"noop\.value"):
            repo.plan("noop.value={a: 1}", "executor.jobs=2")
        with pytest.raises(DiagnosticError, match="unknown key 'jbos'"):
            repo.plan("+executor.jbos=2")
        with pytest.raises(DiagnosticError, match="unknown kind"):
            repo.plan("lifecycle.stages.a.kind=scope.nop")


def test_a_new_file_that_a_pattern_matches_is_seen(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text(CSV)
    repo = Repository(tmp_path)
    source = ("source=csv", "source.path='rows/*.csv'", "+source.roles.income=label")

    def paths() -> set[str]:
        forget_graphs(tmp_path) if (tmp_path / "outputs" / "cache" / "graph").exists() else None
        return {Path(path).name for step in repo.plan(*source).steps for item in step.sources for path in item.paths}

    assert paths() == paths() == {"a.csv"}
    (tmp_path / "rows" / "b.csv").write_text(CSV)
    assert paths() == paths() == {"a.csv", "b.csv"}


def test_another_release_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repository(tmp_path)
    repo.plan()
    file = tmp_path / "outputs" / "cache" / "typed.json"
    known = json.loads(file.read_text())
    assert "reads:scope.noop" in known["facts"]
    known["facts"]["reads:scope.noop"] = ["nothing"]
    file.write_text(json.dumps({**known, "stamp": "another"}))
    forget_graphs(tmp_path)
    assert repo.plan().steps
    stamps.own_stamp.cache_clear()
    assert json.loads(file.read_text())["facts"]["reads:scope.noop"] == ["noop"]


def test_a_wide_sweep_does_not_push_the_rest_out(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    repo.plan("noop.value=range(300)", multirun=True)
    facts = json.loads((tmp_path / "outputs" / "cache" / "typed.json").read_text())["facts"]
    assert len(facts) < 100

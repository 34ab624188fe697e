"""`sweep=halving`: rounds continue what is trained, also after kill -9; the survivor equals a plain training."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mldlc.cli.main import main
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.loop.draws import points_of
from mldlc.loop.halving import rungs_of, training_of
from mldlc.plan.diagnostic import DiagnosticError

SMALL = ["source=housing", "model=linear", "trainer.max_epochs=3", "trainer.limit_train_batches=4", "optimizer=adamw",
         "profile=none", "expect=none"]  # fmt: skip
SEARCH = ["sweep=halving", "optimizer.lr=0.001,1e30,0.1", "sweep.sampler=grid"]


def start(root: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mldlc", "run", *SMALL, *args, "--until", "train", "--json"]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(root: Path, *args: str) -> tuple[int, dict[str, Any], str]:
    process = start(root, *args)
    out, text = process.communicate(timeout=400)
    return process.returncode, json.loads(out.splitlines()[-1]), text


def kill_in_round(root: Path, number: int) -> None:
    """Start the search and kill it at the first metric of a round."""
    process, rounds = start(root, *SEARCH), 0
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        kind = json.loads(line).get("type")
        rounds += kind == "run_started"
        if rounds == number and kind == "metric":
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.read()
    process.stderr.read()
    assert process.wait(60) == -signal.SIGKILL


def digests(root: Path, run: str) -> dict[str, str]:
    summary = json.loads((root / "outputs/runs" / run / "summary.json").read_text())
    return summary["steps"]["train"]["digests"]  # type: ignore[no-any-return]


def test_a_killed_search_goes_on_and_its_survivor_equals_a_plain_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_in_round(tmp_path, 2)
    code, summary, text = run(tmp_path, *SEARCH)
    found = summary["search"]
    assert code == 0 and "Round 1 of 2: 3 points up to epoch 1." in text and "Round 2 of 2: 1 points" in text
    assert sorted(trial["state"] for trial in found["trials"]) == ["complete", "failed", "pruned"]
    assert found["trials"][1]["state"] == "failed" and "the loss became" in text
    first = json.loads((tmp_path / "outputs/runs" / found["runs"][0] / "summary.json").read_text())
    assert first["counts"]["run"] == 0 and found["updates"] <= 2 * 4  # epochs 2 and 3 of the survivor
    best = found["trials"][found["best"][0]]["overrides"]

    code, plain, _ = run(tmp_path, *best)
    chained = digests(tmp_path, found["runs"][-1])
    assert {port: chained[port] for port in ("model", "history")} == digests(tmp_path, plain["run"])

    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["show", found["runs"][0]]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\* +0\.\d+ +[\d.]+ ", shown) and f"Best by objective val_loss: {best[0]}" in shown
    assert main(["ls", "sweeps", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rounds = [row for row in rows if row.get("run") == found["runs"][0]]
    assert [(row["points"], row["by"], row["best"]) for row in rounds] == [(3, "objective val_loss", best[0])]


def settings(**changes: Any) -> dict[str, Any]:
    space = {"a": {"low": 1, "high": 3, "integer": True}, "b": {"low": 1e-4, "high": 1.0, "log": True}}
    return {"params": space, "n_points": 5, "seed": 0, "sampler": "random", "factor": 3, "min_epochs": 1, **changes}


def test_points_are_drawn_by_the_seed_alone() -> None:
    first = points_of(settings())
    assert first == points_of(settings()) != points_of(settings(seed=1))
    assert all(trial.params["a"] in (1, 2, 3) and 1e-4 <= trial.params["b"] <= 1 for trial in first)
    assert len(points_of(settings(params={"a": {"choices": [1, 2]}}))) == 2
    grid = settings(params={"a": {"low": 0.0, "high": 1.0, "step": 0.5}, "c": {"choices": ["x", "y"]}}, sampler="grid")
    assert [trial.lines for trial in points_of(grid)][:3] == [("a=0.0", "c=x"), ("a=0.0", "c=y"), ("a=0.5", "c=x")]
    assert len(points_of(grid)) == 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


def test_rungs(project: Path) -> None:
    base = compile_plan(CompileRequest(project, ("sweep=halving", "trainer.max_epochs=20", "seed=1,2")))
    asked = base.settings["search"]
    assert rungs_of(base, asked) == [1, 3, 9, 20] and rungs_of(base, {**asked, "min_epochs": 20}) == [20]
    assert rungs_of(base, {**asked, "factor": 2, "min_epochs": 5}) == [5, 10, 20]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["sweep.min_epochs=21"], "sweep.min_epochs=21 is more than trainer.max_epochs=20"),
        (["trainer.max_epochs=-1"], "halving needs trainer.max_epochs (found -1)"),
        (["trainer.max_time={minutes: 3}"], "trainer.max_time={'minutes': 3} and halving exclude each other"),
        (["trainer.max_epochs=2,4"], "halving cannot search over trainer.max_epochs"),
        (["sweep.until=evaluate"], "sweep.until names 'evaluate'; set sweep.until=train"),
        (["sweep.factor=1"], "sweep.factor: input should be greater than or equal to 2 (found 1)"),
        (["sweep.eta=3"], "unknown key 'sweep.eta'"),
        (["sweep.n_points=0"], "sweep.n_points: input should be greater than or equal to 2"),
        (["sweep.objective.metric=val_los"], "no stage up to 'train' measures 'val_los'; did you mean 'val_loss'?"),
        (["sweep.objective.metric=val.auroc"], "no stage up to 'train' measures 'val.auroc'; set sweep.until=evaluate"),
        (["sweep.sampler=grid", "optimizer.lr=interval(1e-4,1e-2)"], "'optimizer.lr' has no grid"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_runs(project: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        base = compile_plan(CompileRequest(project, ("sweep=halving", "trainer.max_epochs=20", "seed=1,2", *overrides)))
        training_of(base, base.settings["search"]["until"])
        rungs_of(base, base.settings["search"])
    assert told in str(caught.value)

"""`sweep=optuna` as a user has it: rounds, resuming, pruning, several objectives, and what is told of mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")
pytest.importorskip("hatchling")

from tests.plugins.scoring import scoring
from tests.projects import Repository
from tests.thorough import thoroughly

SPACE = "score.x=interval(-10,10)"
Install = Callable[[str], Path]


@dataclass(frozen=True)
class Searching:
    """A project, and the command with the plugin on its path."""

    repo: Repository
    plugin: Path

    def start(self, *args: str) -> subprocess.Popen[str]:
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mldlc", *asked(*args)], cwd=self.repo.root, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(self.plugin), "NO_COLOR": "1"},
        )  # fmt: skip

    def run(self, *args: str) -> tuple[int, dict[str, Any], str]:
        """(exit code, summary, what a person reads), in this process: Optuna is imported once."""
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(self.plugin)
            done = self.repo.inside(*asked(*args))
        return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def asked(*args: str) -> list[str]:
    return ["run", *([] if args[0].startswith("sweep=") else ["sweep=optuna"]), *args, "--json"]


@pytest.fixture
def searching(tmp_path: Path, install: Install) -> Searching:
    return Searching(scoring(tmp_path), install("mldlc-optuna"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, install: Install) -> Searching:
    """One project for searches that hang on nothing done before: planned in full once."""
    return Searching(scoring(tmp_path_factory.mktemp("shared")), install("mldlc-optuna"))


def params(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [trial["params"] for trial in summary["search"]["trials"]]


def test_rounds_are_merged_plans_and_the_same_command_goes_on(searching: Searching) -> None:
    code, first, text = searching.run(SPACE, "sweep.n_trials=5", "sweep.batch=3")
    assert code == 0 and "Round 2: 2 of 5 points, 3 done." in text
    found = first["search"]
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 5 and len(found["runs"]) == 3
    best = min(found["trials"], key=lambda trial: trial["values"])
    assert found["best"] == [best["number"]] and found["executed"] == 5
    runs = [json.loads((searching.repo.root / "outputs/runs" / run / "plan.json").read_text()) for run in found["runs"]]
    told = [run["settings"]["search"] for run in runs]
    assert [len(run["points"]) for run in runs[:2]] == [3, 2] and told[1]["parent"] == runs[0]["id"]
    assert told[0]["trials"] == [0, 1, 2] and told[2]["best"] == found["best"]

    code, again, _ = searching.run(SPACE, "sweep.n_trials=5", "sweep.batch=3")
    assert code == 0 and again["search"]["executed"] == 0 and params(again) == params(first)
    code, more, _ = searching.run(SPACE, "sweep.n_trials=7", "sweep.batch=3")
    assert params(more)[:5] == params(first) and len(params(more)) == 7 and more["search"]["executed"] == 2
    assert len({trial["x"] if "x" in trial else trial["score.x"] for trial in params(more)}) == 7


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=thoroughly), signal.SIGKILL])
def test_stopped_or_killed_in_a_round_it_goes_on_with_its_points(searching: Searching, number: int) -> None:
    (searching.repo.root / "open").unlink()
    process = searching.start(SPACE, "sweep.n_trials=3", "sweep.batch=2")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "metric":
            break
    process.send_signal(number)
    process.stdout.read()
    assert process.wait(60) == (130 if number == signal.SIGINT else -signal.SIGKILL)
    (searching.repo.root / "open").write_text("")
    code, summary, text = searching.run(SPACE, "sweep.n_trials=3", "sweep.batch=2")
    assert code == 0 and "Round 1: 2 of 3 points, 0 done." in text
    assert [trial["number"] for trial in summary["search"]["trials"]] == [0, 1, 2]
    assert {trial["state"] for trial in summary["search"]["trials"]} == {"complete"}


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_two_that_search_at_once_begin_no_more_than_was_asked(sampler: str, tmp_path: Path, install: Install) -> None:
    """Each in a process of its own, as fast as it can."""
    code = """
import sys
from pathlib import Path
from mldlc_optuna.searcher import open_search

settings = {"params": {"x": {"choices": list(range(40))}}, "objective": [{"metric": "y", "mode": "min"}], "seed": 0}
settings |= {"sampler": sys.argv[2], "pruner": "none"}
print("here", flush=True)
sys.stdin.readline()
found = open_search(settings, Path(sys.argv[1]), "s")
while trials := found.ask(3, 16):
    for trial in trials:
        found.tell(trial.number, [1.0], "complete")
print(len(found.trials()), len({trial.params["x"] for trial in found.trials()}))
"""
    env = {**os.environ, "PYTHONPATH": f"{install('mldlc-optuna')}:{Path(__file__).parents[2]}"}
    command = [sys.executable, "-c", code, str(tmp_path), sampler]
    both = [
        subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) for _ in range(2)
    ]
    assert all(process.stdout.readline() == "here\n" for process in both if process.stdout)
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=120)[0].split() for process in both]
    assert ends[0][0] == ends[1][0] == "16"
    assert sampler == "random" or ends[0][1] == "16"


def test_a_grid_ends_when_all_of_it_is_done(shared: Searching) -> None:
    code, summary, _ = shared.run("score.y=range(1,4)", "score.shape=round,square", "sweep.sampler=grid", "score.x=2")
    assert code == 0
    assert params(summary) == [{"score.y": y, "score.shape": s} for y in (1, 2, 3) for s in ("round", "square")]
    assert summary["search"]["best"] == [0]


def test_several_objectives_give_what_no_other_beats(shared: Searching) -> None:
    goals = "[{metric: val_auroc, mode: max}, {metric: train.cost, mode: min}]"
    shared.repo.write("conf/sweep/two.yaml", f"defaults: [optuna]\nobjectives: {goals}\n")
    code, summary, _ = shared.run("sweep=two", "score.x=1,2,3", "score.y=1,2", "sweep.sampler=grid", "sweep.batch=6")
    assert code == 0
    assert [params(summary)[number] for number in summary["search"]["best"]] == [{"score.x": 3, "score.y": 1}]


@pytest.mark.parametrize("sampler", ["cmaes", pytest.param("random", marks=thoroughly)])
def test_other_samplers(shared: Searching, sampler: str) -> None:
    code, summary, _ = shared.run(SPACE, "score.y=int(interval(1,5))", f"sweep.sampler={sampler}", "sweep.n_trials=4")
    assert code == 0 and len({p["score.x"] for p in params(summary)}) == 4


def test_points_that_do_badly_end_early(tmp_path: Path, install: Install) -> None:
    searching = Searching(scoring(tmp_path, pause=0.4), install("mldlc-optuna"))
    code, summary, text = searching.run(
        "score.x=3,4,50,60", "sweep.sampler=grid", "sweep.batch=2", "sweep.pruner=median", "sweep.startup_trials=1",
        "sweep.warmup=0", "executor.jobs=1",
    )  # fmt: skip
    assert code == 0
    assert [trial["state"] for trial in summary["search"]["trials"]] == ["complete", "complete", "pruned", "pruned"]
    assert summary["search"]["executed"] == 2 and "2 pruned" in text


def test_successive_halving_ends_what_is_not_among_the_best(tmp_path: Path, install: Install) -> None:
    searching = Searching(scoring(tmp_path, pause=0.4), install("mldlc-optuna"))
    code, summary, _ = searching.run(
        "score.x=3,40,50,60", "sweep.sampler=grid", "sweep.pruner=successive_halving", "executor.jobs=1"
    )
    assert code == 0 and summary["search"]["best"] == [0]
    assert [trial["state"] for trial in summary["search"]["trials"]] == ["complete", "pruned", "pruned", "pruned"]


def test_no_round_begins_after_the_timeout_and_the_same_command_goes_on(searching: Searching) -> None:
    asked = (SPACE, "sweep.n_trials=4", "sweep.batch=2")
    code, first, text = searching.run(*asked, "sweep.timeout=0.001")
    assert code == 0 and "No further round: sweep.timeout=0.001 s are over." in text
    assert [trial["state"] for trial in first["search"]["trials"]] == ["complete", "complete"]
    code, again, _ = searching.run(*asked)
    assert code == 0 and len(params(again)) == 4 and params(again)[:2] == params(first)


def test_a_point_that_fails_is_told_and_the_search_goes_on(shared: Searching) -> None:
    code, summary, text = shared.run("score.shape=round,broken,square", "sweep.sampler=grid", "sweep.batch=3")
    assert code == 0 and "cannot be scored" in text and "1 failed" in text
    assert [trial["state"] for trial in summary["search"]["trials"]] == ["complete", "failed", "complete"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ["sweep.objective.metric=val_auc", "sweep.n_trials=2", "sweep.batch=2"],
            "no point has the metric 'val_auc'; did you mean 'val_auroc'?",
        ),
        (["sweep.until=trian"], "sweep.until: no stage 'trian'"),
        (["score.x=interval(0,101)"], "score.x: input should be less than or equal to 100"),
        (["score.y=interval(0,1)"], "score.y: input should be a valid integer"),
    ],
)
def test_mistakes(shared: Searching, args: list[str], told: str) -> None:
    code, summary, text = shared.run(SPACE, *args)
    assert code == 2 and told in text and "Traceback" not in text
    assert summary["status"] == "error"


def test_an_edit_while_it_runs_ends_it(searching: Searching) -> None:
    (searching.repo.root / "open").unlink()
    process = searching.start(SPACE, "sweep.n_trials=4", "sweep.batch=2")
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "metric":
            break
    time.sleep(0.05)
    searching.repo.write("conf/score/default.yaml", "x: 0.0\ny: 2\nshape: round\n")
    (searching.repo.root / "open").write_text("")
    process.stdout.read()
    text = process.stderr.read()
    assert process.wait(60) == 2 and "changed while the search ran" in text and "conf/score/default.yaml" in text


def test_without_the_plugin_the_way_to_it_is_told(tmp_path: Path) -> None:
    """The plan of the configured point holds, and tells it too."""
    program = (
        "import importlib.metadata as m, sys; f = m.entry_points; "
        "m.entry_points = lambda **k: () if k.get('group') == 'mldlc.search' else f(**k); "
        "from mldlc.cli.main import main; asked = ['sweep=optuna', 'score.x=interval(0,1)']; "
        "sys.exit(10 * main(['plan', *asked]) + main(['run', *asked]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=scoring(tmp_path).root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    told = "sweep=optuna needs a plugin that is not installed; pip install 'mldlc[optuna]' ./plugins/mldlc-optuna"
    assert done.stderr.splitlines() == [f"warning: {told}", f"error: {told}"]


def test_a_plan_with_the_plugin_lacks_nothing(shared: Searching) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(shared.plugin)
        done = shared.repo.inside("plan", "sweep=optuna", SPACE)
    assert done.returncode == 0 and done.stderr == ""

"""The main job on real data: its quality, its reuse, its convergence, its page."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import Table
from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files
from tests.e2e.conftest import Job, artifact_digests, execute
from tests.projects import Repository
from tests.shared_data import shared
from tests.thorough import thoroughly

DATA = ("collect", "expect", "split", "profile", "prepare")
AUTO = ("trainer=auto", "trainer.accelerator=cpu", "trainer.memory_gb=1", "optimizer.lr=0.0017")


@pytest.mark.slow
def test_adult_reaches_its_goal(adult: Job) -> None:
    test = adult.summary["metrics"]["test"]
    assert adult.summary["status"] == "ok"
    assert test["auroc"] >= 0.905 and test["accuracy"] >= 0.85


@pytest.mark.slow
def test_housing_reaches_its_goal(housing: Job) -> None:
    assert housing.summary["metrics"]["test"]["r2"] >= 0.78


@pytest.mark.slow
def test_the_same_again_reuses_everything_and_the_plan_converges(adult: Job) -> None:
    again = adult.run()
    assert again["counts"]["run"] == 0 and again["counts"]["reuse"] == len(adult.plan())
    assert again["metrics"] == adult.summary["metrics"]
    assert {step["action"] for step in adult.plan().values()} == {"reuse"}


@pytest.mark.slow
def test_one_changed_training_key_reuses_the_data_stages(adult: Job) -> None:
    plan = adult.plan("optimizer.weight_decay=0.5")
    assert {stage: plan[stage]["action"] for stage in DATA} == dict.fromkeys(DATA, "reuse")
    assert plan["train"]["action"] == "run" and plan["evaluate"]["action"] == "maybe"
    (reason,) = plan["train"]["reasons"]
    assert (reason["code"], reason["path"], reason["new"]) == ("param_changed", "optimizer.weight_decay", 0.5)
    assert reason["where"] == "command line"


@pytest.mark.slow
@pytest.mark.parametrize(
    "override", ["trainer.log_every_n_steps=7", "project.title=Other", "executor=serial", "trainer.threads=1"]
)
def test_what_does_not_change_the_result_reuses_the_model(adult: Job, override: str) -> None:
    assert adult.plan(override)["train"]["action"] == "reuse"


@pytest.mark.slow
def test_a_column_that_is_not_there_is_told_before_the_training(adult: Job) -> None:
    done = adult.repo.inside("plan", "experiment=adult", "seed=7", "slices=columns", "slices.columns=[sexx]")
    assert done.returncode == 2 and "no column 'sexx' to slice by; did you mean 'sex'?" in done.stderr


@pytest.mark.slow
def test_the_raw_file_gives_the_same_rows_as_the_bundled_one(adult: Job) -> None:
    raw = f"source.path={shared('adult.data')}"
    outputs = adult.repo.root / "outputs"
    runs = (adult.summary["run"], adult.run("source=adult_csv", raw, "--until", "collect")["run"])
    frames = []
    for run in runs:
        digest = artifact_digests(outputs, run)["collect"]["table"]
        files = tree_files(open_store(outputs), digest)
        frames.append(Table(Artifact("Table", digest, files)).load())
    assert frames[0].shape == (32561, 15)
    assert frames[0].equals(frames[1])


@pytest.mark.slow
def test_the_report_is_one_self_contained_page(adult: Job) -> None:
    page = Path(adult.summary["report"]).read_text()
    assert "Census income" in page and "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


@pytest.mark.slow
def test_a_plan_imports_nothing_heavy(adult: Job) -> None:
    """Several plans a process: what one imports is seen in all that follow it."""
    code = """
import json, os, sys
sys.path[0] = os.getcwd()  # as of `python -m mldlc`
from mldlc.cli.main import main
wrong = 0
for overrides in json.loads(sys.argv[1]):
    wrong |= main(["plan", "experiment=adult", "--json", *overrides])
    print("hydra" in sys.modules, "pydantic" in sys.modules, file=sys.stderr)
heavy = {"torch", "lightning", "deepspeed", "whylogs", "polars", "numpy", "mlflow", "lakefs_client"} & set(sys.modules)
print(sorted(heavy), file=sys.stderr)
sys.exit(1 if heavy or wrong else 0)
"""

    def plan(*overrides: Sequence[str]) -> list[str]:
        command = [sys.executable, "-c", code, json.dumps(overrides)]
        done = subprocess.run(command, cwd=adult.repo.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.splitlines() if line.startswith(("True", "False"))]

    cold = plan([], ["seed=1"], AUTO)
    assert cold[1] == "True True"
    nothing_changed, _ = plan([], ["seed=1"])
    assert nothing_changed == "False False"


@pytest.mark.slow
def test_a_plan_tells_which_strategy_auto_chooses(adult: Job) -> None:
    """From an answer that another process gave once; the choice moves no key, and what fits nowhere ends the plan."""
    assert adult.plan(*AUTO[:-1])["train"]["action"] == "reuse"
    waiting = adult.plan(*AUTO, "prepare.numeric.scale=none")["train"]
    assert "known after probe" in waiting["note"] and waiting["advice"] == {"strategy": None}
    told, named = adult.plan(*AUTO, process=True)["train"], adult.plan(AUTO[-1])["train"]
    assert told["key"] == named["key"] and "strategy: ddp (2 devices of 1 GB" in told["note"]
    needs = {need["strategy"]: need for need in told["advice"]["needs"]}
    assert told["advice"]["strategy"] == "ddp" and needs["ddp"]["fits"] and needs["fsdp2"]["total"] > 0
    probes = adult.repo.root / "outputs" / "cache" / "probe"
    before = {path: path.stat().st_mtime_ns for path in probes.iterdir()}
    done = adult.repo.mldlc("plan", "experiment=adult", *AUTO, "trainer.memory_gb=0.001")
    assert done.returncode == 2 and "conf/trainer/auto.yaml" not in done.stdout
    assert "no strategy fits these devices; a smaller ingest.batch_size" in done.stderr
    assert "tensor_parallel" in done.stderr and "does not fit" in done.stderr
    assert before and before == {path: path.stat().st_mtime_ns for path in probes.iterdir()}


@pytest.mark.slow
def test_the_gate_and_publishing(adult: Job) -> None:
    repo = adult.repo
    done = repo.mldlc("run", "experiment=adult", "registry=folder", "automation=manual", "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "waiting"
    assert not (repo.root / "outputs" / "published").exists()
    assert repo.inside("approve", "approve", "--why", "looks right").returncode == 0
    done = repo.mldlc("run", "experiment=adult", "registry=folder", "automation=manual", "--json")
    assert done.returncode == 0, done.stderr
    current = repo.root / "outputs" / "published" / "adult" / "current"
    assert (current / "model" / "model.safetensors").exists() and (current / "preprocessor").is_dir()
    plan = adult.plan("registry=folder", "automation=manual")
    assert (plan["approve"]["action"], plan["publish"]["action"]) == ("reuse", "in place")


@pytest.mark.slow
def test_every_part_of_a_run_is_published_as_one_commit(adult: Job) -> None:
    summary = adult.run("versions=local")
    assert summary["counts"]["run"] == 0 and summary["counts"]["applied"] == 1
    done = adult.repo.inside("data", "ls", "main:adult", "--json")
    found = {event["path"] for event in map(json.loads, done.stdout.splitlines()) if event.get("type") == "folder"}
    parts = ("dataset", "split", "profile", "preprocessor", "model", "metrics", "report")
    assert found == {f"adult/{part}/" for part in parts}
    log = adult.repo.inside("data", "log", "main", "--json").stdout.splitlines()
    metadata = json.loads(log[0])["metadata"]
    assert metadata["mldlc.run"] == summary["run"] and metadata["mldlc.checks"] == "passed"
    assert adult.plan("versions=local")["version"]["action"] == "in place"


@pytest.mark.slow
def test_a_gate_outside_its_bounds_rejects(adult: Job) -> None:
    bound = "scope.target.test.auroc.min=0.99"
    done = adult.repo.mldlc("run", "experiment=adult", "registry=folder", "automation=full", bound)
    assert done.returncode == 1 and "wanted >= 0.99" in done.stdout + done.stderr
    done = adult.repo.mldlc("run", "experiment=adult", "registry=folder", "automation=partial", bound)
    assert done.returncode == 3
    assert adult.repo.inside("reject", "approve", "--why", "too low").returncode == 0
    done = adult.repo.mldlc("run", "experiment=adult", "registry=folder", "automation=partial", bound)
    assert done.returncode == 1 and "too low" in done.stdout + done.stderr


@pytest.mark.slow
@thoroughly
@pytest.mark.parametrize(
    ("experiment", "goals"), [("adult", {"auroc": 0.905, "accuracy": 0.85}), ("housing", {"r2": 0.78})]
)
def test_the_goal_holds_in_the_mean_over_five_split_seeds(
    experiment: str, goals: dict[str, float], tmp_path: Path
) -> None:
    repo = Repository(tmp_path)
    rows = [execute(repo, experiment, f"split.seed={seed}")["metrics"]["test"] for seed in range(5)]
    for name, goal in goals.items():
        values = [row[name] for row in rows]
        print(f"{experiment} {name}: mean {statistics.mean(values):.4f} of {[round(v, 4) for v in values]}")
        assert statistics.mean(values) >= goal

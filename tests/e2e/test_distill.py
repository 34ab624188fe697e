"""`experiment=adult_distill` through the commands a user types: what is shared, and teachers by reference."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import execute
from tests.projects import Repository
from tests.thorough import thoroughly

QUICK = (
    "trainer.max_epochs=1",
    "teacher.trainer.max_epochs=1",
    "~lifecycle.stages.profile",
    "~lifecycle.stages.expect",
    "executor.jobs=1",  # one process imports torch for all that judges
)
SEEDS = 5


def steps(repo: Repository, *overrides: str, experiment: str = "adult_distill") -> dict[str, str]:
    """Stage -> action of a plan."""
    done = repo.inside("plan", f"experiment={experiment}", *overrides, "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {event["stage"]: event["action"] for event in events if event.get("type") == "step"}


def kept(repo: Repository, run: str) -> dict[str, Any]:
    return dict(json.loads((repo.root / "outputs" / "runs" / run / "summary.json").read_text())["steps"])


@pytest.mark.slow
def test_students_share_lessons_and_twins_and_teachers_come_by_reference(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = execute(repo, "adult_distill", *QUICK, "versions=local")
    made = kept(repo, first["run"])
    assert made["distillation"]["summary"]["size"] < 0.2
    page = (repo.root / "outputs" / "runs" / first["run"] / "report.html").read_text()
    assert "Distillation" in page and "student over twin" in page.lower()
    assert set(steps(repo, *QUICK).values()) == {"reuse"}
    seeds = repo.plan("experiment=adult_distill", *QUICK, "seed=0,1,2", multirun=True).steps
    counts = Counter(step.stage for step in seeds)
    assert (counts["lessons"], counts["teacher"], counts["student"], counts["train"]) == (1, 1, 3, 3)
    other = steps(repo, *QUICK, "split.seed=5")  # another version of the data: the teacher is asked again
    assert other["split"] == "run" and other["lessons"] == other["student"] == "maybe"
    warmer = steps(repo, *QUICK, "distill.temperature=3.0")
    assert {stage for stage, action in warmer.items() if action == "reuse"} >= {
        "prepare",
        "train",
        "teacher",
        "lessons",
    }
    assert warmer["student"] == "run"
    plain = steps(repo, *QUICK, "distill=none", "~lifecycle.stages.teacher")
    assert plain["train"] == "reuse" and "student" not in plain
    reference = (f"distill.teacher={first['run']}:teacher", "~lifecycle.stages.teacher")
    again = kept(repo, execute(repo, "adult_distill", *QUICK, *reference, "--until", "student")["run"])
    assert again["earlier"]["digests"] == {"model": made["teacher"]["digests"]["model"]}
    assert again["student"]["digests"] == made["student"]["digests"]
    done = repo.mldlc("reproduce", "--until", "earlier")
    assert done.returncode == 0, done.stdout + done.stderr
    versioned = ("distill.teacher=store://main/adult_distill/model", "~lifecycle.stages.teacher")
    done = repo.mldlc("run", "experiment=adult_distill", *QUICK, *versioned, "--until", "earlier", "--json")
    assert done.returncode == 0, done.stderr
    taken = kept(repo, json.loads(done.stdout.splitlines()[-1])["run"])["earlier"]
    assert taken["digests"] == {"model": made["student"]["digests"]["model"]}
    for wrong, words in (("nope:train", "run 'nope' is not here"), ("registry://adult", "no such published model")):
        done = repo.inside("plan", "experiment=adult_distill", f"distill.teacher={wrong}", "~lifecycle.stages.teacher")
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@thoroughly
def test_the_student_keeps_the_metric_and_beats_its_twin_over_five_seeds(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    seeds = ",".join(map(str, range(SEEDS)))
    done = repo.mldlc("run", "-m", "experiment=adult_distill", f"seed={seeds}", "~lifecycle.stages.profile", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    made = kept(repo, json.loads(done.stdout.splitlines()[-1])["run"])
    facts = next(step["summary"] for id, step in made.items() if id.startswith("seeds"))
    print(facts)
    assert facts["points"] == SEEDS and facts["gain"] > 0
    judged = [step["summary"] for id, step in made.items() if id.startswith("distillation")]
    assert all(item["kept"] >= 0.98 and item["size"] <= 0.2 for item in judged)

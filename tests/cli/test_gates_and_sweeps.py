"""What a person is told about a gate that waits, and about a sweep with a point that fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.projects import Repository, repository

FIRST, SECOND = "aa11", "bb22"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def ask(repo: Repository, digest: str, age: int) -> None:
    """A request as a waiting gate writes it, `age` seconds old."""
    name = f"outputs/approvals/g/{digest}.request.json"
    repo.write(name, json.dumps({"evidence": {"checks": []}, "run": f"run-{digest}"}))
    stat = (repo.root / name).stat()
    os.utime(repo.root / name, (stat.st_atime - age, stat.st_mtime - age))


def test_an_answer_in_the_repository_counts_as_an_answer(repo: Repository) -> None:
    ask(repo, FIRST, age=20)
    ask(repo, SECOND, age=10)
    done = repo.mldlc("approve", "g", "--repo", "--why", "good")
    assert done.returncode == 0 and "asked by run run-bb22" in done.stdout
    assert f"2 requests wait; answering the newest (the others: --evidence {FIRST})" in done.stderr
    assert 'why: "good"' in (repo.root / "approvals" / "g" / f"{SECOND}.yaml").read_text()
    done = repo.mldlc("reject", "g")
    assert "run-aa11" in done.stdout and done.stderr == ""
    assert 'decision: "reject"' in (repo.root / "outputs" / "approvals" / "g" / f"{FIRST}.yaml").read_text()
    done = repo.mldlc("approve", "g")
    assert done.returncode == 2 and "every request of it has an answer; to change one: --evidence" in done.stderr


def test_evidence_that_nothing_asked_about(repo: Repository) -> None:
    ask(repo, FIRST, age=0)
    done = repo.mldlc("approve", "g", "--evidence", "zz")
    assert done.returncode == 2
    assert done.stderr == "error: command line: 'g' has no request for evidence 'zz'; there are: aa11\n"
    assert not list(repo.root.rglob("approvals/g/*.yaml"))


PICKY = """
from mldlc.config.schema import Config, result
from mldlc.plan.artifact import Any, Decision
from mldlc.plan.spec import StepSpec, many


class PickyConfig(Config):
    n: int = result(1)


PICKY = StepSpec(
    kind="picky", version=1, impl="tallying.refusing:run", inputs={"after": many(Any)}, outputs={"out": Decision},
    reads={"picky": PickyConfig},
)
"""
REFUSING = """
from pathlib import Path


def run(ctx, cfg, inputs):
    if cfg.picky.n == 2 and not Path({marker!r}).exists():
        raise ValueError("two is bad")
    (ctx.out("out") / "o.txt").write_text(str(cfg.picky.n))
"""


def test_a_sweep_names_the_point_that_failed_and_reruns_only_it(repo: Repository) -> None:
    marker = repo.root / "mended"
    repo.write("src/tallying/picky.py", PICKY)
    repo.write("src/tallying/refusing.py", REFUSING.format(marker=str(marker)))
    sweep = ["-m", "+lifecycle.stages.p={kind: 'tallying.picky:PICKY', inputs: {after: a}}", "+picky.n=1,2,3"]
    done = repo.mldlc("run", *sweep, "--jobs", "1")
    assert done.returncode == 1 and "skipped: the run ends: p failed" in done.stdout
    ends = {line.split()[0]: line.split("       ")[-1] for line in done.stdout.splitlines()[-3:]}
    assert ends["3"] == "not reached: p"
    done = repo.mldlc("run", *sweep, "--keep-going")
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()[-3:]]
    assert [row[0] for row in rows] == ["1", "2", "3"] and [len(row) > 5 for row in rows] == [False, True, False]
    assert rows[1][-3:-1] == ["failed:", "p"] and rows[1][-1].startswith("(p#")
    marker.write_text("")
    done = repo.mldlc("run", *sweep, "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and last["counts"]["run"] == 1 and last["counts"]["failed"] == 0


def test_jobs_must_be_a_positive_number(repo: Repository) -> None:
    for wrong in ("0", "x"):
        done = repo.mldlc("run", "-j", wrong)
        assert done.returncode == 2
        assert f"argument -j/--jobs: '{wrong}' is no number of at least 1" in done.stderr

"""A sweep from start to end: failures, resuming, two at once, edits while it runs, its table and its page of results."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mldlc.cli.views.sweep_text import lines
from mldlc.engine.history import read_run
from mldlc.loop.sweeps import PointRow, Sweep
from mldlc.plan.label import overrides_of
from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files
from tests.projects import Repository, repository

PROBE = """
from mldlc.config.schema import Config, result
from mldlc.plan.artifact import Any, Decision
from mldlc.plan.spec import StepSpec, many, optional, port


class ProbeConfig(Config):
    n: int = result(1)
    text: str = result("as started")


PROBE = StepSpec(
    kind="probe", version=1, impl="tallying.probing:run", inputs={"after": many(Any)}, outputs={"out": Decision},
    reads={"probe": ProbeConfig},
)
GATHER = StepSpec(
    kind="gather", version=1, impl="tallying.probing:gather", inputs={"points": many(Decision)}, outputs={"out": Decision},
)
PAGE = StepSpec(
    kind="page", version=1, impl="tallying.probing:page", outputs={"out": Decision},
    inputs={"points": port(Decision), "best": optional(Decision)},
)
"""
PROBING = """
import os
import time
from pathlib import Path

HERE = Path({here!r})


def run(ctx, cfg, inputs):
    with (HERE / "executed").open("a") as file:
        file.write(f"{{cfg.probe.n}}\\n")
    while (HERE / "wait").exists():
        time.sleep(0.02)
    if cfg.probe.n == 2 and (HERE / "broken").exists():
        raise ValueError("two is bad")
    from tallying.counting import total

    (ctx.out("out") / "o.txt").write_text(f"{{cfg.probe.text}} {{total(cfg.probe.n)}}")
    ctx.summary({{"metrics": {{"val": {{"score": float(cfg.probe.n)}}}}}})


def gather(ctx, cfg, inputs):
    texts = {{label: item.file("o.txt").read_text() for label, item in inputs["points"].items()}}
    (ctx.out("out") / "all.txt").write_text(repr(sorted(texts.items())))


def page(ctx, cfg, inputs):
    (ctx.out("out") / "page.txt").write_text("with the best" if inputs["best"] else "without")
"""
SWEEP = [
    "+lifecycle.stages.p={kind: 'tallying.probe:PROBE', inputs: {after: a}}",
    "+lifecycle.stages.strict={kind: 'tallying.probe:GATHER', scope: sweep, inputs: {points: p}}",
    "+lifecycle.stages.partial={kind: 'tallying.probe:GATHER', scope: sweep, partial: true, inputs: {points: p}}",
]
POINTS = ["-m", "probe.n=1,2,3"]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = repository(tmp_path)
    made.write("src/tallying/probe.py", PROBE)
    made.write("src/tallying/probing.py", PROBING.format(here=str(tmp_path)))
    made.write("conf/probe/default.yaml", "n: 1\ntext: as started\n")
    config = (tmp_path / "conf" / "config.yaml").read_text()
    made.write("conf/config.yaml", config.replace("  - tally: default\n", "  - tally: default\n  - probe: default\n"))
    return made


def executed(repo: Repository) -> list[str]:
    return sorted((repo.root / "executed").read_text().split())


def output(repo: Repository, step: str, run: str = "latest") -> dict[str, str]:
    """The files of a step's output, by step id or stage."""
    outputs = repo.root / "outputs"
    info = read_run(outputs, run)
    digest = next(s["digests"]["out"] for id, s in info.steps.items() if step in (id, s["stage"]))
    return {name: path.read_text() for name, path in tree_files(open_store(outputs), digest).items()}


def status(repo: Repository) -> dict[str, str]:
    return {id.split("#")[0]: step["status"] for id, step in read_run(repo.root / "outputs", "latest").steps.items()}


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_one_point_that_fails_loses_no_other_and_the_same_command_resumes(repo: Repository) -> None:
    repo.write("broken", "")
    done = repo.inside("run", *SWEEP, *POINTS, "--keep-going", "--json")
    found = summary(done)
    assert done.returncode == 1 and executed(repo) == ["1", "2", "3"]
    assert [point["end"].split(" (")[0] for point in found["points"]] == ["", "failed: p", ""]
    assert status(repo)["strict"] == "skipped" and status(repo)["partial"] == "ran"
    assert output(repo, "partial")["all.txt"] == "[('probe.n=1', 'as started 0'), ('probe.n=3', 'as started 3')]"
    (repo.root / "broken").unlink()
    done = repo.inside("run", *SWEEP, *POINTS, "--keep-going", "--json")
    assert done.returncode == 0 and executed(repo) == ["1", "2", "2", "3"]
    assert [(point["ran"], point["end"]) for point in summary(done)["points"]] == [(0, ""), (1, ""), (0, "")]
    assert "('probe.n=2', 'as started 1')" in output(repo, "strict")["all.txt"]
    assert output(repo, "strict") == output(repo, "partial")
    plan = repo.plan(*SWEEP, "probe.n=1,2,3", multirun=True)
    assert not plan.changes()


def test_a_page_of_the_sweep_is_made_without_what_needs_every_point(repo: Repository) -> None:
    page = "+lifecycle.stages.page={{kind: 'tallying.probe:PAGE', scope: sweep, partial: {}, inputs: {}}}"
    partial = page.format("true", "{points: partial, best: strict}")
    repo.write("broken", "")
    done = repo.inside("run", *SWEEP, partial, *POINTS, "--keep-going")
    assert done.returncode == 1 and status(repo)["strict"] == "skipped"
    assert output(repo, "page") == {"page.txt": "without"}
    repo.inside("run", *SWEEP, page.format("false", "{points: partial, best: strict}"), *POINTS, "--keep-going")
    assert status(repo)["page"] == "skipped"
    repo.inside("run", *SWEEP, page.format("true", "{points: strict, best: partial}"), *POINTS, "--keep-going")
    assert status(repo)["page"] == "skipped"
    (repo.root / "broken").unlink()
    repo.inside("run", *SWEEP, partial, *POINTS)
    assert output(repo, "page") == {"page.txt": "with the best"}


def test_fail_fast_starts_nothing_after_a_failure(repo: Repository) -> None:
    repo.write("broken", "")
    done = repo.inside("run", *SWEEP, "-m", "probe.n=2,3,4,5", "--jobs", "1", "--json")
    assert done.returncode == 1 and executed(repo) == ["2"]
    assert [p["end"].split(" (")[0] for p in summary(done)["points"]] == [
        "failed: p", *["not reached: p"] * 3
    ]  # fmt: skip


def test_a_plan_says_what_moved_at_each_point_of_the_sweep_before(repo: Repository) -> None:
    repo.inside("run", *SWEEP, *POINTS)
    code = repo.root / "src/tallying/probing.py"
    code.write_text(code.read_text().replace("two is bad", "two is not good"))
    plan = repo.plan(*SWEEP, "probe.n=3,2,4", multirun=True)
    told = {plan.points[step.points[0]].overrides[0]: step.reasons for step in plan.steps if step.stage == "p"}
    assert {point: [reason.code for reason in reasons] for point, reasons in told.items()} == {
        "probe.n=2": ["code_changed"], "probe.n=3": ["code_changed"], "probe.n=4": ["first_run"]
    }  # fmt: skip
    assert told["probe.n=2"][0].files == ("tallying.probing",)


def test_the_best_point_is_told_as_it_is_typed() -> None:
    labels = ["layers=[64],name='a,b'", "layers=[128,64],name='c,d'"]
    rows = tuple(PointRow(label, overrides_of(label), {"val": {"f1": float(n)}}) for n, label in enumerate(labels))
    assert lines(Sweep(rows, labels[1], "val f1"))[-1] == "Best by val f1: layers=[128,64] name='c,d' (1.0000)"


def start(repo: Repository, *more: str) -> subprocess.Popen[str]:
    """A sweep in the background; the probes wait while the file `wait` is there."""
    return subprocess.Popen(
        [sys.executable, "-m", "mldlc", "run", *SWEEP, *POINTS, *more], cwd=repo.root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def wait_for(path: Path, lines: int) -> None:
    for _ in range(3000):
        if path.exists() and len(path.read_text().splitlines()) >= lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} never had {lines} lines")


def test_edits_of_config_and_code_do_not_leak_into_a_running_sweep(repo: Repository) -> None:
    repo.write("wait", "")
    running = start(repo, "--jobs", "1")
    wait_for(repo.root / "executed", 1)
    repo.write("src/tallying/counting.py", "def total(size):\n    return -1\n")
    repo.write("conf/probe/default.yaml", "n: 1\ntext: edited\n")
    (repo.root / "wait").unlink()
    text, _ = running.communicate(timeout=300)
    assert running.returncode == 0, text
    expected = [(f"probe.n={n}", f"as started {sum(range(n))}") for n in (1, 2, 3)]
    assert output(repo, "strict")["all.txt"] == repr(expected)
    done = repo.inside("run", *SWEEP, *POINTS)
    assert done.returncode == 0, done.stderr
    assert output(repo, "strict")["all.txt"] == repr([(f"probe.n={n}", "edited -1") for n in (1, 2, 3)])


def test_two_of_the_same_sweep_at_once_share_the_work(repo: Repository) -> None:
    repo.write("wait", "")
    both = [start(repo, "--jobs", "2"), start(repo, "--jobs", "2")]
    wait_for(repo.root / "executed", 2)
    (repo.root / "wait").unlink()
    for running in both:
        text, _ = running.communicate(timeout=300)
        assert running.returncode == 0, text
    assert executed(repo) == ["1", "2", "3"]  # each key once, whoever was first


def test_the_table_of_a_sweep_in_every_view(repo: Repository) -> None:
    assert repo.inside("run", *SWEEP, *POINTS, "--keep-going").returncode == 0
    shown = repo.inside("show").stdout
    told = [line.split() for line in shown.splitlines()]
    assert ["probe.n", "time", "ran", "reused"] in told and len([line for line in told if line[:1] == ["3"]]) == 1
    assert "p#" not in shown and "p#" in repo.inside("show", "--steps").stdout
    rows = list(csv.DictReader(io.StringIO(repo.inside("show", "--csv").stdout)))
    assert [(row["probe.n"], row["val.score"], row["end"]) for row in rows] == [
        ("1", "1.0", ""), ("2", "2.0", ""), ("3", "3.0", "")
    ]  # fmt: skip
    events = [json.loads(line) for line in repo.inside("show", "--json").stdout.splitlines()]
    assert [e["overrides"] for e in events if e.get("type") == "point"] == [{"probe.n": str(n)} for n in (1, 2, 3)]
    assert events[-1]["format"] == "mldlc.show/1" and events[-1]["points"] == 3
    listed = repo.inside("ls", "sweep", "--json").stdout.splitlines()
    assert json.loads(listed[0])["points"] == 3 and json.loads(listed[0])["type"] == "sweep"
    assert repo.inside("run").returncode == 0
    done = repo.inside("show", "--csv")
    assert done.returncode == 2 and "is no sweep: it has one point; mldlc ls sweeps" in done.stderr
    assert len(repo.inside("ls", "sweeps", "--json").stdout.splitlines()) == 2

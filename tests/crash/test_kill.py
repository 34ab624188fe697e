"""kill -9 of the scheduler and of workers at random points: the next run ends right, and nothing false is reused."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mldlc.engine.history import read_run, runs
from mldlc.store.layout import open_store
from mldlc.store.verify import verify
from tests.crash.runner import crash_plan, outcome
from tests.engine.plans import Builder, Watch, copy_kit

ROUNDS = 40
REPO = Path(__file__).resolve().parents[2]


def _start(root: Path, outputs: Path, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.runner", str(root), str(outputs), str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPO)


def _finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def _rows(log: Path) -> list[dict]:
    """Executions; a line that a kill cut off does not count."""
    rows = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def assert_one_writer(log: Path) -> dict[str, int]:
    """No two executions of one key overlap. Gives executions per key."""
    spans = defaultdict(list)
    for row in _rows(log):
        spans[row["key"]].append((row["start"], row["end"]))
    for key, found in spans.items():
        found.sort()
        for (_, end), (start, _) in itertools.pairwise(found):
            assert end <= start, f"two writers of {key}"
    return {key: len(found) for key, found in spans.items()}


def _run_folders(outputs: Path) -> set[str]:
    return {path.name for path in (outputs / "runs").glob("*")}


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _parent(process: psutil.Process) -> int | None:
    """None for one that ended meanwhile."""
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


@pytest.mark.slow
def test_forty_kills_at_random_points(tmp_path: Path) -> None:
    rng = random.Random(20260101)
    root = copy_kit(tmp_path)
    clean_log = tmp_path / "log"  # the log's path is part of the config, so every round uses this one
    clean = _finish(_start(root, tmp_path / "clean", clean_log))
    whole = read_run(tmp_path / "clean", "latest").seconds
    assert clean["status"] == "ok"
    kills = {"scheduler": 0, "worker": 0, "late": 0}
    for number in range(ROUNDS):
        outputs = tmp_path / f"outputs{number % 8}"  # the later rounds find stores with crashes of earlier ones
        for record in sorted((outputs / "store" / "records").rglob("*.json")):
            if rng.random() < 0.8:
                record.unlink()
        clean_log.unlink(missing_ok=True)
        before = _run_folders(outputs)
        process = _start(root, outputs, clean_log)
        while _run_folders(outputs) <= before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(whole * rng.random())
        family = _children(process.pid)
        workers = [p for p in family if _parent(p) not in (None, process.pid)]
        if rng.random() < 0.7 and workers:
            kills["worker"] += 1
            with suppress(psutil.NoSuchProcess):  # it may have ended by itself
                rng.choice(workers).kill()
            assert _finish(process)["digests"] == clean["digests"]  # retried once: the same run still ends right
        else:
            kills["scheduler" if process.poll() is None else "late"] += 1
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            process.stderr.close()  # type: ignore[union-attr]
        after = outcome(root, outputs, str(clean_log))  # at once: nothing may block it
        assert after == clean
        assert_one_writer(clean_log)
        assert verify(open_store(outputs)) == []
        for process_left in family:
            with suppress(psutil.NoSuchProcess):
                assert not process_left.is_running() or process_left.status() == psutil.STATUS_ZOMBIE
    print(kills)
    assert kills["worker"] >= 3 and kills["scheduler"] >= 10 and kills["late"] <= 20
    told = {info.status for number in range(8) for info in runs(tmp_path / f"outputs{number}")}
    assert "interrupted" in told and "ok" in told and "running" not in told


def test_two_runs_at_once_share_the_work(tmp_path: Path) -> None:
    root, log = copy_kit(tmp_path), tmp_path / "log"
    both = [_start(root, tmp_path / "outputs", log) for _ in range(2)]
    one, two = (_finish(process) for process in both)
    assert one == two and one["status"] == "ok"
    assert set(assert_one_writer(log).values()) == {1} and len(_rows(log)) == 7
    assert verify(open_store(tmp_path / "outputs")) == []


def test_a_second_run_waits_for_the_lease_and_reuses(tmp_path: Path) -> None:
    root, log = copy_kit(tmp_path), tmp_path / "log"
    plan = Builder(root).add("a", "SOURCE", value=1, seconds=1.0, log=log).plan()
    first, second = Watch(tmp_path / "outputs"), Watch(tmp_path / "outputs")
    import threading

    started = threading.Event()
    first.hooks["step_started"] = lambda event: started.set()
    results = {}
    thread = threading.Thread(target=lambda: results.update(one=first.run(plan)))
    thread.start()
    assert started.wait(20)
    time.sleep(0.6)
    results["two"] = second.run(plan)
    thread.join()
    assert results["one"].steps["a"].status == "ran" and results["two"].steps["a"].status == "reused"
    assert results["one"].steps["a"].digests == results["two"].steps["a"].digests and len(_rows(log)) == 1
    waiting = next(e for e in second.events if e.type == "step_waiting")
    assert waiting.data["holder"]["run"] == results["one"].run


def test_a_killed_run_is_told_as_interrupted_and_leaves_no_orphan(tmp_path: Path) -> None:
    root, log = copy_kit(tmp_path), tmp_path / "pids"
    code = (
        "import sys; from pathlib import Path; from tests.engine.plans import Builder, Watch; "
        "Watch(Path(sys.argv[2])).run(Builder(Path(sys.argv[1])).add('f', 'FAMILY', seconds=60.0, log=sys.argv[3]).plan())"
    )
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "outputs"), str(log)]
    process = subprocess.Popen(command, cwd=REPO)
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    pids = json.loads(log.read_text())
    assert len(pids) == 3 and all(psutil.pid_exists(pid) for pid in pids)
    assert read_run(tmp_path / "outputs", "latest").status == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    while any(psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE for p in pids):
        assert time.monotonic() - killed < 5
        time.sleep(0.01)
    info = read_run(tmp_path / "outputs", "latest")
    assert info.status == "interrupted" and info.steps["f"]["status"] == "interrupted"


def test_the_plan_of_the_crash_test_is_what_it_says(tmp_path: Path) -> None:
    plan = crash_plan(copy_kit(tmp_path), "")
    assert [len(step.outputs) for step in plan.steps].count(3) == 2
    assert sum(step.needs.process == "inline" for step in plan.steps) == 3

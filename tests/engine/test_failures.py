"""Everything that can go wrong in a step: one clear message each, the right follow-up, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from mldlc.engine.history import read_run
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import open_store
from mldlc.store.verify import verify
from tests.engine.plans import Builder, Watch


def _bad(built: Builder, watch: Watch, mode: str, value: int = 0, **options):
    result = watch.run(built.add("x", "BAD", mode=mode, value=value).plan(), **options)
    return result, result.steps["x"].error or {}


def test_a_mistake_of_the_user_is_one_message(built: Builder, watch: Watch) -> None:
    result, error = _bad(built, watch, "step_error")
    assert result.status == "failed" and result.counts["failed"] == 1
    assert (error["message"], error["where"], error["hint"], error["traceback"]) == (
        "column 'age' has no value in row 7", "people.csv:7", "fill it in", "",
    )  # fmt: skip


def test_an_exception_shows_the_users_own_frames_at_their_place(built: Builder, watch: Watch) -> None:
    result, error = _bad(built, watch, "raise", 7)
    assert error["message"] == "ValueError: cannot shout 7"
    words = str(built.root / "kit" / "words.py")  # type: ignore[operator]
    assert error["where"].startswith(words + ":") and "words.shout" in error["traceback"]
    assert "mldlc/engine" not in error["traceback"] and "cache/code" not in error["traceback"]
    log = (watch.outputs / "runs" / result.run / "logs" / "x.log").read_text()
    assert "going to raise" in log and "Traceback" in log and "perform.py" in log


@pytest.mark.parametrize("mode", ["transient", "die"])
def test_what_may_pass_is_tried_again(built: Builder, watch: Watch, mode: str) -> None:
    result, _ = _bad(built, watch, mode, value=1, retries=1)
    assert result.status == "ok" and watch.types("x").count("step_retry") == 1
    built.steps.clear()
    result, error = _bad(built, watch, mode, value=5, retries=1)
    assert result.status == "failed" and watch.types("x").count("step_started") == 2
    if mode == "die":
        assert "SIGKILL" in error["message"] and "peak memory" in error["message"] and "memory" in error["hint"]
        peak = result.steps["x"].memory
        assert 50_000_000 < peak < 400_000_000


def test_no_retry_when_none_is_wanted(built: Builder, watch: Watch) -> None:
    result, error = _bad(built, watch, "exit", retries=0)
    assert result.status == "failed" and "exit code 3" in error["message"] and "step_retry" not in watch.types()


@pytest.mark.parametrize("mode,told", [("full", "disk full: needs about"), ("fsize", "disk full: needs about"),
                                       ("link", "symbolic link"), ("sys_exit", "SystemExit: user code called exit")])  # fmt: skip
def test_other_ends(built: Builder, watch: Watch, mode: str, told: str) -> None:
    result, error = _bad(built, watch, mode)
    assert result.status == "failed" and told in error["message"], error
    assert not verify(open_store(watch.outputs)) and list((watch.outputs / "store" / "work").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_is_really_full(built: Builder, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        watch = Watch(small / "outputs")
        plan = built.add("ok", "SOURCE", value=1).add("x", "BAD", {"after": "ok.value"}, mode="fsize").plan()
        (small / "ballast").write_bytes(b"x" * 2_500_000)
        result = watch.run(plan)
        error = result.steps["x"].error or {}
        assert result.status == "failed" and result.steps["ok"].status == "ran" and "disk full" in error["message"]
        assert not verify(open_store(watch.outputs))
        built.steps.clear()
        again = watch.run(built.add("ok", "SOURCE", value=1).plan())
        assert again.steps["ok"].status == "reused"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_fail_ends_the_run_and_keep_going_does_not(built: Builder, watch: Watch) -> None:
    built.add("x", "BAD", mode="step_error").add("after", "ADD", {"values": ["x.value"]}, value=1)
    built.add("side", "SOURCE", value=1, seconds=0.2).add("more", "ADD", {"values": ["side.value"]}, value=2)
    plan = built.plan()
    result = watch.run(plan, jobs=1, on_error="keep_going")
    assert result.status == "failed"
    assert {s: r.status for s, r in result.steps.items()} == {
        "x": "failed", "after": "skipped", "side": "ran", "more": "ran"
    }  # fmt: skip
    built.steps.clear()
    built.add("x", "BAD", mode="step_error").add("long", "SOURCE", value=9, seconds=0.5)
    built.add("more", "ADD", {"values": ["long.value"]}, value=3)
    result = watch.run(built.plan(), jobs=2)
    assert {s: r.status for s, r in result.steps.items()} == {"x": "failed", "long": "ran", "more": "skipped"}


def test_outputs_that_cannot_be_written(built: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiagnosticError) as caught:
        Watch(tmp_path / "file").run(built.add("a", "SOURCE", value=1).plan())
    assert caught.value.diagnostics[0].code == "outputs_in_the_way"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_outputs_folder(built: Builder, watch: Watch) -> None:
    plan = built.add("a", "SOURCE", value=1).plan()
    watch.run(plan)
    mount = ["mount", "--bind", "-o", "ro", str(watch.outputs), str(watch.outputs)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot bind-mount here")
    try:
        with pytest.raises(DiagnosticError) as caught:
            watch.run(plan)
        assert "read-only" in str(caught.value).lower() or "cannot write" in str(caught.value)
    finally:
        subprocess.run(["umount", "-l", str(watch.outputs)], check=True)


def test_secrets_reach_the_step_and_nothing_else(built: Builder, watch: Watch, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MLDLC_TEST_PASSWORD", "wrong-hunter2")
    (tmp_path / "pw").write_text("right-sesame\n")
    built.add("env", "LOGIN", password="env:MLDLC_TEST_PASSWORD", user="a").add(
        "file", "LOGIN", user="b", password=f"file:{tmp_path}/pw"
    )
    built.add("none", "LOGIN", password="env:MLDLC_TEST_ABSENT", user="c")
    result = watch.run(built.plan(), on_error="keep_going")
    assert result.steps["file"].status == "ran" and result.steps["env"].status == "failed"
    assert "cannot log in with ***" in (result.steps["env"].error or {})["message"]
    missing = result.steps["none"].error or {}
    assert "no variable MLDLC_TEST_ABSENT" in missing["message"] and missing["where"] == "login.password"
    texts = [p.read_text(errors="replace") for p in (watch.outputs / "runs").rglob("*") if p.is_file()]
    texts += [p.read_text() for p in (watch.outputs / "store" / "records").rglob("*.json")]
    assert not any("hunter2" in text or "sesame" in text for text in texts)
    assert not any("hunter2" in str(event) or "sesame" in str(event) for event in watch.events)
    log = (watch.outputs / "runs" / result.run / "logs" / "file.log").read_text()
    assert log.count("***") >= 4 and "child ***" in log


def test_stop_checkpoints_and_the_next_run_goes_on(built: Builder, watch: Watch) -> None:
    plan = built.add("p", "PATIENT", value=100).add("q", "ADD", {"values": ["p.value"]}, value=0).plan()
    watch.hooks["progress"] = lambda event: event.data["done"] >= 10 and watch.stop.set()
    result = watch.run(plan)
    assert result.status == "stopped" and result.steps["p"].status == "stopped"
    assert result.steps["q"].status == "skipped" and read_run(watch.outputs, "latest").status == "stopped"
    watch.hooks.clear()
    again = watch.run(plan)
    assert again.status == "ok" and again.steps["p"].summary["started_at"] >= 10
    assert {"progress", "metric"} <= set(watch.types("p"))
    assert list((watch.outputs / "store" / "scratch").iterdir()) == []


def test_a_deaf_step_is_killed_after_the_grace_or_by_a_second_stop(built: Builder, watch: Watch) -> None:
    plan = built.add("s", "SOURCE", value=1, seconds=60.0).plan()
    watch.hooks["step_started"] = lambda event: watch.stop.set()
    start = time.monotonic()
    assert watch.run(plan, grace=0.5).status == "stopped"
    assert 0.4 < time.monotonic() - start < 10
    watch.hooks["step_started"] = lambda event: (watch.stop.set(), threading.Timer(0.5, watch.stop.set).start())
    start = time.monotonic()
    assert watch.run(plan, grace=50.0).status == "stopped" and time.monotonic() - start < 10


def _gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE for p in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("mode", ["", "die"])
def test_no_descendant_outlives_the_run(built: Builder, watch: Watch, tmp_path: Path, mode: str) -> None:
    log = tmp_path / "pids"
    built.add("f", "FAMILY", mode=mode, log=log)
    watch.run(built.plan(), retries=0)
    assert _gone(json.loads(log.read_text()))


def test_no_descendant_outlives_a_guardian_that_is_killed(built: Builder, watch: Watch, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    plan = built.add("f", "FAMILY", seconds=30.0, log=log).plan()

    def kill(event) -> None:
        def later() -> None:
            while not log.exists() or not log.read_text():
                time.sleep(0.02)
            os.kill(psutil.Process(json.loads(log.read_text())[0]).ppid(), signal.SIGKILL)

        threading.Thread(target=later).start()

    watch.hooks["step_started"] = kill
    result = watch.run(plan, retries=0)
    assert result.status == "failed" and "SIGKILL" in (result.steps["f"].error or {})["message"]
    assert _gone(json.loads(log.read_text()))

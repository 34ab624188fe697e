"""Fresh workers are forked from a process that has their modules: once imported, each their own, whatever dies when."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from mldlc.plan.spec import Resources
from tests.engine.plans import Builder, Watch
from tests.engine.test_failures import _gone

HEAVY = Resources(process="fresh", preload=("kit.heavy", "numpy"))


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every import of the heavy module is noted."""
    monkeypatch.setenv("HEAVY_LOG", str(tmp_path / "imports"))
    return tmp_path / "imports"


def test_modules_are_imported_once_for_all_fresh_steps(built: Builder, watch: Watch, imports: Path) -> None:
    for number in range(4):
        built.add(f"f{number}", "LOOK", value=number, needs=HEAVY)
    looks = [step.summary for step in watch.run(built.plan()).steps.values()]
    (template,) = imports.read_text().split()
    assert len({look["pid"] for look in looks} | {int(template)}) == 5
    assert len({look["parent"] for look in looks}) == 1, "all are the guardian's own children"
    assert len({look["drawn"] for look in looks}) == 4, "no two draw the same numbers"


def test_what_dies_of_its_imports_is_told(built: Builder, watch: Watch, imports: Path, monkeypatch) -> None:
    monkeypatch.setenv("HEAVY", "dies")
    plan = built.add("f", "LOOK", value=1, needs=HEAVY).add("g", "LOOK", value=2).plan()
    result = watch.run(plan, retries=0, on_error="keep_going")
    assert result.steps["g"].status == "ran"
    assert "SIGSEGV" in (result.steps["f"].error or {})["message"]


def test_a_stop_while_it_still_imports(built: Builder, watch: Watch, imports: Path, monkeypatch) -> None:
    monkeypatch.setenv("HEAVY", "60")

    def stop() -> None:
        _wait_for(imports)
        watch.stop.set()

    watch.hooks["step_started"] = lambda event: threading.Thread(target=stop).start()
    start = time.monotonic()
    result = watch.run(built.add("f", "LOOK", value=1, needs=HEAVY).plan(), grace=0.5)
    assert result.status == "stopped" and time.monotonic() - start < 50
    assert _gone([int(pid) for pid in imports.read_text().split()])


def test_a_killed_template_is_replaced(built: Builder, watch: Watch, imports: Path) -> None:
    """Its workers that run go on; what is asked of it next finds another."""
    built.add("f0", "LOOK", value=0, needs=HEAVY)
    built.add("f1", "LOOK", {"after": "f0.value"}, value=1, seconds=0.5, needs=HEAVY)
    built.add("f2", "LOOK", {"after": "f1.value"}, value=2, needs=HEAVY)

    def kill(event) -> None:
        if event.step == "f1":
            os.kill(int(imports.read_text().split()[0]), signal.SIGKILL)

    watch.hooks["step_started"] = kill
    result = watch.run(built.plan(), retries=2)
    assert result.status == "ok", {name: step.error for name, step in result.steps.items()}
    assert len({step.summary["pid"] for step in result.steps.values()}) == 3


@pytest.mark.parametrize("mode", ["", "die"])
def test_no_descendant_outlives_the_run(built: Builder, watch: Watch, tmp_path: Path, imports: Path, mode: str) -> None:
    log = tmp_path / "pids"
    watch.run(built.add("f", "FAMILY", mode=mode, log=log, needs=HEAVY).plan(), retries=0)
    assert _gone([*json.loads(log.read_text()), int(imports.read_text())])


def test_no_descendant_outlives_a_guardian_that_is_killed(
    built: Builder, watch: Watch, tmp_path: Path, imports: Path
) -> None:
    log = tmp_path / "pids"
    built.add("f", "FAMILY", seconds=30.0, log=log, needs=HEAVY)
    built.add("g", "LOOK", {"after": "f.value"}, value=1, needs=HEAVY)

    watch.hooks["step_started"] = lambda event: _later(log)
    result = watch.run(built.plan(), retries=0)
    assert result.status == "failed" and "SIGKILL" in (result.steps["f"].error or {})["message"]
    assert _gone([*json.loads(log.read_text()), int(imports.read_text())])


def _wait_for(file: Path) -> None:
    while not file.exists() or not file.read_text():
        time.sleep(0.02)


def _later(log: Path) -> None:
    """Kill the guardian once the step has told of its processes."""

    def kill() -> None:
        _wait_for(log)
        os.kill(psutil.Process(json.loads(log.read_text())[0]).ppid(), signal.SIGKILL)

    threading.Thread(target=kill).start()

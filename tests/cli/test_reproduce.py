"""`mldlc reproduce` as a user types it: exit codes 0, 1 and 2, JSON, Ctrl-C, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.projects import TALLY, repository

SLOW = "import time\n\n\ndef total(size):\n    time.sleep(0.0 if size < 9 else 30.0)\n    return sum(range(size))\n"
CLOCK = "import time\n\n\ndef total(size):\n    return time.time_ns()\n"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def test_equal_is_zero_and_nothing_stays(tmp_path: Path, scratch: Path) -> None:
    repo = repository(tmp_path / "p")
    assert repo.mldlc("run", TALLY).returncode == 0
    done = repo.mldlc("reproduce", env={"TMPDIR": str(scratch)})
    assert done.returncode == 0 and "4 equal" in done.stdout and "= t.sum" in done.stdout
    assert list(scratch.iterdir()) == []
    done = repo.mldlc("reproduce", "--json", "--keep", str(scratch / "kept"))
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["format"] == "mldlc.reproduce/1" and last["status"] == "equal" and last["counts"]["equal"] == 4
    assert (scratch / "kept" / "store").is_dir()
    assert repo.mldlc("reproduce", "--keep", str(scratch / "kept")).returncode == 2


def test_a_difference_is_one_with_a_table(tmp_path: Path, scratch: Path) -> None:
    repo = repository(tmp_path / "p", {"src/tallying/counting.py": CLOCK})
    assert repo.mldlc("run", TALLY).returncode == 0
    done = repo.mldlc("reproduce", "--json", env={"TMPDIR": str(scratch)})
    assert done.returncode == 1 and "x t.sum" in done.stderr and "sum.txt" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["counts"] == {
        "equal": 3, "close": 0, "differs": 1, "follows": 0, "missing": 0,
    }  # fmt: skip
    assert list(scratch.iterdir()) == []


def test_a_pin_that_is_gone_is_two(tmp_path: Path, scratch: Path) -> None:
    repo = repository(tmp_path / "p")
    assert repo.mldlc("run", TALLY).returncode == 0
    repo.write("src/tallying/counting.py", CLOCK)
    for path in sorted((repo.root / "outputs" / "cache" / "code").rglob("*.py")):
        path.unlink()
    done = repo.mldlc("reproduce", "--json", env={"TMPDIR": str(scratch)})
    assert done.returncode == 2 and "changed, there is no frozen copy" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["diagnostics"][0]["code"] == "pin_gone"
    assert list(scratch.iterdir()) == []
    assert repo.mldlc("reproduce", "nope").returncode == 2


def test_ctrl_c_stops_and_cleans_up(tmp_path: Path, scratch: Path) -> None:
    repo = repository(tmp_path / "p", {"src/tallying/counting.py": SLOW})
    assert repo.mldlc("run", TALLY).returncode == 0
    folder = next((repo.root / "outputs" / "runs").iterdir())
    plan = folder / "plan.json"
    plan.write_text(plan.read_text().replace('"size":3', '"size":10'))
    command = [sys.executable, "-m", "mldlc", "reproduce"]
    env = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=repo.root, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.split()[:2] == ["t", "started"]:
                break
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
        assert process.wait(60) == 130, out
    assert "stopped" in out and list(scratch.iterdir()) == []


@pytest.fixture(autouse=True)
def _no_outputs_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLDLC_OUTPUTS", raising=False)

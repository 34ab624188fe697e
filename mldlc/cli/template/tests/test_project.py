"""The config repository: every experiment plans, and a run of one batch goes through from the data to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


def mldlc(*args: str) -> subprocess.CompletedProcess[str]:
    """The command in this project, with its output."""
    return subprocess.run([sys.executable, "-m", "mldlc", *args], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_plans(experiment: str, tmp_path: Path) -> None:
    done = mldlc("plan", f"experiment={experiment}", f"paths.outputs={tmp_path}")
    assert done.returncode == 0, done.stderr


def test_a_run_of_one_batch(tmp_path: Path) -> None:
    done = mldlc("run", "experiment=income", "debug=fast_dev_run", f"paths.outputs={tmp_path}", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["status"] == "ok"
    assert "auroc" in summary["metrics"]["test"]

"""The main job, run once for the whole session through the command a user types."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Repository


@dataclass(frozen=True)
class Job:
    """A folder in which `mldlc run experiment=<name>` was run; `summary` is the last JSON line."""

    repo: Repository
    experiment: str
    summary: dict[str, Any]

    def run(self, *overrides: str) -> dict[str, Any]:
        """Run again with more overrides; the summary."""
        return execute(self.repo, self.experiment, *overrides)

    def plan(self, *overrides: str, process: bool = False) -> dict[str, dict[str, Any]]:
        """Stage -> step event of `mldlc plan --json`; in a process of its own where its Python path counts."""
        ask = self.repo.mldlc if process else self.repo.inside
        done = ask("plan", f"experiment={self.experiment}", *overrides, "--json")
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return {event["stage"]: event for event in events if event.get("type") == "step"}


def execute(repo: Repository, experiment: str, *overrides: str) -> dict[str, Any]:
    """`mldlc run experiment=... --json`; asserts that it ended well."""
    done = repo.mldlc("run", f"experiment={experiment}", *overrides, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _made(experiment: str, factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder that a first run left and the run's summary; all test processes of a session share one run."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, told = base / f"{experiment}-pristine", base / f"{experiment}-pristine.json"
    with (base / f"{experiment}-pristine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a run that failed
            folder.mkdir()
            told.write_text(json.dumps(execute(Repository(folder), experiment)))
    return folder, json.loads(told.read_text())


def _job(experiment: str, factory: pytest.TempPathFactory) -> Job:
    folder, summary = _made(experiment, factory)
    own = factory.mktemp(experiment) / experiment
    shutil.copytree(folder, own, symlinks=True)
    return Job(Repository(own), experiment, summary)


@pytest.fixture
def pristine(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A folder as a first run of Adult left it, to oneself."""
    folder, _ = _made("adult", tmp_path_factory)
    return Repository(Path(shutil.copytree(folder, tmp_path / "adult", symlinks=True)))


@pytest.fixture(scope="session")
def adult(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The Adult job, done."""
    return _job("adult", tmp_path_factory)


@pytest.fixture(scope="session")
def housing(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The Housing job, done."""
    return _job("housing", tmp_path_factory)


@pytest.fixture(autouse=True)
def _no_outputs_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own MLDLC_OUTPUTS must not leak into the tests."""
    monkeypatch.delenv("MLDLC_OUTPUTS", raising=False)


def artifact_digests(outputs: Path, run: str) -> dict[str, dict[str, str]]:
    """Stage -> port -> digest of a run."""
    data = json.loads((outputs / "runs" / run / "summary.json").read_text())
    return {id: step.get("digests", {}) for id, step in data["steps"].items()}

"""Small config repositories on disk for the tests of composition."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mldlc.config.compose import Composition, Request, compose
from mldlc.config.project import Project, find_project
from mldlc.plan.diagnostic import DiagnosticError

FILES = {
    "mldlc.yaml": "name: demo\nconf: [conf]\n",
    "conf/config.yaml": (
        "defaults:\n  - _self_\n  - model: mlp\n  - optimizer: adam\n  - trainer: cpu\n"
        "  - experiment: null\n  - optional local: default\n\nseed: 7\nname: run-${seed}\n"
    ),
    "conf/model/mlp.yaml": "kind: mlp\nwidth: 64\nlayers: [32, 16]\nlr: ${optimizer.lr}\nhead:\n  dropout: 0.1\n",
    "conf/model/cnn.yaml": "kind: cnn\nfilters: 8\nlr: ${optimizer.lr}\n",
    "conf/optimizer/adam.yaml": "kind: adam\nlr: 1e-3\nbetas: [0.9, 0.999]\n",
    "conf/optimizer/sgd.yaml": "kind: sgd\nlr: 0.1\nmomentum: 0.9\n",
    "conf/trainer/cpu.yaml": "devices: 1\nepochs: 5\nfolder: out/${name}\n",
    "conf/experiment/small.yaml": (
        "# @package _global_\ndefaults:\n  - override /model: cnn\n  - override /optimizer: sgd\n\n"
        "model:\n  filters: 2\noptimizer:\n  lr: 0.5\n"
    ),
}


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files (path -> text) under a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def git(repo: Path, *args: str) -> str:
    """Run git in a repository with a fixed author."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, "-C", str(repo), *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(repo: Path, files: dict[str, str], message: str = "change") -> str:
    """Write and commit files; the commit's sha."""
    write(repo, files)
    if not (repo / ".git").exists():
        git(repo, "init", "-q", "-b", "main")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", message)
    return git(repo, "rev-parse", "HEAD")


def run(project: Project, *overrides: str, multirun: bool = False, **fields: str) -> Composition:
    """Compose a project with some overrides."""
    return compose(project, Request(overrides=overrides, multirun=multirun, **fields))  # type: ignore[arg-type]


def errors(project: Project, *overrides: str, multirun: bool = False, **fields: str) -> list[str]:
    """The texts of all the mistakes that composing finds."""
    with pytest.raises(DiagnosticError) as caught:
        run(project, *overrides, multirun=multirun, **fields)
    return [str(item) for item in caught.value.diagnostics]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """`repo({path: text, ...})`: the demo repository with some files changed, without the shipped configs behind it."""
    monkeypatch.setattr("mldlc.config.project.shipped_conf", lambda: tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()

    def make(files: dict[str, str] | None = None) -> Project:
        return find_project(write(tmp_path / "demo", {**FILES, **(files or {})}))

    return make

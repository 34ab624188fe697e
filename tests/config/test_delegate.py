"""Hydra's own views over a project: equal to our composition, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mldlc.config.delegate import delegate
from mldlc.config.project import Project
from mldlc.plan.diagnostic import DiagnosticError
from tests.config.conftest import commit, run

Repo = Callable[..., Project]


def view(project: Project, *argv: str, folder: Path, **env: str) -> str:
    """What a view prints, from another folder, in a fresh process."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom mldlc.config.delegate import delegate\n"
        "from mldlc.config.project import Project\n"
        f"project = Project(Path({str(project.root)!r}), {project.conf!r}, (), None, 'demo')\n"
        "sys.exit(delegate(project, sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, *argv]
    root = str(Path(__file__).parents[2])
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/root", "PYTHONPATH": root, **env}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "overrides",
    [(), ("experiment=small", "model.filters=4"), ("+trainer@second=cpu", "~seed", "+seed=9", "optimizer.betas=[1,2]")],
)
def test_our_composition_is_what_cfg_job_shows(repo: Repo, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    project = repo()
    (tmp_path / "cwd").mkdir()
    shown: Any = yaml.safe_load(view(project, "--cfg", "job", "--resolve", *overrides, folder=tmp_path / "cwd"))
    found = run(project, *overrides).points[0].config
    assert {**shown, "optimizer": None, "model": None} == {**found, "optimizer": None, "model": None}
    assert shown["model"].keys() == found["model"].keys()
    assert float(shown["optimizer"]["lr"]) == found["optimizer"]["lr"]  # PyYAML reads 1e-3 as text
    assert list((tmp_path / "cwd").iterdir()) == []


def test_a_git_source_reaches_the_views(repo: Repo, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    commit(shared, {"conf/model/big.yaml": "kind: big\n"})
    project = repo({"mldlc.yaml": "conf: [conf]\nextends: ['git://main:conf@../shared']\n"})
    shown = view(project, "--cfg", "job", "-p", "model", "model=big", folder=tmp_path)
    assert shown == "# @package model\nkind: big\n"


def test_the_folder_of_the_command_line_comes_first_in_views_too(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "extra" / "model").mkdir(parents=True)
    (tmp_path / "extra" / "model" / "mlp.yaml").write_text("kind: other\n")
    shown = view(repo(), "--cfg", "job", "-p", "model", "--config-dir", "extra", folder=tmp_path)
    assert shown == "# @package model\nkind: other\n"


def test_info(repo: Repo, tmp_path: Path) -> None:
    project = repo()
    (tmp_path / "cwd").mkdir()
    assert "model/mlp" in view(project, "--info", "defaults", folder=tmp_path / "cwd")
    assert list((tmp_path / "cwd").iterdir()) == []


def test_a_wrong_view_is_one_message(repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DiagnosticError, match="--config-dir: no folder 'nope'"):
        delegate(repo(), ["--cfg", "job", "-cd", "nope"])


def test_only_views_are_handed_on(repo: Repo) -> None:
    with pytest.raises(DiagnosticError, match="nothing here for Hydra to show"):
        delegate(repo(), ["model=cnn"])

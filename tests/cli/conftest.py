"""A command for versioned data and something to use it on; a project and a team's repository that it may extend."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from mldlc.cli.main import main
from tests.cli.making import Data, Done, write
from tests.config.conftest import commit, git
from tests.config.conftest import write as write_all
from tests.projects import Repository, repository


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Data]:
    """Runs `mldlc data ...` in this process, in an empty project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("MLDLC_OUTPUTS", raising=False)
    (tmp_path / "mldlc.yaml").write_text("name: mine\n")

    def run(*args: str) -> Done:
        capfd.readouterr()
        code = main(["data", *args])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Done(code, out, err)

    yield run
    gc.enable()  # a command turns it off for its own short life


@pytest.fixture
def raw(tmp_path: Path, data: Data) -> Path:
    """raw/a.csv and raw/x/b.csv, put to main:raw."""
    write(tmp_path / "raw/a.csv", "a,b\n1,2\n")
    write(tmp_path / "raw/x/b.csv", "c\n")
    assert data("put", "raw", "--to", "main:raw", "-m", "first rows").code == 0
    return tmp_path / "raw"


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A team's repository with a branch `main`, tagged v1."""
    files = {"mldlc.yaml": "conf: settings\n", "settings/second/team.yaml": "value: 20\n"}
    commit(write_all(tmp_path / "team", files), {})
    git(tmp_path / "team", "tag", "v1")
    return tmp_path / "team"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project; the current folder. The user's cache is a folder of the test."""
    made = repository(tmp_path / "project", {})
    commit(made.root, {".gitignore": "outputs\n"})
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("MLDLC_CACHE", str(tmp_path / "cache"))
    return made

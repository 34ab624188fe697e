"""`mldlc init`: what it writes plans, runs and tests itself; it never overwrites and never leaves half a repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mldlc.cli import init
from mldlc.cli.main import main
from tests.projects import Repository


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_what_json_says_and_plans_from_a_folder_below(tmp_path: Path) -> None:
    here = Repository(tmp_path)
    done = here.mldlc("init", "My-Churn", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["format"], summary["name"], summary["package"]) == ("mldlc.init/1", "My-Churn", "my_churn")
    made = tmp_path / "My-Churn"
    assert summary["files"] == sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file())
    assert {".gitignore", ".github/workflows/ci.yml", "src/my_churn/nets.py", "mldlc.yaml"} <= set(summary["files"])
    left = [p for p in made.rglob("*") if p.is_file() and {"PACKAGE", "PROJECT"} & set(p.read_text().split())]
    assert left == [] and names(tmp_path) == ["My-Churn"]
    done = here.mldlc("plan", "experiment=income", "model.args.width=8", cwd=made / "src")
    assert done.returncode == 0 and "train" in done.stdout, done.stderr


@pytest.mark.slow
def test_its_own_tests_pass_from_another_folder(tmp_path: Path) -> None:
    assert Repository(tmp_path).mldlc("init", "demo").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "demo")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, env=env)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr
    assert names(elsewhere) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.b", "letters, digits, - and _"),
        ("9x", "letters, digits, - and _"),
        ("é", "letters, digits, - and _"),
        ("..", "letters, digits, - and _"),
        ("", "letters, digits, - and _"),
        ("class", "'class' is a word of Python; try my-class"),
        ("JSON", "'json' is a module of Python"),
        ("torch", "a package 'torch' is installed"),
        ("tests", "a package 'tests' is installed"),
        ("no/such/churn", "no folder 'no/such' to write into"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 2
    assert told in capsys.readouterr().err and names(tmp_path) == []


def test_nothing_is_overwritten_but_an_empty_folder_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    for name in ("full", "file", "dangling"):
        assert main(["init", name]) == 2
        assert f"'{name}' exists already" in capsys.readouterr().err
    assert main(["init", "empty"]) == 0 and "mldlc.yaml" in names(tmp_path / "empty")
    assert names(tmp_path) == ["dangling", "empty", "file", "full"] and names(tmp_path / "full") == ["mine"]


def test_somebody_who_writes_meanwhile_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rename = init._into_place

    def late(aside: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "theirs").write_text("x")
        rename(aside, folder)

    monkeypatch.setattr(init, "_into_place", late)
    assert main(["init", "demo"]) == 2 and "exists already" in capsys.readouterr().err
    assert names(tmp_path) == ["demo"] and names(tmp_path / "demo") == ["theirs"]


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def interrupted(aside: Path, folder: Path) -> None:
        assert len(names(aside)) > 3
        raise KeyboardInterrupt

    monkeypatch.setattr(init, "_into_place", interrupted)
    assert main(["init", "demo"]) == 130
    assert names(tmp_path) == []

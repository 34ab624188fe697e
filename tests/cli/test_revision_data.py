"""`--rev` reads the data that git holds at the revision, and says what it takes from the checkout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mldlc.cli.main import main
from tests.config.conftest import commit, git
from tests.projects import Repository

CONFIG = """\
defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {source: rows}, {lifecycle: one}]
"""
FILES = {
    ".gitignore": "outputs\n*.local.csv\nplan.json\n",
    "app/mldlc.yaml": "name: one\nconf: conf\ncode: [src]\n",
    "app/conf/config.yaml": CONFIG,
    "app/conf/source/rows.yaml": "defaults: [csv]\npath: data/*/rows.csv\n",
    "app/conf/lifecycle/one.yaml": "stages:\n  collect: {kind: data.collect}\n",
    "app/src/own/__init__.py": "",
    "app/src/own/rows.py": "import polars as pl\n\n\ndef read(files):\n    return pl.concat([pl.read_csv(f) for f in files])\n",
    "app/data/day=1/rows.csv": "a,b\n1,2\n",
    "app/data/day=2/rows.csv": "a,b\n3,4\n",
    "shared/rows.csv": "a,b\n7,7\n",
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project in a folder of a repository, with its data in git; tagged v1; its folder is the current one."""
    commit_to = tmp_path / "mono"
    for name, text in FILES.items():
        (commit_to / name).parent.mkdir(parents=True, exist_ok=True)
        (commit_to / name).write_text(text)
    commit(commit_to, {})
    git(commit_to, "tag", "v1")
    monkeypatch.chdir(commit_to / "app")
    monkeypatch.setenv("NO_COLOR", "1")
    return Repository(commit_to / "app")


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def read(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[list[str], str, str]:
    """(texts of the files that a plan reads, the action of collect, its note)."""
    code, _, err = told(capsys, "plan", "-o", "plan.json", *args)
    assert code == 0, err
    [step] = json.loads(Path("plan.json").read_text())["steps"]
    return (
        [Path(path).read_text() for path in step["sources"][0]["paths"]],
        step.get("action", "run"),
        step.get("note", ""),
    )


def test_data_in_git_is_read_at_the_revision_under_the_same_key(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "run")[0] == 0
    was = ["a,b\n1,2\n", "a,b\n3,4\n"]
    for _ in ("cold", "warm"):
        assert read(capsys, "--rev", "v1") == (was, "reuse", ""), "what the checkout had is what git holds"
    repo.write("data/day=1/rows.csv", "a,b\n9,9\n")
    repo.write("data/day=3/rows.csv", "a,b\n5,6\n")
    assert read(capsys)[1] == "run"
    assert read(capsys, "--rev", "v1") == (was, "reuse", "")
    commit(repo.root.parent, {})
    assert read(capsys, "--rev", "HEAD")[0] == ["a,b\n9,9\n", "a,b\n3,4\n", "a,b\n5,6\n"]
    shutil.rmtree("data")
    assert read(capsys, "--rev", "v1") == (was, "reuse", "")
    code, out, err = told(capsys, "run", "--rev", "HEAD")
    assert (code, "1 run" in out) == (0, True), err
    assert told(capsys, "plan", "--rev", "HEAD")[1].splitlines()[-1].startswith("Plan: 0 to run")


def test_a_copy_that_somebody_edited_is_laid_out_again(repo: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    was = read(capsys, "--rev", "v1")[0]
    [copy] = Path("outputs/cache/data").glob("*/app/data/day=1/rows.csv")
    copy.write_text("a,b\n0,0\n")
    assert read(capsys, "--rev", "v1")[0] == was
    shutil.rmtree("outputs/cache/data")
    assert read(capsys, "--rev", "v1")[0] == was


def test_what_git_does_not_hold_comes_from_the_checkout_and_the_plan_says_so(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.write("data/big.local.csv", "a,b\n8,8\n")
    sha = git(repo.root, "rev-parse", "--short=7", "v1")
    note = f"from the checkout: git holds no app/data/big.local.csv at {sha}"
    asked = ("--rev", "v1", "source.path=data/big.local.csv")
    assert read(capsys, *asked) == (["a,b\n8,8\n"], "run", note)
    assert note in told(capsys, "plan", *asked)[1]
    Path("data/big.local.csv").unlink()
    code, _, err = told(capsys, "plan", *asked)
    assert (code, err.splitlines()[0].split(";")[0]) == (
        2, f"error: command line: source 'big.local.csv': there is no file {repo.root}/data/big.local.csv, "
        f"and git holds none at {sha}",
    )  # fmt: skip


def test_paths_out_of_the_project_and_functions_of_ones_own(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo.root.parent / "shared" / "rows.csv").write_text("a,b\n6,6\n")
    assert read(capsys, "--rev", "v1", "source.path=../shared/rows.csv")[0] == ["a,b\n7,7\n"]
    repo.write("data/day=1/rows.csv", "a,b\n9,9\n")
    own = ("source=python", "source.target=own.rows:read", "source.files=[data/*/rows.csv]")
    code, out, err = told(capsys, "run", "--rev", "v1", *own)
    assert (code, "1 run" in out) == (0, True), err
    assert read(capsys, "--rev", "v1", *own)[0] == ["a,b\n1,2\n", "a,b\n3,4\n"]


def test_what_git_holds_by_name_only_is_told(repo: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (repo.root / "data" / "out.csv").symlink_to("/etc/hostname")
    (repo.root / "data" / "near.csv").symlink_to("../../shared/rows.csv")
    first = commit(repo.root.parent, {"app/data/lfs.csv": lfs})
    code, _, err = told(capsys, "plan", "--rev", "HEAD", "source.path=data/lfs.csv")
    assert (code, err) == (
        2, f"error: {first[:7]}:app/data/lfs.csv: is a Git LFS pointer, git holds no data; "
        "run it from a checkout that has the file: without --rev\n",
    )  # fmt: skip
    code, _, err = told(capsys, "plan", "--rev", "HEAD", "source.path=data/out.csv")
    assert code == 2 and "app/data/out.csv: is a symbolic link out of the repository (to '/etc/hostname')" in err
    assert read(capsys, "--rev", "HEAD", "source.path=data/near.csv")[0] == ["a,b\n7,7\n"]
    inner = repo.root.parent.parent / "inner"
    inner.mkdir()
    commit(inner, {"rows.csv": "a,b\n1,1\n"})
    git(repo.root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "data/module")
    second = commit(repo.root.parent, {})
    found = read(capsys, "--rev", "HEAD", "source.path=data/module/rows.csv")
    assert found[::2] == (["a,b\n1,1\n"], f"from the checkout: app/data/module is a submodule at {second[:7]}")


def test_a_diff_tells_data_that_changed_in_git_and_a_run_is_reproduced_from_it(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.write("data/day=1/rows.csv", "a,b\n9,9\n")
    commit(repo.root.parent, {})
    code, out, _ = told(capsys, "diff", "v1..HEAD")
    assert code == 0 and out.startswith("data\n  rows.csv: ") and len(out.splitlines()) == 2
    assert told(capsys, "run", "--rev", "v1")[0] == 0
    assert told(capsys, "diff", "v1..HEAD")[1] == out
    shutil.rmtree("outputs/cache/data")
    code, out, err = told(capsys, "reproduce")
    assert code == 0, out + err

"""Refs of versioned data in `mldlc.lock`: pinned by `mldlc lock`, honoured by plans, asked for by `--locked`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mldlc.cli.main import main
from mldlc.store.layout import open_store
from mldlc.store.versions.embedded import open_versions
from tests.projects import Repository

CONFIG = """\
defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {source: csv}, {lifecycle: one}]
source: {path: "store://main/raw/*.csv"}
"""
FILES = {
    "mldlc.yaml": "name: one\nconf: conf\n",
    "conf/config.yaml": CONFIG,
    "conf/lifecycle/one.yaml": "stages:\n  collect: {kind: data.collect}\n",
    "conf/experiment/fixed.yaml": "# @package _global_\nsource: {path: store://may/raw/a.csv}\n",
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project that reads a branch of the store; the current folder."""
    made = Repository(tmp_path)
    for name, text in FILES.items():
        made.write(name, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return made


def put(repo: Repository, name: str, text: str) -> str:
    """One more file on main; the commit."""
    repo.write("rows.csv", text)
    draft = open_versions(open_store(repo.root / "outputs")).draft("main", run="put")
    draft.put(name, repo.root / "rows.csv")
    draft.commit(f"put {name}", {})
    return draft.publish("main").id


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def commit_read(repo: Repository, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The commit at which a plan reads its source."""
    code, _, err = told(capsys, "plan", "-o", "plan.json", *args)
    assert (code, err) == (0, "")
    [step] = json.loads((repo.root / "plan.json").read_text())["steps"]
    return str(step["sources"][0]["commit"])


def test_a_locked_branch_of_data_stays_until_it_is_pinned_anew(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    first = put(repo, "raw/a.csv", "a,b\n1,2\n")
    code, _, err = told(capsys, "plan", "--locked")
    assert (code, err) == (
        2, f"error: conf/config.yaml:2: 'store://main' is not pinned; mldlc lock pins it (to {first[:12]} now)\n",
    )  # fmt: skip
    assert commit_read(repo, capsys) == first, "data may move: that alone is no warning"
    assert told(capsys, "lock") == (0, f"+ store://main  {first[:12]}\nmldlc.lock: written.\n", "")
    second = put(repo, "raw/b.csv", "a,b\n3,4\n")
    for _ in ("cold", "warm"):
        assert commit_read(repo, capsys, "--locked") == first
    assert told(capsys, "run", "--locked")[0] == 0
    assert json.loads((repo.root / "outputs/latest/plan.json").read_text())["snapshot"]["refs"] == {
        "store://main/raw/*.csv": first
    }
    assert told(capsys, "lock", "--check")[0] == 1
    out = told(capsys, "lock", "--update", "store://main")[1]
    assert out == f"~ store://main  {first[:12]} -> {second[:12]}\nmldlc.lock: written.\n"
    assert commit_read(repo, capsys) == second
    (repo.root / "mldlc.lock").unlink()
    third = put(repo, "raw/c.csv", "a,b\n5,6\n")
    assert commit_read(repo, capsys) == third


def test_pins_of_other_configs_stay_and_a_commit_needs_none(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    first = put(repo, "raw/a.csv", "a,b\n1,2\n")
    assert told(capsys, "data", "tag", "may", "main")[0] == 0
    assert told(capsys, "lock")[0] == 0
    assert "'store://may' is not pinned" in told(capsys, "plan", "+experiment=fixed", "--locked")[2]
    assert told(capsys, "lock", "+experiment=fixed")[1].splitlines()[:2] == [
        f"= store://main  {first[:12]}",
        f"+ store://may  {first[:12]}",
    ]
    assert commit_read(repo, capsys, "--locked") == commit_read(repo, capsys, "--locked", "+experiment=fixed") == first
    assert commit_read(repo, capsys, "--locked", f"source.path=store://{first}/raw/a.csv") == first


def test_a_pin_of_data_that_is_gone_or_broken_is_told(repo: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    put(repo, "raw/a.csv", "a,b\n1,2\n")
    repo.write("mldlc.lock", f"format: mldlc.lockfile/1\nrefs: {{}}\ndata:\n  store://main: {'a' * 64}\n")
    code, _, err = told(capsys, "plan")
    assert code == 2 and err.startswith("error: source store://main/raw/*.csv: ")
    assert err.endswith(f"(mldlc.lock pins it to {'a' * 12}; anew: mldlc lock --update store://main)\n")
    repo.write("mldlc.lock", "format: mldlc.lockfile/1\nrefs: {}\ndata:\n  store://main: latest\n")
    assert "mldlc.lock:4: 'store://main' is not pinned to a full commit id" in told(capsys, "plan")[2]
    assert told(capsys, "lock")[0] == 0 and told(capsys, "plan", "--locked")[0] == 0

"""Config repositories in git: a whole project at a revision, the lock, the comparison of revisions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mldlc.cli.main import main
from tests.config.conftest import commit, git, write
from tests.projects import FILES, TALLY, Repository, repository

TEAM = {"mldlc.yaml": "name: team\nconf: [settings]\n", "settings/second/team.yaml": "value: 20\n"}
EXTENDS = "name: chain\nconf: conf\ncode: [src]\nextends:\n  - git://{rev}:@../team\n"


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A team's config repository with one commit, tagged v1."""
    repo = tmp_path / "team"
    repo.mkdir()
    commit(repo, TEAM)
    git(repo, "tag", "v1")
    return repo


@pytest.fixture
def project(tmp_path: Path, team: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project that extends the team's branch `main`; committed, tagged p1; the current folder."""
    made = repository(tmp_path / "project", {"mldlc.yaml": EXTENDS.format(rev="main"), ".gitignore": "outputs\n"})
    commit(made.root, {})
    git(made.root, "tag", "p1")
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("NO_COLOR", "1")
    return made


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in this process."""
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def test_a_revision_runs_beside_a_dirty_checkout(project: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "run", "--rev", "p1", TALLY)[0] == 0
    project.write("conf/tally/default.yaml", "size: 4\nlabel: x\n")
    project.write("src/tallying/counting.py", "broken(\n")
    project.write("mldlc.yaml", "nonsense: [\n")
    before = git(project.root, "status", "--porcelain")
    code, out, err = told(capsys, "plan", "--rev", "p1", TALLY)
    assert (code, out.splitlines()[-1]) == (0, "Plan: 0 to run, 4 reused. Nothing was executed."), err
    commit(project.root, {**FILES, "src/tallying/counting.py": "def total(size):\n    return 7\n"})
    code, out, _ = told(capsys, "plan", "--rev", "HEAD", TALLY)
    assert "code: tallying.counting" in out
    assert "Plan: 1 to run, 3 reused." in out
    assert told(capsys, "plan", "--rev", "p1", TALLY)[1].splitlines()[-1].startswith("Plan: 0 to run, 4")
    assert before.splitlines() == ["M conf/tally/default.yaml", " M mldlc.yaml", " M src/tallying/counting.py"]


def test_a_saved_plan_of_a_revision_runs_after_the_branch_moved(
    project: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "plan", "--rev", "main", TALLY, "-o", "plan.json")[0] == 0
    plan = json.loads((project.root / "plan.json").read_text())
    assert plan["config"]["rev"] == f"git://{git(project.root, 'rev-parse', 'p1')}:@{project.root}"
    commit(project.root, {"conf/tally/default.yaml": "size: 9\n"})
    code, out, err = told(capsys, "run", "plan.json")
    assert (code, "4 run" in out) == (0, True), err
    [pins] = (project.root / "outputs" / "runs").glob("*/pins.json")
    assert json.loads(pins.read_text())["git"] == {"rev": git(project.root, "rev-parse", "p1")}
    assert told(capsys, "plan", "--rev", "main", TALLY)[1].splitlines()[-1].startswith("Plan: 1 to run")


def test_a_bare_repository_plans_from_a_folder_of_ones_own(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(project.root), str(tmp_path / "bare.git"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    code, out, err = told(capsys, "run", "--rev", "git://p1:@../bare.git", TALLY)
    assert (code, ": ok. 4 run." in out) == (0, True), err
    assert sorted(path.name for path in work.iterdir()) == ["outputs"]
    monkeypatch.chdir(tmp_path / "bare.git")
    code, _, err = told(capsys, "plan", "--rev", "p1")
    assert code == 2
    assert err == (
        f"error: command line: --rev: {tmp_path / 'bare.git'} is bare, outputs have no place in it; "
        f"go to a working folder: --rev git://p1:@{tmp_path / 'bare.git'}\n"
    )


@pytest.mark.parametrize(
    ("rev", "text"),
    [
        ("p7", "error: command line: --rev: no revision 'p7' in {root}; there are: main, p1\n"),
        ("", "error: command line: argument --rev: a revision is expected, found an empty text; see mldlc plan --help\n"),
        ("mian", "error: command line: --rev: no revision 'mian' in {root}; did you mean 'main'?\n"),
        ("git://main:none@../team", "error: command line: --rev: {team} at {sha} has no mldlc.yaml in its folder 'none'; "
         "a config repository has a mldlc.yaml at its root\n"),
        ("git://main:@../nowhere", "error: command line: --rev: no git repository at {team}/../nowhere\n"),
        ("git://main@../team", "error: 'git://main@../team' is not a git config source; "
         "expected git://<revision>:<folder>@<path or URL of the repository>\n"),
    ],
)  # fmt: skip
def test_a_revision_that_is_not_there(
    project: Repository, team: Path, capsys: pytest.CaptureFixture[str], rev: str, text: str
) -> None:
    code, out, err = told(capsys, "plan", "--rev", rev)
    assert (code, out) == (2, "")
    sha = git(team, "rev-parse", "--short=7", "main")
    assert err == text.format(root=project.root, team=team, sha=sha).replace("/team/../", "/")


def test_a_branch_warns_until_it_is_locked_and_the_lock_holds(
    project: Repository, team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = git(team, "rev-parse", "main")
    warning = f"mldlc.yaml:5: 'main' of ../team can move; this plan takes {first[:7]}; mldlc lock pins it\n"
    for _ in ("cold", "warm"):
        assert told(capsys, "plan", "second=team")[2] == f"warning: {warning}"
    code, _, err = told(capsys, "plan", "second=team", "--locked")
    assert (code, err) == (
        2, f"error: mldlc.yaml:5: 'main' of ../team is not pinned; mldlc lock pins it (to {first[:7]} now)\n",
    )  # fmt: skip
    assert told(capsys, "lock") == (0, f"+ main@../team  {first[:12]}\nmldlc.lock: written.\n", "")
    second = commit(team, {"settings/second/team.yaml": "value: 30\n"})
    code, _, err = told(capsys, "plan", "second=team", "--locked", "-o", "plan.json")
    assert (code, err) == (0, "")
    plan = json.loads((project.root / "plan.json").read_text())
    assert plan["snapshot"]["refs"] == {f"main@{team}": first}
    assert told(capsys, "lock", "--check") == (
        1, f"~ main@../team  {first[:12]} -> {second[:12]}\nmldlc.lock: would change.\n", "",
    )  # fmt: skip
    assert "20" in told(capsys, "explain", "second.value", "second=team")[1]
    assert told(capsys, "lock")[0] == 0
    assert told(capsys, "lock")[1].endswith("nothing moved.\n")
    assert "30" in told(capsys, "explain", "second.value", "second=team")[1]


def test_a_tag_is_refused_by_locked_only_and_the_search_path_counts(
    project: Repository, team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("mldlc.yaml", EXTENDS.format(rev="v1"))
    assert told(capsys, "plan")[2] == ""
    assert "'v1' of ../team is not pinned (a tag can be moved)" in told(capsys, "plan", "--locked")[2]
    project.write("mldlc.yaml", EXTENDS.format(rev=git(team, "rev-parse", "main")))
    assert told(capsys, "plan", "--locked")[::2] == (0, "")
    line = "hydra.searchpath=['git://main:settings@../team']"
    assert "error: hydra.searchpath: 'main' of ../team is not pinned" in told(capsys, "plan", line, "--locked")[2]
    assert told(capsys, "lock", line)[0] == 0
    assert told(capsys, "plan", line, "second=team", "--locked")[::2] == (0, "")


def test_a_lock_that_is_wrong(project: Repository, team: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = "1" * 40
    project.write("mldlc.lock", f"format: mldlc.lockfile/1\nrefs:\n  main@../team: {gone}\n")
    assert told(capsys, "plan")[2] == (
        f"error: mldlc.yaml:5: mldlc.lock pins 'main' of ../team: no commit '{gone}' in {team}; "
        "fetch it, or name another, or pin anew: mldlc lock\n"
    )
    project.write("mldlc.lock", "format: mldlc.lockfile/1\nrefs:\n  main@../team: main\n")
    assert told(capsys, "plan")[2] == (
        "error: mldlc.lock:3: 'main@../team' is not pinned to a full commit id; make it again: mldlc lock\n"
    )
    project.write("mldlc.lock", "<<<<<<< ours\n=======\n")
    assert "mldlc.lock:" in told(capsys, "plan")[2]
    assert told(capsys, "lock")[0] == 0
    assert told(capsys, "plan", "--locked")[0] == 0


def test_revisions_compared(project: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("conf/tally/default.yaml", "size: 4\nlabel: x\n")
    commit(project.root, {"src/tallying/counting.py": "def total(size):\n    return 7\n"})
    project.write("conf/tally/default.yaml", "size: 5\n")
    code, out, _ = told(capsys, "diff", "p1..HEAD", TALLY)
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == ["config", "  tally.size: 3 -> 4", "code"]
    assert lines[3].startswith("  t: tallying.counting: ")
    assert told(capsys, "diff", "HEAD", "main")[1] == "No difference.\n"
    code, _, err = told(capsys, "diff", "p1..mian")
    assert (code, err) == (
        2, "error: command line: 'mian' is no plan file, no run and no git revision; "
        "did you mean 'main'? (see also mldlc ls runs)\n",
    )  # fmt: skip
    git(project.root, "rm", "-q", "mldlc.yaml")
    sha = commit(project.root, {"other": "1\n"})
    code, _, err = told(capsys, "diff", "p1..main")
    text = f"error: command line: main: {project.root} at {sha[:7]} has no mldlc.yaml at its top; "
    assert (code, err) == (2, text + "a config repository has a mldlc.yaml at its root\n")


EXPERIMENT = "# @package _global_\ntally: {{size: {size}, label: {label}}}\nlifecycle:\n  stages:\n    t: {kind}\n"
STAGE = "{kind: 'tallying.steps:TALLY', inputs: {after: a}}"
DIFF = """\
config
  + lifecycle.stages.o.inputs.after: t
  + lifecycle.stages.o.kind: tallying.steps:OTHER
  lifecycle.stages.t.inputs.after: a -> ['a', 'b']
  tally.label: x -> y
  tally.size: 3 -> 8
wiring
  t.after: a.done -> a.done, b.done
code
  t: tallying.counting: # -> #
stage
  + o: tallying.steps:OTHER
"""


def test_a_branch_compared_with_main(project: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("conf/config.yaml", FILES["conf/config.yaml"].replace("noop:", "  - experiment: null\nnoop:"))
    project.write("conf/experiment/x.yaml", EXPERIMENT.format(size=3, label="x", kind=STAGE))
    commit(project.root, {})
    git(project.root, "switch", "-q", "-c", "work")
    more = STAGE.replace("after: a", "after: [a, b]") + "\n    o: {kind: 'tallying.steps:OTHER', inputs: {after: t}}"
    files = {
        "conf/experiment/x.yaml": EXPERIMENT.format(size=8, label="y", kind=more),
        "src/tallying/counting.py": "def total(size):\n    return 7\n",
    }
    commit(project.root, files)
    project.write("conf/experiment/x.yaml", "nonsense: [\n")
    for sides in (["main..HEAD"], ["main", "work"], ["main.."]):
        code, out, err = told(capsys, "diff", *sides, "experiment=x")
        assert (code, re.sub(r"\b[0-9a-f]{8,}\b", "#", out)) == (0, DIFF), (out, err)


def test_three_generations_override_each_other(
    tmp_path: Path, team: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = "# @package _global_\ndefaults:\n  - adult@_global_\n\noptimizer:\n  lr: 0.004\n"
    first = commit(team, {"settings/experiment/ours.yaml": ours, "settings/optimizer/sgd.yaml": "kind: sgd\nlr: 0.5\n"})
    mine = "# @package _global_\ndefaults:\n  - ours@_global_\n\noptimizer:\n  lr: 0.005\n"
    root = write(
        tmp_path / "third", {"mldlc.yaml": "extends: git://main:@../team\n", "conf/experiment/mine.yaml": mine}
    )
    monkeypatch.chdir(root)
    code, out, err = told(capsys, "explain", "optimizer.lr", "experiment=mine", "optimizer.lr=0.006")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["optimizer.lr"],
        ["mldlc:conf/optimizer/adamw_one_cycle.yaml:3", "0.002"],
        ["mldlc:conf/experiment/adult.yaml:29", "0.002"],
        [f"../team@{first[:7]}:settings/experiment/ours.yaml:6", "0.004"],
        ["conf/experiment/mine.yaml:6", "0.005"],
        ["->", "command", "line", "0.006"],
        ["#", first[:7], "is", "main", "of", "../team"],
    ]
    assert git(team, "show", f"{first[:7]}:settings/experiment/ours.yaml").splitlines()[5] == "  lr: 0.004"
    assert "0.5" in told(capsys, "explain", "optimizer.lr", "optimizer=sgd")[1]
    write(root, {"conf/optimizer/sgd.yaml": "kind: sgd\nlr: 0.25\n"})
    assert told(capsys, "explain", "optimizer.lr", "optimizer=sgd")[1].splitlines()[1] == (
        "  -> conf/optimizer/sgd.yaml:2  0.25"
    )

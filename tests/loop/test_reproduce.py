"""Runs made again from their pins: from git with local changes, from frozen code, from versioned data; and what is gone."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from mldlc.engine.execute import Options
from mldlc.engine.result import Result
from mldlc.loop.execute import run_plan
from mldlc.loop.pins import FILE, PATCH, environment, read_pins, web_url
from mldlc.loop.rebuild import rebuild
from mldlc.loop.reproduce import Comparison, reproduce
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import open_store
from mldlc.store.versions.embedded import open_versions
from tests.loop.gitted import committed, git
from tests.projects import TALLY, Repository, repository

COUNTING = "def total(size):\n    return sum(range(size))\n"
READING = '''\
"""Steps that read a file, and that never give the same bytes twice."""

import itertools
import json
import time

from mldlc.config.schema import Config, result
from mldlc.plan.artifact import Any, Metrics
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import StepSpec, many


class TallyConfig(Config):
    size: int = result(ge=1)
    label: str = result("")


READ = StepSpec(
    kind="read", version=1, impl="tallying.reading:read", inputs={"after": many(Any)}, outputs={"out": Metrics},
    reads={"tally": TallyConfig}, sources=lambda cfg: (SourceRef(cfg.tally.label, "numbers", (cfg.tally.label,)),),
)
CLOCK = StepSpec(
    kind="clock", version=1, impl="tallying.reading:clock", inputs={"after": many(Any)}, outputs={"out": Metrics},
    nondeterministic=("out",),
)
DRIFTING = StepSpec(
    kind="drifting", version=1, impl="tallying.reading:clock", inputs={"after": many(Any)}, outputs={"out": Metrics},
)


def read(ctx, cfg, inputs):
    (ctx.out("out") / "n.json").write_text(json.dumps(len(open(ctx.sources[0]["paths"][0]).read())))


def clock(ctx, cfg, inputs):
    (ctx.out("out") / "n.json").write_text(json.dumps({"loss": 1.0 + time.time_ns() % 1000 * 1e-10, "at": [1, 2]}))
'''


def stage(name: str, kind: str, after: str = "a") -> str:
    return f"+lifecycle.stages.{name}={{kind: 'tallying.reading:{kind}', inputs: {{after: {after}}}}}"


def run(repo: Repository, *overrides: str) -> str:
    result, _ = run_plan(repo.plan(*overrides), Options(), lambda event: None, threading.Event())
    assert result.status == "ok", result
    return result.run


def again(
    repo: Repository, scratch: Path, name: str = "latest", *, drift: bool = False, until: str = ""
) -> tuple[Result, list[Comparison]]:
    outputs = repo.root / "outputs"
    rebuilt = rebuild(outputs, name, scratch, drift=drift, until=until)
    before = sorted(path.name for path in (outputs / "runs").iterdir())
    found = reproduce(rebuilt, outputs, Options(on_error="keep_going"), lambda event: None, threading.Event())
    assert sorted(path.name for path in (outputs / "runs").iterdir()) == before
    return found


def verdicts(found: Sequence[Comparison]) -> dict[str, str]:
    return {item.step: item.verdict for item in found}


def gone(repo: Repository, scratch: Path) -> list[str]:
    with pytest.raises(DiagnosticError) as error:
        again(repo, scratch)
    assert {item.code for item in error.value.diagnostics} == {"pin_gone"}
    return [item.message for item in error.value.diagnostics]


def test_a_run_gives_equal_digests_again(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    run(repo, TALLY, "second.value=4")
    repo.write("conf/second/default.yaml", "value: 77\n")  # the composed config is pinned, the file may move on
    result, found = again(repo, tmp_path / "s")
    assert verdicts(found) == dict.fromkeys("abct", "equal") and result.counts["run"] == 4
    _, found = again(repo, tmp_path / "s2", until="b")
    assert verdicts(found) == dict.fromkeys("ab", "equal")


def test_code_comes_from_git_and_the_kept_local_changes(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    rev = committed(repo.root)
    repo.write(
        "src/tallying/counting.py", "from tallying.fresh import ONE\n\n\ndef total(size):\n    return size + ONE\n"
    )
    repo.write("src/tallying/fresh.py", "ONE = 1\n")
    state = git(repo.root, "status", "--porcelain", "src")
    name = run(repo, TALLY)
    assert git(repo.root, "status", "--porcelain", "src") == state
    pins = read_pins(repo.root / "outputs" / "runs" / name)
    assert pins["git"]["rev"] == rev and pins["git"]["dirty"] and "s3cret" not in str(pins)
    assert any("second" in path for path in pins["config"]) and pins["environment"]
    (repo.root / "src/tallying/fresh.py").unlink()
    repo.write("src/tallying/counting.py", COUNTING)
    git(repo.root, "commit", "-qam", "two", "--allow-empty")
    shutil.rmtree(repo.root / "outputs" / "cache")
    objects = sorted((repo.root / ".git").rglob("*"))
    _, found = again(repo, tmp_path / "s")
    assert verdicts(found) == dict.fromkeys("abct", "equal")
    assert sorted((repo.root / ".git").rglob("*")) == objects
    (repo.root / "outputs" / "runs" / name / PATCH).unlink()
    (message,) = gone(repo, tmp_path / "s2")
    assert f"local changes to {rev[:12]} were not kept" in message and "there is no frozen copy" in message


def test_a_revision_that_is_gone_is_named_and_a_frozen_copy_will_do(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    rev = committed(repo.root)
    run(repo, TALLY)
    shutil.rmtree(repo.root / ".git")
    repo.write("src/tallying/counting.py", "def total(size):\n    return -1\n")
    _, found = again(repo, tmp_path / "s")
    assert verdicts(found) == dict.fromkeys("abct", "equal")
    shutil.rmtree(repo.root / "outputs" / "cache")
    (message,) = gone(repo, tmp_path / "s2")
    assert f"revision {rev[:12]} is not in the repository" in message and "src changed" in message


def test_a_run_that_only_reused_has_the_pins_of_the_run_that_executed(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    committed(repo.root)
    repo.write("src/tallying/counting.py", "def total(size):\n    return size\n")
    first = run(repo, TALLY)
    second = run(repo, TALLY)
    assert (repo.root / "outputs" / "runs" / first / FILE).exists()
    assert not (repo.root / "outputs" / "runs" / second / FILE).exists()
    repo.write("src/tallying/counting.py", COUNTING)
    shutil.rmtree(repo.root / "outputs" / "cache")
    _, found = again(repo, tmp_path / "s", second)
    assert verdicts(found) == dict.fromkeys("abct", "equal")


def test_a_source_that_changed_is_named(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p", {"src/tallying/reading.py": READING, "numbers.txt": "12345"})
    data = repo.root / "numbers.txt"
    run(repo, stage("r", "READ"), f"tally.label={data}")
    _, found = again(repo, tmp_path / "s")
    assert verdicts(found)["r"] == "equal"
    data.write_text("123456")
    (message,) = gone(repo, tmp_path / "s2")
    assert "source numbers changed" in message and "numbers.txt" in message
    data.unlink()
    (message,) = gone(repo, tmp_path / "s3")
    assert "there is no file" in message and "numbers.txt" in message


def test_versioned_data_is_read_at_the_commit_that_the_run_was_pinned_to(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "p")
    repo.write("mldlc.yaml", "name: versioned\n")
    repo.write("rows.csv", "x,y\n1,2\n3,4\n5,6\n")
    put(repo, "one")
    overrides = ("source=csv", "source.path=store://main/raw/rows.csv", "+source.roles.y=label")
    result, _ = run_plan(repo.plan(*overrides, until="collect"), Options(), lambda event: None, threading.Event())
    assert result.status == "ok"
    repo.write("rows.csv", "x,y\n9,9\n")
    put(repo, "two")
    rebuilt = rebuild(repo.root / "outputs", "latest", tmp_path / "s")
    assert set(rebuilt.then) == {"collect"}
    result, found = reproduce(rebuilt, repo.root / "outputs", Options(), lambda event: None, threading.Event())
    assert [item.verdict for item in found] == ["equal"], found
    assert not any(path.is_symlink() for path in (repo.root / "outputs" / "store").rglob("*"))


def put(repo: Repository, run: str) -> None:
    versions = open_versions(open_store(repo.root / "outputs"))
    draft = versions.draft("main", run=run)
    draft.put("raw/rows.csv", repo.root / "rows.csv")
    draft.commit(run, {})
    draft.publish("main")


def test_a_moved_package_and_a_moved_mldlc_are_pins_unless_drift_is_allowed(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    name = run(repo)
    plan = repo.root / "outputs" / "runs" / name / "plan.json"
    text = plan.read_text()
    plan.write_text(text.replace('"python":"3.', '"packages":{"numpy":"0.1"},"python":"2.'))
    assert len(messages := gone(repo, tmp_path / "s")) == 2
    assert messages[0].startswith("python was 2.") and "package numpy was 0.1" in messages[1]
    _, found = again(repo, tmp_path / "s2", drift=True)
    assert set(verdicts(found).values()) == {"equal"}
    body = json.loads(text)
    for blob in body["blobs"].values():
        if "mldlc.scope.noop" in blob:
            blob["mldlc.scope.noop"] = "0" * 32
    plan.write_text(json.dumps(body))
    assert "mldlc itself changed: mldlc.scope.noop" in gone(repo, tmp_path / "s3")[0]


def test_what_differs_is_told_apart_from_what_follows_and_what_may_differ(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p", {"src/tallying/reading.py": READING})
    run(repo, stage("d", "DRIFTING"), stage("n", "CLOCK"), stage("f", "DRIFTING", "d"), stage("g", "CLOCK", "d"))
    _, found = again(repo, tmp_path / "s")
    seen = verdicts(found)
    assert seen["d"] == "differs" and seen["f"] == "follows" and seen["n"] == seen["g"] == "close"
    assert next(item for item in found if item.step == "d").detail == "n.json"


def test_effects_are_never_repeated_and_gates_take_the_answer_given(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p")
    name = run(repo)
    plan = repo.root / "outputs" / "runs" / name / "plan.json"
    plan.write_text(plan.read_text().replace('"stage":"b"', '"stage":"b","purity":"effect"'))
    rebuilt = rebuild(repo.root / "outputs", name, tmp_path / "s")
    assert rebuilt.left_out == {"b": "it acts outside the store", "c": "it needs b"} and set(rebuilt.then) == {"a"}


def test_a_run_without_results_cannot_be_compared(tmp_path: Path) -> None:
    repo = repository(tmp_path / "p", {"src/tallying/counting.py": "def total(size):\n    raise ValueError\n"})
    stop = threading.Event()
    stop.set()
    result, _ = run_plan(repo.plan(), Options(), lambda event: None, stop)
    with pytest.raises(DiagnosticError, match="has no results to compare"):
        rebuild(repo.root / "outputs", result.run, tmp_path / "s")
    with pytest.raises(DiagnosticError, match="there is no run"):
        rebuild(repo.root / "outputs", "1999", tmp_path / "s2")


def test_remotes_lose_their_credentials_and_folders_are_no_address() -> None:
    assert web_url("git@github.com:me/chain.git") == "https://github.com/me/chain"
    assert web_url("https://me:pw@host.org/a/b.git") == "https://host.org/a/b"
    assert web_url("ssh://git@host.org:2222/a/b") == "https://host.org/a/b"
    assert web_url("/srv/git/a.git") == "" == web_url("")
    assert any(item.startswith("pydantic==") for item in environment())

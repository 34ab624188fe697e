"""Creating repositories, importing in place, the gate before protected branches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mldlc.plan.versions import Denied, InvalidName, RefExists, VersionsError
from mldlc.store.lakefs.administration import (
    GATE_PATH,
    create_repository,
    draft_runs,
    gate_text,
    import_objects,
    write_gate,
)
from tests.lakefs_double.hooks import run_lua
from tests.lakefs_double.running import client_of, running
from tests.store.lakefs.conftest import Lake

PASSED = {"mldlc.plan": "0123", "mldlc.checks": "passed"}


def test_a_repository_is_created_once(lake: Lake) -> None:
    client = client_of(lake.double)
    for kind in ("drop", "lost", "cut"):
        lake.double.fail("createRepository", kind)
        made = create_repository(client, f"data-{kind}", f"local://{kind}", branch="trunk")
        assert made.branches().keys() == {"trunk"}
    with pytest.raises(RefExists, match="data-lost"):
        create_repository(client, "data-lost", "local://lost")
    for name in ("ab", "Data", "-data", "a_b", "x" * 64):
        with pytest.raises(InvalidName, match="3 to 63"):
            create_repository(client, name, "local://x")


def test_drafts_that_were_left_are_found(lake: Lake) -> None:
    kept = lake.drafted("left", {"a": b"1"})
    lake.versions.draft("main", run="begun")
    lake.published("done", {"b": b"1"})
    repository = lake.versions.repository
    assert draft_runs(repository) == {"begun": 0.0, "left": lake.versions.commit(kept.head).time}
    for run in draft_runs(repository):
        lake.versions.draft("main", run=run).abandon()
    assert draft_runs(repository) == {}
    assert list(lake.state.heads) == ["main"] and lake.state.staged == {}


def test_an_import_is_a_commit_of_the_draft(lake: Lake) -> None:
    lake.double.operations.bucket |= {"local://b/in/x": b"1", "local://b/in/y/z": b"2", "local://b/out": b"3"}
    lake.published("zero", {"keep": b"0"})
    draft = lake.versions.draft("main", run="r")
    waits: list[float] = []
    lake.versions.repository.client.sleep = waits.append
    commit = import_objects(draft, "local://b/in/", "t/", "take in", {"k": "v"})
    assert commit.message == "take in" and commit.metadata == {"k": "v"}
    assert waits == [1.0]
    merge = draft.publish("main")
    found = {entry.path: entry.digest for entry in lake.versions.entries("main")}
    assert set(found) == {"keep", "t/x", "t/y/z"} and found["t/x"].startswith("etag:")
    assert merge.parents[1] == commit.id
    single = lake.versions.draft("main", run="s")
    import_objects(single, "local://b/out", "one", "one object", {})
    assert lake.versions.entry(single.head, "one").size == 1


def test_an_import_over_something_is_meant_or_refused(lake: Lake) -> None:
    lake.double.operations.bucket |= {"local://b/in/x": b"1"}
    lake.published("zero", {"t/old": b"0", "t/older": b"0", "u": b"0"})
    draft = lake.versions.draft("main", run="r")
    with pytest.raises(VersionsError, match=r"deletes what is there now \(t/old, t/older.*replace=True"):
        import_objects(draft, "local://b/in/", "t/", "", {})
    assert lake.double.count("importStart") == 0
    commit = import_objects(draft, "local://b/in/", "t/", "", {}, replace=True)
    assert [entry.path for entry in lake.versions.entries(commit.id)] == ["t/x", "u"]
    with pytest.raises(VersionsError, match="ends with '/'"):
        import_objects(draft, "local://b/in/", "t", "", {})
    with pytest.raises(VersionsError, match="ends with '/'"):
        import_objects(draft, "local://b/in/x", "t/", "", {})


def test_an_import_can_fail(lake: Lake) -> None:
    draft = lake.versions.draft("main", run="r")
    with pytest.raises(VersionsError, match="import of local://c/ failed: nothing to import"):
        import_objects(draft, "local://c/", "t/", "", {})
    assert lake.versions.resolve("mldlc-run-r") == draft.base == draft.head


def test_an_import_whose_answer_was_lost_is_found(lake: Lake) -> None:
    lake.double.operations.bucket |= {"local://b/in/x": b"1"}
    draft = lake.versions.draft("main", run="r")
    lake.double.fail("importStart", "lost")
    failed = {"completed": False, "update_time": "2026-01-01T00:00:00Z", "error": {"message": "no changes"}}
    lake.double.fail("importStatus", "rewrite", change=lambda value: failed)
    commit = import_objects(draft, "local://b/in/", "t/", "once", {})
    assert commit.message == "once"
    assert [entry.path for entry in lake.versions.entries(commit.id)] == ["t/x"]


def test_a_server_that_cannot_import_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as (double, versions):
        without = {"storage_config": {"import_support": False, "pre_sign_support": False}}
        double.fail("getConfig", "rewrite", change=lambda value: without)
        with pytest.raises(VersionsError, match="does not import"):
            import_objects(versions.draft("main", run="r"), "local://b/", "t/", "", {})


@pytest.mark.parametrize(
    ("metadata", "trouble"),
    [
        (PASSED, ""),
        (PASSED | {"other": "x"}, ""),
        ({}, "no mldlc.plan"),
        (None, "no mldlc.plan"),
        ({"mldlc.plan": "", "mldlc.checks": "passed"}, "no mldlc.plan"),
        ({"mldlc.checks": "passed"}, "no mldlc.plan"),
        ({"mldlc.plan": "0123"}, "mldlc.checks is nil, not passed"),
        ({"mldlc.plan": "0123", "mldlc.checks": "failed:auc"}, "mldlc.checks is failed:auc, not passed"),
        ({"mldlc.plan": "0123", "mldlc.checks": "PASSED"}, "mldlc.checks is PASSED, not passed"),
    ],
)
def test_the_gates_script(metadata: dict[str, str] | None, trouble: str) -> None:
    script = yaml.safe_load(gate_text())["hooks"][0]["properties"]["script"]
    commit = {"message": "m"} if metadata is None else {"message": "m", "metadata": metadata}
    found = run_lua(script, {"branch_id": "main", "commit": commit})
    assert (found == "") == (trouble == "") and trouble in found


def test_the_gate_guards_the_branches_that_one_names() -> None:
    action = yaml.load(gate_text(("main", "release-*")), yaml.BaseLoader)  # keeps `on` a word, as Go's YAML does
    assert action["on"] == {"pre-merge": {"branches": ["main", "release-*"]}}
    assert [hook["type"] for hook in action["hooks"]] == ["lua"]
    assert set(action) == {"name", "description", "on", "hooks"}
    for bad in ((), ('main"\nhooks: []',), ("a b",)):
        with pytest.raises(InvalidName):
            gate_text(bad)


def test_the_gate_refuses_on_the_server(lake: Lake) -> None:
    install = lake.versions.draft("main", run="install")
    write_gate(install, ("main",))
    install.commit("gate", {})
    install.publish("main", metadata=PASSED)
    assert lake.versions.entry("main", GATE_PATH).size == len(gate_text().encode())
    draft = lake.drafted("r", {"a": b"1"})
    with pytest.raises(Denied, match=r"a hook refused the merge into main: .*no mldlc\.plan in its metadata"):
        draft.publish("main")
    with pytest.raises(Denied, match=r"mldlc\.checks is failed:auc"):
        draft.publish("main", metadata={"mldlc.plan": "p", "mldlc.checks": "failed:auc"})
    assert lake.history() == ["Publish install to main"]
    draft.publish("main", metadata=PASSED)
    assert lake.history() == ["Publish r to main", "Publish install to main"]
    lake.versions.branch("side", "main")
    lake.drafted("t", {"b": b"1"}).publish("side")


def test_the_gate_is_in_the_package() -> None:
    code = "from mldlc.store.lakefs.administration import gate_text; print(len(gate_text()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert int(done.stdout) == len(gate_text())

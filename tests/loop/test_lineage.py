"""Lineage over real records: up, down, every way to name an artifact, and what is said when records are gone."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from mldlc.engine.execute import Options
from mldlc.engine.history import read_run
from mldlc.loop.execute import run_plan
from mldlc.loop.lineage import Lineage, downstream, upstream
from mldlc.loop.subject import find_subject
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import existing_store
from mldlc.store.objects import read_tree, tree_files
from mldlc.store.versions.embedded import open_versions
from tests.projects import TALLY, Repository, repository


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The chain with a tally behind `a`, run once with second.value=5."""
    repo = repository(tmp_path_factory.mktemp("lineage"))
    run(repo, TALLY, "second.value=5")
    return repo


def run(repo: Repository, *overrides: str) -> str:
    result, _ = run_plan(repo.plan(*overrides), Options(), lambda event: None, threading.Event())
    assert result.status == "ok"
    return result.run


def outputs(repo: Repository) -> Path:
    return repo.root / "outputs"


def walk(repo: Repository, text: str, *, down: bool = False) -> Lineage:
    subject = find_subject(text, outputs(repo))
    return (downstream if down else upstream)(subject.index, subject.digests)


def stages(found: Lineage) -> set[str]:
    return {item.stage for item in found.artifacts.values()}


def digest(repo: Repository, stage: str) -> str:
    return next(iter(read_run(outputs(repo), "latest").steps[stage]["digests"].values()))


def refusal(repo: Repository, text: str) -> str:
    with pytest.raises(DiagnosticError) as error:
        find_subject(text, outputs(repo))
    return str(error.value)


def test_up_and_down_follow_the_wiring(ran: Repository) -> None:
    assert stages(walk(ran, "c")) == {"a", "b", "c"}
    assert stages(walk(ran, "t")) == {"a", "t"}
    assert stages(walk(ran, "b", down=True)) == {"b", "c"}
    assert stages(walk(ran, "a", down=True)) == {"a", "b", "c", "t"}
    assert walk(ran, "c", down=True).actions == {}


def test_an_action_tells_config_code_and_run(ran: Repository) -> None:
    found = walk(ran, "b")
    (action,) = [item for item in found.actions.values() if item.stage == "b"]
    assert [(value.path, value.value, value.set_by) for value in action.config] == [
        ("second.value", 5, "second.value=5")
    ]
    tally = next(iter(item for item in walk(ran, "t").actions.values() if item.stage == "t"))
    assert {"tallying.steps", "tallying.counting"} <= set(tally.modules)
    assert tally.run == read_run(outputs(ran), "latest").run and tally.python.startswith("3.")


def test_every_name_leads_to_the_same_artifact(ran: Repository) -> None:
    wanted = digest(ran, "t")
    store = existing_store(outputs(ran))
    assert store is not None
    (file, _) = next(iter(read_tree(store, wanted).files.values()))
    key = next(item.key for item in walk(ran, "t").actions.values() if item.stage == "t")
    name = read_run(outputs(ran), "latest").run
    for text in ("t", "latest:t", f"{name}:t", wanted, wanted[:8], file[:10], key[:12]):
        assert walk(ran, text).roots == (wanted,), text
    assert set(walk(ran, name).roots) == {wanted, digest(ran, "c")} == set(walk(ran, "latest").roots)


def test_a_versioned_file_leads_to_the_artifact_that_holds_it(ran: Repository) -> None:
    store = existing_store(outputs(ran))
    assert store is not None
    name, bytes_ = next(iter(tree_files(store, digest(ran, "t")).items()))
    copy = Path(shutil.copy(bytes_, ran.root / "copy.txt"))
    note = ran.root / "note.txt"
    note.write_text("by hand")
    versions = open_versions(store)
    draft = versions.draft("main", run="lineage-1")
    draft.put(f"chain/sum/{name}", copy)
    draft.put("notes/note.txt", note)
    made = draft.commit("publish", {"mldlc.run": read_run(outputs(ran), "latest").run})
    draft.publish("main", metadata={"mldlc.run": read_run(outputs(ran), "latest").run})
    for text in (f"store://main/chain/sum/{name}", "store://main/chain", f"store://{made.id}/chain/sum/{name}"):
        subject = find_subject(text, outputs(ran))
        assert subject.digests == (digest(ran, "t"),) and subject.put == ()
        assert subject.commit["metadata"]["mldlc.run"] == read_run(outputs(ran), "latest").run
    whole = find_subject(made.id[:12], outputs(ran))
    assert whole.put == ("notes/note.txt",) and whole.digests == (digest(ran, "t"),)
    assert "notes/note.txt" in find_subject("store://main/notes/note.txt", outputs(ran)).put
    assert "note.txt" in refusal(ran, "store://main/notes/note.tx")
    assert "mian" in refusal(ran, "store://mian/notes")


def test_unknown_names_are_refused_with_the_nearest(ran: Repository) -> None:
    assert "it has results of a, b, c, t" in refusal(ran, "latest:zz")
    assert "did you mean 't'?" in refusal(ran, "tt")
    assert "a, b, c, t" in refusal(ran, "nothing-like-it")
    assert "no artifact, file, key or commit" in refusal(ran, "ffffffffff")
    assert "there is no run" in refusal(ran, "1999:t")


def test_records_and_runs_that_are_gone_are_told(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    assert "is no stage, run" in refusal(repo, "a")
    first = run(repo)
    run(repo, "second.value=9")
    shutil.rmtree(outputs(repo) / "runs" / first)
    found = walk(repo, "c")
    known = {item.stage: item.known for item in found.actions.values()}
    assert known == {"a": False, "b": True, "c": True}
    store = existing_store(outputs(repo))
    assert store is not None
    key = next(item.key for item in found.actions.values() if item.stage == "b")
    gone = digest(repo, "b")
    store.record(key).unlink()
    assert walk(repo, "c").missing == (gone,)


def test_equal_bytes_made_twice_are_counted(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    run(repo, TALLY)
    repo.write("src/tallying/counting.py", "def total(size):\n    return sum(list(range(size)))\n")
    run(repo, TALLY)
    made = digest(repo, "t")
    assert walk(repo, made[:10]).artifacts[made].others == 1

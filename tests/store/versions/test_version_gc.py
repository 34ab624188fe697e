"""Garbage collection of versions: what a ref reaches stays, what the policy lets go says so, races end safe."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.synchronize import Event, Lock
from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.versions import DataExpired, RefNotFound, VersionsError
from mldlc.store.gc import DAY, GRACE, collect_garbage
from mldlc.store.layout import Store, open_store
from mldlc.store.leases import LINKS
from mldlc.store.objects import put_bytes
from mldlc.store.records import reusable
from mldlc.store.verify import verify
from mldlc.store.versions import collect
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from tests.store.making import age, commit
from tests.store.versions.making import commit_on, contents

FORK = multiprocessing.get_context("fork")
OLD = 100 * DAY


def listing(versions: EmbeddedVersions) -> set[str]:
    return {str(path) for path in versions.store.root.rglob("*") if path.is_file()}


def three(versions: EmbeddedVersions) -> list[str]:
    """Three commits on main, each with a file of its own and one in place of the last's."""
    return [
        commit_on(versions, "main", {f"own {n}": bytes([n]), "same": b"version %d" % n}, f"number {n}").id
        for n in range(3)
    ]


def test_what_is_reached_stays(versions: EmbeddedVersions) -> None:
    ids = three(versions)
    versions.branch("exp", "main~1")
    commit_on(versions, "exp", {"e": b"e"})
    versions.tag("v1", "exp")
    before = {ref: contents(versions, ref) for ref in (*ids, "main", "exp", "v1")}
    age(versions.store.root, OLD)
    report = versions.gc()
    assert (report.objects, report.nodes, report.commits, report.expired) == (0, 0, 0, 0)
    assert {ref: contents(versions, ref) for ref in before} == before
    assert verify(versions.store) == []


def test_what_nothing_reaches_goes(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"keep": b"keep"})
    versions.branch("exp", "main")
    lost = commit_on(versions, "exp", {"lost": b"lost data", "keep": b"changed"})
    versions.delete_branch("exp")
    draft = versions.draft("main", run="r1")
    draft.path("drafted").write_bytes(b"drafted")
    draft.commit("", {})
    draft.abandon()
    put_bytes(versions.store, b"nobody's")
    age(versions.store.root, OLD)
    dry = versions.gc(dry_run=True)
    before = listing(versions)
    assert versions.gc(dry_run=True) == dry and listing(versions) == before
    report = versions.gc()
    assert (report.commits, report.objects) == (3, 4), "merge, its draft's commit, the abandoned one"
    assert (dry.objects, dry.nodes) == (report.objects, report.nodes)
    assert not versions.commits.has(lost.id)
    with pytest.raises(RefNotFound):
        open_versions(versions.store).resolve(lost.id)
    assert contents(versions, "main") == {"keep": b"keep"}
    assert verify(versions.store) == []
    assert versions.gc().files == 0
    versions.branch("exp", "main")
    assert contents(versions, "exp") == {"keep": b"keep"}, "its name can be used again"


def test_records_and_versions_do_not_eat_each_other(versions: EmbeddedVersions) -> None:
    store = versions.store
    record = commit(store, "train", {"model": b"weights", "log": b"log"})
    draft = versions.draft("main", run="r1")
    digest = next(name for name in record.outputs)
    assert digest == "out"
    shared = put_bytes(store, b"weights")
    draft.link("model", shared, 7)
    draft.path("own").write_bytes(b"only here")
    draft.commit("", {})
    draft.publish("main")
    age(store.root, OLD)
    assert collect_garbage(store).objects == 0
    assert reusable(store, record)
    report = collect_garbage(store, keep_days=1)
    assert (report.records, report.objects) == (1, 2), "the log and the tree of the artifact"
    assert contents(versions, "main") == {"model": b"weights", "own": b"only here"}
    assert verify(store) == []


def test_the_keep_policy_leaves_shells(versions: EmbeddedVersions) -> None:
    ids = three(versions)
    versions.tag("v0", ids[0])
    age(versions.store.root, OLD)
    dry = versions.gc(keep_commits=1, dry_run=True)
    report = versions.gc(keep_commits=1)
    assert (report.expired, report.objects, report.nodes) == (dry.expired, dry.objects, dry.nodes)
    assert report.commits == 0 and report.objects == 1, "version 1; what number 1 shares with others stays"
    assert contents(versions, ids[2])["same"] == b"version 2" and contents(versions, "v0")["same"] == b"version 0"
    assert [c.message for c in versions.log("main", first_parent=True)][:3] == ["number 2", "number 1", "number 0"]
    reads: list[Callable[[], object]] = [
        lambda: list(versions.entries(ids[1])),
        lambda: versions.entry(ids[1], "same"),
        lambda: versions.digest("main~1"),
        lambda: versions.partitions("main~1"),
        lambda: versions.open("main~1", "same"),
        lambda: versions.source("main~1"),
        lambda: list(versions.diff("main~1", "main")),
        lambda: versions.tag("v1", "main~1"),
        lambda: versions.branch("exp", "main~1"),
        lambda: versions.draft("main~1", run="r9"),
        lambda: versions.revert("main", "main"),
    ]
    for read in reads:
        with pytest.raises(DataExpired, match=f"{ids[1][:12]} was collected by the keep policy"):
            read()
    assert versions.branches().keys() == {"main"} and versions.tags().keys() == {"v0"}
    assert [c.message for c in versions.log("main", "own 1", first_parent=True)] == ["number 2", "number 1"]
    assert verify(versions.store) == [] and versions.gc(keep_commits=1).files == 0
    commit_on(versions, "main", {"again": b"writing goes on"})
    assert verify(versions.store) == []


def test_a_commit_stays_for_the_grace_after_it_was_replaced(versions: EmbeddedVersions) -> None:
    ids = three(versions)
    age(versions.store.root, OLD)
    last = commit_on(versions, "main", {"new": b"today"}).id
    versions.gc(keep_commits=1)
    assert contents(versions, ids[2])["same"] == b"version 2", "the head until just now: somebody may read it"
    with pytest.raises(DataExpired):
        contents(versions, ids[1])
    age(versions.store.root, OLD)
    versions.gc(keep_commits=1)
    with pytest.raises(DataExpired):
        contents(versions, ids[2])
    assert contents(versions, last)["new"] == b"today"


def test_branches_can_still_be_merged_after_the_policy(versions: EmbeddedVersions) -> None:
    base = commit_on(versions, "main", {"a": b"1", "b": b"1"})
    versions.branch("exp", "main")
    for n in range(3):
        commit_on(versions, "main", {"a": b"main %d" % n})
        commit_on(versions, "exp", {"b": b"exp %d" % n})
    draft = versions.draft("exp", run="live")
    draft.path("c").write_bytes(b"draft")
    draft.commit("one", {})
    draft.path("c").write_bytes(b"draft 2")
    draft.commit("two", {})
    age(versions.store.root, OLD)
    del draft  # its process is gone; the folder is young
    age(versions.store.root / "drafts", 1)
    assert versions.gc(keep_commits=1).expired > 0
    assert contents(versions, base.id) == {"a": b"1", "b": b"1"}, "the merge base"
    versions.draft("main", run="live").publish("exp")
    versions.merge("exp", "main")
    assert contents(versions, "main") == {"a": b"main 2", "b": b"exp 2", "c": b"draft 2"}
    assert verify(versions.store) == []


def test_old_drafts_go_live_and_young_ones_stay(versions: EmbeddedVersions) -> None:
    for run in ("dead", "young", "held"):
        draft = versions.draft("main", run=run)
        draft.path(run).write_bytes(run.encode())
        draft.commit("", {})
        if run != "held":
            del draft
    age(versions.store.root, OLD)
    age(versions.store.root / "drafts" / "young", GRACE / 2)
    held = versions.draft("main", run="held")
    age(versions.store.root, OLD)
    age(versions.store.root / "drafts" / "young", GRACE / 2)
    assert versions.gc(dry_run=True).drafts == 1
    report = versions.gc()
    assert report.drafts == 1 and report.objects == 1
    with pytest.raises(RefNotFound):
        versions.resolve("mldlc-run-dead")
    assert contents(versions, "mldlc-run-young") == {"young": b"young"}
    held.publish("main")
    assert contents(versions, "main") == {"held": b"held"}
    assert not [name for name in os.listdir(versions.store.leases) if not name.endswith(LINKS)]  # noqa: PTH208
    assert verify(versions.store) == []


def test_nothing_young_goes(versions: EmbeddedVersions) -> None:
    three(versions)
    versions.branch("exp", "main")
    versions.delete_branch("exp")
    before = listing(versions)
    report = versions.gc(keep_commits=1)
    assert (report.files, report.expired) == (0, 0) and listing(versions) == before


def test_old_numbers_of_heads_go(versions: EmbeddedVersions) -> None:
    three(versions)
    versions.branch("exp", "main")
    versions.delete_branch("exp")
    age(versions.store.root, OLD)
    versions.gc()
    heads = versions.store.root / "heads"
    assert [path.name for path in (heads / "main").iterdir()] == [f"{3:016d}"]
    assert [path.read_text() for path in (heads / "exp").iterdir()] == ["deleted"]


@pytest.mark.parametrize("broken", ["head", "commit", "tree", "range"])
def test_nothing_is_collected_from_a_damaged_history(versions: EmbeddedVersions, broken: str) -> None:
    three(versions)
    put_bytes(versions.store, b"nobody's")
    head = versions.commit("main")
    path = {
        "head": versions.store.root / "heads" / "main" / f"{3:016d}",
        "commit": versions.commits.path(head.id),
        "tree": versions.nodes.path("trees", head.tree),
        "range": next(path for path in (versions.store.root / "ranges").rglob("*") if path.is_file()),
    }[broken]
    age(versions.store.root, OLD)
    if broken in ("commit", "tree"):
        path.unlink()
    else:
        path.chmod(0o644)
        path.write_bytes(b"x")
        age(path, OLD)
    before = listing(versions)
    with pytest.raises(DiagnosticError, match="nothing was collected") as error:
        versions.gc()
    assert error.value.diagnostics[0].code == "store_damaged" and str(path) in str(error.value)
    assert listing(versions) == before
    problems = verify(versions.store)
    if broken == "commit":  # nobody can tell a head that is damaged from a commit that is gone
        assert [problem.path.name for problem in problems] == [f"{3:016d}"] and head.id in str(problems[0])
    else:
        assert path in {problem.path for problem in problems}


def test_policies_are_checked(versions: EmbeddedVersions) -> None:
    with pytest.raises(ValueError, match="keep_commits must be >= 1, not 0"):
        versions.gc(keep_commits=0)


def test_a_ref_that_is_made_while_data_goes_keeps_it_or_is_refused(
    versions: EmbeddedVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look at the refs and the marks; and after the marks."""
    ids = three(versions)
    versions.branch("exp", "main")
    lost = commit_on(versions, "exp", {"e": b"e"}).id
    versions.delete_branch("exp")
    age(versions.store.root, OLD)
    real = collect._write_marks

    def between(commits: object, marked: set[str]) -> None:
        versions.tag("early", ids[0])
        versions.tag("saved", lost)
        real(commits, marked)  # type: ignore[arg-type]
        for name, id in (("late", ids[1]),):
            with pytest.raises(DataExpired):
                versions.tag(name, id)

    monkeypatch.setattr(collect, "_write_marks", between)
    report = versions.gc(keep_commits=1)
    assert set(versions.tags()) == {"early", "saved"} and report.expired > 0
    assert contents(versions, "early")["same"] == b"version 0"
    assert contents(versions, "saved")["e"] == b"e"
    assert verify(versions.store) == []


def _use(root: Path, seed: int, stop: Event, between: Lock) -> None:
    """Branch off old commits, revert, merge and read, while somebody collects: all is there, or is said to be gone."""
    versions = open_versions(open_store(root))
    chance = random.Random(seed)
    for round in itertools.count():
        if stop.is_set():
            break
        time.sleep(0.02)  # for who waits for the lock
        with between:
            try:
                name = f"b{seed}-{round}"
                versions.branch(name, f"main~{chance.randrange(12)}")
                before = contents(versions, name)
                draft = versions.draft(name, run=name)
                draft.path(f"{seed}/{chance.randrange(5)}").write_bytes(bytes([chance.randrange(3)]))
                draft.commit("", {}, allow_empty=True)
                draft.publish(name)
                assert {k: v for k, v in contents(versions, name).items() if not k.startswith(f"{seed}/")} == {
                    k: v for k, v in before.items() if not k.startswith(f"{seed}/")
                }
                versions.merge(name, "main", strategy="source-wins")
                versions.revert("main", f"main~{chance.randrange(3)}")
            except (DataExpired, RefNotFound):
                continue
            except VersionsError as error:
                if "both sides changed" not in str(error):
                    raise
            finally:
                if name in versions.branches() and chance.random() < 0.8:
                    versions.delete_branch(name)


def _pass_time(store: Store, locks: list[Lock]) -> None:
    """All that is there becomes old, while nobody is at work: what is needed from now on is made young again."""
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(lock)
        age(store.root, OLD)


def test_collecting_while_others_work(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    versions = open_versions(store)
    for n in range(12):
        commit_on(versions, "main", {f"{n}": bytes([n])})
    stop, locks = FORK.Event(), [FORK.Lock() for _ in range(3)]
    children = [FORK.Process(target=_use, args=(tmp_path, seed, stop, lock)) for seed, lock in enumerate(locks)]
    for child in children:
        child.start()
    collected, end = 0, time.monotonic() + 120
    for number in itertools.count():  # a busy machine needs more time to prove as much
        _pass_time(store, locks)
        for _ in range(3):
            report = versions.gc(keep_commits=4, grace_seconds=60)
            collected += report.nodes + report.expired
        if (number >= 4 and collected > 20) or time.monotonic() > end or not all(c.is_alive() for c in children):
            break
    stop.set()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 3
    assert verify(store) == []
    assert collected > 20, "it collected too little to prove anything"

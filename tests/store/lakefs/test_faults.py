"""Answers that get lost and branches that move: everything happens once, or not at all and with a reason."""

from __future__ import annotations

import pytest

from mldlc.plan.versions import Conflict, StaleRead, Unavailable
from mldlc.store.lakefs.client import TRIES
from tests.store.lakefs.conftest import Lake

KINDS = ["drop", "lost", "cut", "status"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_commit_is_made_once(lake: Lake, kind: str, times: int) -> None:
    draft = lake.versions.draft("main", run="r")
    draft.path("a").write_bytes(b"1")
    lake.double.fail("commit", kind, times=1)
    if times == 2:
        lake.double.fail("logCommits", "status", status=502)  # the question about it has trouble too
        if kind in ("drop", "status"):
            lake.double.fail("commit", "lost")
    commit = draft.commit("once", {"k": "v"})
    assert commit.metadata == {"k": "v"}
    assert [item.id for item in lake.versions.log(commit.id)] == [commit.id, draft.base]


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_commit_is_made_once(lake: Lake, kind: str) -> None:
    draft = lake.versions.draft("main", run="r")
    lake.double.fail("commit", kind)
    commit = draft.commit("once", {}, allow_empty=True)
    assert [item.id for item in lake.versions.log("mldlc-run-r")] == [commit.id, draft.base]


@pytest.mark.parametrize("kind", KINDS)
def test_a_merge_is_made_once(lake: Lake, kind: str) -> None:
    draft = lake.drafted("r", {"a": b"1"})
    lake.double.fail("mergeIntoBranch", kind)
    merge = draft.publish("main", message="once", metadata={"k": "v"}, tag="v1")
    assert lake.history() == ["once"]
    assert merge.metadata == {"k": "v", "mldlc.run": "r"}
    assert lake.versions.tags() == {"v1": merge.id}


@pytest.mark.parametrize(
    "operation", ["createTag", "deleteBranch", "getBranch", "getCommit", "diffRefs", "diffBranch", "listTags"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_publishing_survives_a_fault_at_every_step(lake: Lake, operation: str, kind: str) -> None:
    draft = lake.drafted("r", {"a": b"1"})
    lake.double.fail(operation, kind)
    merge = draft.publish("main", message="once", tag="v1")
    assert lake.history() == ["once"]
    assert lake.versions.tags() == {"v1": merge.id}
    assert list(lake.state.heads) == ["main"], "and the run's branch is gone"


@pytest.mark.parametrize("kind", KINDS)
def test_a_revert_is_made_once(lake: Lake, kind: str) -> None:
    merge = lake.published("r", {"a": b"1"})
    lake.double.fail("revertBranch", kind)
    made = lake.versions.revert("main", merge.id, message="undo")
    assert lake.versions.commit("main") == made
    assert lake.history() == ["undo", "Publish r to main"]


@pytest.mark.parametrize("kind", KINDS)
def test_refs_are_made_and_removed_once(lake: Lake, kind: str) -> None:
    for operation in ("createBranch", "deleteBranch", "createTag", "deleteTag"):
        lake.double.fail(operation, kind)
    lake.versions.branch("side", "main")
    lake.versions.tag("v1", "side")
    assert list(lake.versions.branches()) == ["main", "side"]
    lake.versions.delete_branch("side")
    lake.versions.delete_tag("v1")
    assert list(lake.versions.branches()) == ["main"] and lake.versions.tags() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_is_begun_once(lake: Lake, kind: str) -> None:
    lake.double.fail("createBranch", kind)
    draft = lake.versions.draft("main", run="r")
    assert draft.base == lake.versions.resolve("main")
    assert lake.state.hidden == {"mldlc-run-r"}


def test_a_slow_merge_is_found_and_not_repeated(lake: Lake) -> None:
    """The load balancer cuts while the server works on: its merge is there before ours could be tried again."""
    draft = lake.drafted("r", {"a": b"1"})
    lake.versions.repository.client.read_timeout = 1.0
    waited = []

    def wait(seconds: float) -> None:
        import time

        waited.append(seconds)
        time.sleep(0.5)

    lake.versions.repository.client.sleep = wait
    lake.double.fail("mergeIntoBranch", "slow", seconds=1.3)
    merge = draft.publish("main", message="once")
    assert waited
    assert lake.history() == ["once"]
    assert merge.message == "once" and len(merge.parents) == 2


def test_a_server_that_stays_away_leaves_the_draft(lake: Lake) -> None:
    draft = lake.drafted("r", {"a": b"1"})
    lake.double.fail("mergeIntoBranch", "status", status=503, times=TRIES)
    with pytest.raises(Unavailable):
        draft.publish("main")
    assert lake.history() == []
    assert lake.versions.draft("main", run="r").publish("main").parents[1] == draft.head


def test_a_branch_that_moves_before_the_merge_is_looked_at_again(lake: Lake) -> None:
    lake.published("zero", {"in/a": b"0"})
    draft = lake.versions.draft("main", run="r")
    reads = {"in/": lake.versions.digest(draft.base, "in/")}
    draft.path("out").write_bytes(b"1")
    draft.commit("", {})
    other = lake.drafted("other", {"elsewhere": b"1"})
    lake.double.fail("getBranch", "before", action=lambda: other.publish("main"))
    merge = draft.publish("main", reads=reads)
    assert lake.history() == ["Publish r to main", "Publish other to main", "Publish zero to main"]
    assert merge.parents[0] == lake.versions.resolve("main~1")


def test_a_read_that_goes_stale_in_the_last_moment_is_undone_and_told(lake: Lake) -> None:
    """Between the last look and the merge somebody changes what was read: the merge is made, found out, reverted."""
    lake.published("zero", {"in/a": b"0"})
    draft = lake.versions.draft("main", run="r")
    reads = {"in/": lake.versions.digest(draft.base, "in/")}
    draft.path("out").write_bytes(b"made from what in/ was")
    draft.commit("", {})
    other = lake.drafted("other", {"in/a": b"1"})
    lake.double.fail("mergeIntoBranch", "before", action=lambda: other.publish("main"))
    with pytest.raises(StaleRead) as error:
        draft.publish("main", reads=reads)
    assert error.value.prefix == "in/"
    assert [entry.path for entry in lake.versions.entries("main")] == ["in/a"]
    assert lake.history()[0].startswith("Undo a merge on main")
    assert lake.history()[1:] == ["Publish r to main", "Publish other to main", "Publish zero to main"]
    assert lake.versions.resolve("mldlc-run-r") == draft.head, "and the draft is kept"


def test_a_harmless_move_in_the_last_moment_is_merged_over(lake: Lake) -> None:
    lake.published("zero", {"in/a": b"0"})
    draft = lake.versions.draft("main", run="r")
    reads = {"in/": lake.versions.digest(draft.base, "in/")}
    draft.path("out").write_bytes(b"1")
    draft.commit("", {})
    other = lake.drafted("other", {"elsewhere": b"1"})
    lake.double.fail("mergeIntoBranch", "before", action=lambda: other.publish("main"))
    merge = draft.publish("main", reads=reads)
    assert merge.parents == (lake.versions.resolve("main~1"), draft.head)
    assert lake.history() == ["Publish r to main", "Publish other to main", "Publish zero to main"]


def test_a_conflict_in_the_last_moment_is_one(lake: Lake) -> None:
    lake.published("zero", {"a": b"0"})
    draft = lake.drafted("r", {"a": b"mine"})
    other = lake.drafted("other", {"a": b"theirs"})
    lake.double.fail("mergeIntoBranch", "before", action=lambda: other.publish("main"))
    with pytest.raises(Conflict) as error:
        draft.publish("main")
    assert error.value.paths == ("a",)
    assert lake.history() == ["Publish other to main", "Publish zero to main"]


def test_the_same_published_by_another_in_the_last_moment_is_no_conflict(lake: Lake) -> None:
    draft = lake.drafted("r", {"a": b"same"})
    other = lake.drafted("other", {"a": b"same"})
    lake.double.fail("mergeIntoBranch", "before", action=lambda: other.publish("main"))
    draft.publish("main")
    assert [entry.path for entry in lake.versions.entries("main")] == ["a"]


def test_a_list_that_breaks_off_is_asked_for_again(lake: Lake) -> None:
    lake.published("r", {f"d/{number}": b"x" for number in range(20)})
    lake.double.operations.page = 6
    lake.double.fail("listObjects", "cut", skip=1, times=2)
    assert len(list(lake.versions.entries("main"))) == 20


def test_a_merge_without_changes_that_the_check_did_not_see(lake: Lake) -> None:
    """Somebody brings the whole draft to the branch between our check and our merge: the server says 400, we the head."""
    draft = lake.drafted("r", {"a": b"1"})
    commit = draft.head
    lake.double.fail("mergeIntoBranch", "before", action=lambda: lake.state.merge(commit, "main", "theirs", {}, ""))
    assert draft.publish("main").message == "theirs"
    assert lake.history() == ["theirs"]

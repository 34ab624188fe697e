"""Publishing: once, on what was read, against any number of others; and the same loop over a store without a CAS."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from pathlib import Path

import pytest

from mldlc.plan.versions import (
    Commit,
    Conflict,
    RefExists,
    RefNotFound,
    StaleRead,
    Strategy,
    VersionsError,
)
from mldlc.store.layout import open_store
from mldlc.store.verify import verify
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from mldlc.store.versions.publish import publish
from tests.store.versions.making import commit_on, contents
from tests.thorough import ALL

FORK = multiprocessing.get_context("fork")


def test_a_merge_carries_the_lineage_the_tag_and_drops_the_draft(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    made = draft.commit("train", {"mldlc.plan": "p1"})
    head = versions.resolve("main")
    merged = draft.publish("main", metadata={"mldlc.plan": "p1"}, message="Train", tag="v1")
    assert merged.parents == (head, made.id) and merged.message == "Train"
    assert merged.metadata == {"mldlc.plan": "p1", "mldlc.run": "r1"}
    assert versions.resolve("main") == versions.resolve("v1") == merged.id
    with pytest.raises(RefNotFound):
        versions.resolve("mldlc-run-r1")
    assert [c.id for c in versions.log("main", first_parent=True)] == [merged.id, head]
    assert verify(versions.store) == []


def test_the_same_run_publishes_once(versions: EmbeddedVersions) -> None:
    base = versions.resolve("main")
    commits = []
    for data in (b"1", b"made again, a little different"):
        draft = versions.draft(base, run="r1")
        draft.path("a").write_bytes(data)
        draft.commit("train", {})
        commits.append(draft.publish("main", tag="v1"))
        commit_on(versions, "main", {f"later {len(commits)}": b"x"})
    assert commits[0] == commits[1]
    assert contents(versions, "main")["a"] == b"1"
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"3")
    draft.commit("train", {})
    assert draft.publish("main") not in commits, "begun after it: a new piece of work"
    assert contents(versions, "main")["a"] == b"3"


def test_killed_between_the_merge_and_the_end(versions: EmbeddedVersions, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    draft.commit("train", {})
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(EmbeddedVersions, "tag", die)
        with pytest.raises(KeyboardInterrupt):
            draft.publish("main", tag="v1")
    merged = versions.resolve("main")
    again = versions.draft("main", run="r1")
    assert again.publish("main", tag="v1").id == merged == versions.resolve("main") == versions.resolve("v1")


def test_two_drafts_of_one_pipeline_run_are_both_published(versions: EmbeddedVersions) -> None:
    """A caller's own run id on both: neither passes for the other."""
    base = versions.resolve("main")
    for stage in ("prepare", "train"):
        draft = versions.draft(base, run=f"r1-{stage}")
        draft.path(stage).write_bytes(b"x")
        draft.commit(stage, {})
        assert draft.publish("main", metadata={"mldlc.run": "r1"}).metadata == {"mldlc.run": "r1"}
    assert set(contents(versions, "main")) == {"prepare", "train"}


def test_a_draft_that_changes_nothing_makes_no_commit(versions: EmbeddedVersions) -> None:
    head = commit_on(versions, "main", {"a": b"1"}).id
    empty = versions.draft("main", run="empty")
    assert empty.publish("main", tag="same").id == head == versions.resolve("same")
    base = versions.resolve("main~1")
    draft = versions.draft(base, run="equal")
    draft.path("a").write_bytes(b"1")
    draft.commit("what main has already", {})
    assert draft.publish("main", tag="same").id == head == versions.resolve("main"), "so a run can be run again"


def test_what_was_read_must_still_hold(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"in/a": b"1", "other/b": b"2"})
    reads = {"in/": versions.digest("main", "in/")}
    draft = versions.draft("main", run="r1")
    draft.path("out").write_bytes(b"made of in/")
    draft.commit("", {})
    commit_on(versions, "main", {"other/b": b"3"})
    head = commit_on(versions, "main", {"in/a": b"new"}).id
    with pytest.raises(StaleRead, match="in/ changed since it was read") as error:
        draft.publish("main", reads=reads)
    assert (error.value.seen, error.value.found) == (reads["in/"], versions.digest("main", "in/"))
    assert versions.resolve("main") == head and versions.resolve("mldlc-run-r1") == draft.head, "kept to look at"
    versions.revert("main", "main")
    assert draft.publish("main", reads=reads).parents[1] == draft.head
    assert contents(versions, "main") == {"in/a": b"1", "other/b": b"3", "out": b"made of in/"}


@pytest.mark.parametrize(("strategy", "expected"), [("source-wins", b"ours"), ("dest-wins", b"theirs")])
def test_conflicts_name_their_paths(versions: EmbeddedVersions, strategy: Strategy, expected: bytes) -> None:
    commit_on(versions, "main", {"a": b"1", "b": b"1"})
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"ours")
    draft.path("new").write_bytes(b"n")
    draft.commit("", {})
    head = commit_on(versions, "main", {"a": b"theirs", "b": b"2"}).id
    with pytest.raises(Conflict, match=r"both sides changed a$") as error:
        draft.publish("main")
    assert error.value.paths == ("a",) and versions.resolve("main") == head
    draft.publish("main", strategy=strategy)
    assert contents(versions, "main") == {"a": expected, "b": b"2", "new": b"n"}


def test_what_was_not_committed_is_not_forgotten(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    with pytest.raises(VersionsError, match="has uncommitted changes"):
        draft.publish("main")
    draft.commit("", {})
    draft.publish("main")


def test_a_tag_that_is_there_is_told_before_the_merge(versions: EmbeddedVersions) -> None:
    versions.tag("v1", "main")
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    draft.commit("", {})
    with pytest.raises(RefExists, match="v1"):
        draft.publish("main", tag="v1")
    assert versions.commit("main").parents == ()


def test_an_unknown_branch_keeps_the_draft(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    draft.commit("", {})
    with pytest.raises(RefNotFound, match="did you mean 'main'"):
        draft.publish("mian")
    draft.publish("main")


class Moving(EmbeddedVersions):
    """Somebody publishes right before each of the first merges; `blind`: the store merges all the same, as lakeFS."""

    def __init__(self, store: object, others: list[dict[str, bytes | None]], blind: bool) -> None:
        super().__init__(store, committer="x")  # type: ignore[arg-type]
        self.others, self.blind = others, blind

    def merge_seen(
        self, source: str, into: str, seen: str, *, message: str, metadata: Mapping[str, str], strategy: Strategy
    ) -> Commit | None:
        if self.others:
            commit_on(open_versions(self.store), into, self.others.pop(0))
            seen = self.resolve(into) if self.blind else seen
        return super().merge_seen(source, into, seen, message=message, metadata=metadata, strategy=strategy)


def _publish_against(
    versions: EmbeddedVersions, others: list[dict[str, bytes | None]], blind: bool
) -> tuple[EmbeddedVersions, Commit]:
    commit_on(versions, "main", {"in/a": b"1"})
    reads = {"in/": versions.digest("main", "in/")}
    draft = versions.draft("main", run="r1")
    draft.path("out").write_bytes(b"o")
    draft.commit("", {})
    moving = Moving(versions.store, others, blind)
    options = {"reads": reads, "metadata": {}, "message": "", "strategy": "none", "tag": ""}
    return moving, publish(moving, draft.head, "main", base=draft.base, run="r1", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("blind", [False, True])
def test_a_branch_that_moves_elsewhere_is_merged_again(versions: EmbeddedVersions, blind: bool) -> None:
    others: list[dict[str, bytes | None]] = [{"x": b"1"}, {"y": b"1"}]
    _publish_against(versions, others, blind)
    expected = {"in/a", "out", "x"} if blind else {"in/a", "out", "x", "y"}
    assert set(contents(versions, "main")) == expected


@pytest.mark.parametrize("blind", [False, True])
def test_a_read_that_moves_in_the_last_moment_is_stale_and_undone(versions: EmbeddedVersions, blind: bool) -> None:
    with pytest.raises(StaleRead):
        _publish_against(versions, [{"in/a": b"2"}], blind)
    assert contents(versions, "main") == {"in/a": b"2"}
    messages = [commit.message for commit in versions.log("main", first_parent=True)]
    assert messages[0].startswith("Undo a merge on main: in/ changed") == blind


def _publisher(root: Path, writer: int, rounds: int) -> None:
    versions = open_versions(open_store(root))
    for round in range(rounds):
        draft = versions.draft("main", run=f"w{writer}-{round}")
        draft.path(f"w{writer}/{round}").write_bytes(f"{writer} {round}".encode())
        draft.path("shared").write_bytes(b"all write the same")
        draft.commit(f"{writer} {round}", {})
        draft.publish("main", strategy="source-wins", tag=f"t{writer}-{round}" if round % 10 == 0 else "")


def test_no_commit_of_eight_processes_is_lost(tmp_path: Path) -> None:
    rounds = 50 if ALL else 8
    children = [FORK.Process(target=_publisher, args=(tmp_path, writer, rounds)) for writer in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    versions = open_versions(open_store(tmp_path))
    found = contents(versions, "main")
    assert found.pop("shared") == b"all write the same"
    assert found == {f"w{w}/{r}": f"{w} {r}".encode() for w in range(8) for r in range(rounds)}
    merges = [commit for commit in versions.log("main", first_parent=True) if len(commit.parents) == 2]
    assert sorted(commit.metadata["mldlc.run"] for commit in merges) == sorted(
        f"w{w}-{r}" for w in range(8) for r in range(rounds)
    )
    assert len(versions.tags()) == 8 * -(-rounds // 10)
    assert verify(versions.store) == []


def _remake(root: Path, rounds: int) -> None:
    versions = open_versions(open_store(root))
    for _ in range(rounds):
        versions.delete_branch("exp")
        versions.branch("exp", "main")


def _publish_on_exp(root: Path, writer: int, rounds: int, result: object) -> None:
    versions = open_versions(open_store(root))
    done = []
    for round in range(rounds):
        draft = versions.draft("main", run=f"w{writer}-{round}")
        draft.path(f"w{writer}/{round}").write_bytes(b"x")
        draft.commit("", {})
        while True:
            try:
                done.append(draft.publish("exp").id)
                break
            except RefNotFound:
                continue  # deleted in this moment
    result.put((writer, done))  # type: ignore[attr-defined]


def test_a_branch_that_is_deleted_and_made_again_loses_nothing_and_resurrects_nothing(tmp_path: Path) -> None:
    """Every publish that returned was the head's history at that time; nothing of a deleted branch is in a later one."""
    versions = open_versions(open_store(tmp_path))
    versions.branch("exp", "main")
    result = FORK.Queue()
    rounds = 40 if ALL else 12
    children = [FORK.Process(target=_publish_on_exp, args=(tmp_path, writer, rounds, result)) for writer in range(3)]
    children.append(FORK.Process(target=_remake, args=(tmp_path, 2 * rounds)))
    for child in children:
        child.start()
    done = {id for _ in range(3) for id in result.get()[1]}
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4 and len(done) == 3 * rounds
    folder = tmp_path / "store" / "heads" / "exp"
    root = versions.resolve("main")
    life: list[str] = []
    seen = set()
    for path in sorted(folder.iterdir()):
        id = path.read_text()
        if id == "deleted":
            life = []
            continue
        commit = versions.commit(id)
        assert (id == root) if not life else (commit.parents[0] == life[-1]), "a head that does not go on from the last"
        life.append(id)
        seen.add(id)
    assert done <= seen, "a publish that returned is in no life of the branch"
    assert verify(versions.store) == []

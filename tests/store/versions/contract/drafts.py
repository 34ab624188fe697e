"""What a run writes, and how it becomes visible."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mldlc.plan.versions import (
    Conflict,
    Entry,
    InvalidName,
    InvalidPath,
    NothingToCommit,
    RefExists,
    RefNotFound,
    StaleRead,
    Versions,
    VersionsError,
)
from mldlc.store.hashing import hash_bytes
from tests.store.versions.contract.making import begin, contents, publish, write


class DraftContract:
    """What a run writes, and how it becomes visible."""

    def test_all_ways_into_a_draft(self, versions: Versions, tmp_path: Path) -> None:
        publish(versions, {"old/a": b"1", "old/b": b"1", "older": b"1", "gone": b"1"})
        for name in ("one", "two", "three"):
            (tmp_path / name).write_text(name)
        draft = begin(versions)
        assert draft.base == versions.resolve("main")
        draft.path("deep/er/four").write_text("four")
        digest = hash_bytes(b"one")
        assert draft.put("one", tmp_path / "one", digest=digest, media="text/plain") == Entry(
            "one", digest, 3, "text/plain"
        )
        put = draft.put_many({"two": tmp_path / "two", "x/three": tmp_path / "three"})
        assert put == [Entry("two", hash_bytes(b"two"), 3), Entry("x/three", hash_bytes(b"three"), 5)]
        draft.remove("old/")
        draft.remove("gone")
        draft.remove("was/never/there")
        commit = draft.commit("all ways", {"k": "v"})
        assert (commit.message, commit.metadata, commit.parents) == ("all ways", {"k": "v"}, (draft.base,))
        assert contents(versions, commit.id) == {
            "deep/er/four": b"four",
            "older": b"1",
            "one": b"one",
            "two": b"two",
            "x/three": b"three",
        }
        assert versions.entry(commit.id, "one").media == "text/plain"
        assert (tmp_path / "one").read_text() == "one"

    def test_the_last_word_on_a_path_counts(self, versions: Versions, tmp_path: Path) -> None:
        publish(versions, {"a": b"0", "b": b"0", "c": b"0", "d/e": b"0"})
        (tmp_path / "file").write_bytes(b"put")
        draft = begin(versions)
        draft.path("a").write_bytes(b"written")
        draft.remove("a")
        draft.remove("b")
        draft.put("b", tmp_path / "file")
        draft.path("c").write_bytes(b"written")
        draft.put("c", tmp_path / "file")
        draft.put("d/e", tmp_path / "file")
        draft.path("d/f").write_bytes(b"written")
        draft.remove("d/")
        draft.commit("", {})
        draft.publish("main")
        assert contents(versions, "main") == {"b": b"put", "c": b"put"}

    def test_what_cannot_be_put(self, versions: Versions, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        draft = begin(versions)
        for name in ("", "/a", "a//b", "a/../b", "a/", "./a", "x" * 1025):
            with pytest.raises(InvalidPath):
                draft.put(name, tmp_path / "file")
            with pytest.raises(InvalidPath):
                draft.path(name)
        with pytest.raises(VersionsError, match="absent"):
            draft.put("a", tmp_path / "absent")
        with pytest.raises(VersionsError):
            draft.put("a", tmp_path)
        with pytest.raises(VersionsError, match="digest"):
            draft.put("a", tmp_path / "file", digest="0" * 64)
        with pytest.raises(NothingToCommit):
            draft.commit("nothing of that", {})

    def test_an_empty_commit_is_meant_or_refused(self, versions: Versions) -> None:
        publish(versions, {"a": b"1"})
        draft = begin(versions)
        draft.path("a").write_bytes(b"1")
        with pytest.raises(NothingToCommit):
            draft.commit("the same again", {})
        commit = draft.commit("meant", {}, allow_empty=True)
        assert commit.tree == versions.commit("main").tree
        assert commit.id != draft.base

    def test_metadata_is_text(self, versions: Versions) -> None:
        draft = begin(versions)
        draft.path("a").write_bytes(b"1")
        with pytest.raises(VersionsError, match="n"):
            draft.commit("", {"n": 1})  # type: ignore[dict-item]
        assert draft.commit("", {"n": "1"}).metadata == {"n": "1"}

    def test_a_draft_is_readable_and_on_no_list(self, versions: Versions) -> None:
        draft = versions.draft("main", run="hidden")
        draft.path("a").write_bytes(b"1")
        commit = draft.commit("", {})
        assert versions.resolve("mldlc-run-hidden") == commit.id
        assert list(versions.branches()) == ["main"]
        assert list(versions.entries("main")) == []
        draft.abandon()
        draft.abandon()
        with pytest.raises(RefNotFound):
            versions.resolve("mldlc-run-hidden")
        with pytest.raises(InvalidName):
            versions.draft("main", run="a/b")

    def test_an_unfinished_draft_is_continued_from_its_last_commit(self, versions: Versions, tmp_path: Path) -> None:
        (tmp_path / "half").write_bytes(b"half a file")
        base = publish(versions, {"a": b"0"})
        draft = versions.draft("main", run="again")
        draft.path("one").write_bytes(b"1")
        first = draft.commit("one", {})
        draft.put("half", tmp_path / "half")
        draft.path("quarter").write_bytes(b"1/4")
        publish(versions, {"b": b"0"})
        continued = versions.draft("main", run="again")
        assert continued.base == base.id
        continued.path("two").write_bytes(b"2")
        second = continued.commit("two", {})
        assert second.parents == (first.id,)
        assert set(contents(versions, second.id)) == {"a", "one", "two"}
        continued.publish("main")
        assert set(contents(versions, "main")) == {"a", "b", "one", "two"}

    def test_publishing_merges_tags_and_drops_the_draft(self, versions: Versions) -> None:
        before = publish(versions, {"a": b"0"})
        draft = versions.draft("main", run="r1")
        draft.path("b").write_bytes(b"1")
        commit = draft.commit("write b", {"mldlc.plan": "p"})
        merge = draft.publish("main", metadata={"mldlc.plan": "p"}, message="take b", tag="v1")
        assert merge.parents == (before.id, commit.id)
        assert merge.message == "take b"
        assert merge.metadata == {"mldlc.plan": "p", "mldlc.run": "r1"}
        assert versions.tags() == {"v1": merge.id}
        with pytest.raises(RefNotFound):
            versions.resolve("mldlc-run-r1")
        with pytest.raises(VersionsError, match="closed"):
            draft.path("c")
        with pytest.raises(VersionsError, match="closed"):
            draft.commit("", {})

    def test_publishing_again_gives_the_same_merge(self, versions: Versions) -> None:
        draft = versions.draft("main", run="twice")
        draft.path("a").write_bytes(b"1")
        draft.commit("a", {})
        base = draft.base
        merge = draft.publish("main")
        after = publish(versions, {"b": b"1"})
        again = versions.draft(base, run="twice")
        assert again.publish("main") == merge
        assert versions.commit("main") == after

    def test_what_is_not_committed_is_not_published(self, versions: Versions, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        publish(versions, {"there": b"1"})
        for pending in ("put", "path", "remove"):
            draft = begin(versions)
            draft.path("a").write_text(pending)
            draft.commit("a", {})
            if pending == "put":
                draft.put("by put", tmp_path / "file")
            elif pending == "path":
                draft.path("by path").write_bytes(b"x")
            else:
                draft.remove("there")
            with pytest.raises(VersionsError, match="commit"):
                draft.publish("main")
            draft.commit("b", {})
            draft.publish("main")
        assert set(contents(versions, "main")) == {"a", "by path", "by put"}

    def test_a_draft_that_changes_nothing_publishes_the_head(self, versions: Versions) -> None:
        draft = begin(versions)
        head = publish(versions, {"a": b"1"})
        draft.path("a").write_bytes(b"1")
        draft.commit("the same", {})
        assert draft.publish("main").tree == head.tree
        assert begin(versions).publish("main").tree == head.tree

    def test_a_stale_read_is_not_merged(self, versions: Versions) -> None:
        publish(versions, {"in/a": b"0", "other": b"0"})
        draft = versions.draft("main", run="stale")
        reads = {"in/": versions.digest(draft.base, "in/"), "": versions.digest(draft.base)}
        draft.path("out").write_bytes(b"1")
        draft.commit("out", {})
        head = publish(versions, {"other": b"1"})
        with pytest.raises(StaleRead) as error:
            draft.publish("main", reads=reads)
        assert error.value.prefix == ""
        assert error.value.seen == reads[""] and error.value.found == versions.digest("main")
        assert versions.commit("main") == head
        draft.publish("main", reads={"in/": reads["in/"]})
        assert set(contents(versions, "main")) == {"in/a", "other", "out"}

    def test_a_conflict_keeps_the_draft(self, versions: Versions) -> None:
        publish(versions, {"a": b"0", "b": b"0"})
        draft = versions.draft("main", run="clash")
        write(draft, {"a": b"draft", "b": None, "c": b"draft"})
        commit = draft.commit("mine", {})
        head = publish(versions, {"a": b"main", "b": b"main"})
        with pytest.raises(Conflict) as error:
            draft.publish("main")
        assert error.value.paths == ("a", "b")
        assert versions.commit("main") == head
        assert versions.resolve("mldlc-run-clash") == commit.id
        draft.publish("main", strategy="source-wins")
        assert contents(versions, "main") == {"a": b"draft", "c": b"draft"}

    def test_a_tag_that_is_there_stops_publishing_before_the_merge(self, versions: Versions) -> None:
        head = publish(versions, {"a": b"0"})
        versions.tag("v1", "main")
        draft = begin(versions)
        draft.path("b").write_bytes(b"1")
        draft.commit("b", {})
        with pytest.raises(RefExists):
            draft.publish("main", tag="v1")
        assert versions.commit("main") == head

    def test_runs_publish_at_the_same_time(self, versions: Versions) -> None:
        def one(number: int) -> None:
            draft = versions.draft("main", run=f"parallel-{number}")
            for part in range(3):
                draft.path(f"r{number}/{part}").write_bytes(b"%d" % part)
            draft.commit("", {})
            try:
                draft.publish("main", reads={f"r{number}/": versions.digest(draft.base, f"r{number}/")})
            except BaseException as error:
                errors.append(error)

        errors: list[BaseException] = []
        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(list(versions.entries("main"))) == 12
        assert len(list(versions.log("main", first_parent=True))) == 5

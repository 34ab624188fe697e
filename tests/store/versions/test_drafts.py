"""Drafts: what is written, put and removed becomes one commit; what was not committed is never mistaken for data."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mldlc.plan.versions import DataExpired, InvalidName, InvalidPath, NothingToCommit, RefNotFound, VersionsError
from mldlc.store.gc import DAY
from mldlc.store.hashing import hash_bytes
from mldlc.store.objects import put_bytes
from mldlc.store.verify import verify
from mldlc.store.versions import drafts
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from tests.store.making import age
from tests.store.versions.making import commit_on, contents

FORK = multiprocessing.get_context("fork")


def outside(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / "outside" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_written_put_and_linked_files_are_one_commit(versions: EmbeddedVersions, tmp_path: Path) -> None:
    draft = versions.draft("main", run="r1")
    written = draft.path("out/deep/a.bin")
    written.write_bytes(b"written")
    inode = written.stat().st_ino
    entry = draft.put("in/b.csv", outside(tmp_path, "b.csv", b"put"), media="text/csv")
    digest = put_bytes(versions.store, b"step output")
    linked = draft.link("model/c.bin", digest, 11)
    many = draft.put_many({f"m/{n}": outside(tmp_path, str(n), str(n).encode()) for n in range(5)})
    commit = draft.commit("all", {"k": "v"})
    assert (entry.digest, entry.size, entry.media) == (hash_bytes(b"put"), 3, "text/csv")
    assert versions.entry(commit.id, "in/b.csv") == entry and versions.entry(commit.id, "model/c.bin") == linked
    assert [e.path for e in many] == [f"m/{n}" for n in range(5)]
    assert contents(versions, commit.id) == {
        "out/deep/a.bin": b"written",
        "in/b.csv": b"put",
        "model/c.bin": b"step output",
        **{f"m/{n}": str(n).encode() for n in range(5)},
    }
    assert versions.store.object(hash_bytes(b"written")).stat().st_ino == inode, "moved, not copied"
    assert (commit.parents, commit.metadata, commit.message) == ((draft.base,), {"k": "v"}, "all")
    assert versions.resolve("mldlc-run-r1") == commit.id and versions.resolve("main") == draft.base
    assert verify(versions.store) == []


def test_the_last_word_on_a_path_counts(versions: EmbeddedVersions, tmp_path: Path) -> None:
    commit_on(versions, "main", {"d/old": b"old", "keep": b"keep", "gone": b"gone"})
    draft = versions.draft("main", run="r1")
    draft.path("twice").write_bytes(b"written first")
    draft.put("twice", outside(tmp_path, "x", b"put last"))
    draft.put("other", outside(tmp_path, "y", b"put first"))
    draft.path("other").write_bytes(b"written last")
    draft.path("d/early").write_bytes(b"early")
    draft.put("d/put", outside(tmp_path, "z", b"z"))
    draft.remove("d/")
    draft.path("d/late").write_bytes(b"late")
    draft.remove("gone")
    draft.remove("never there")
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1") == {
        "twice": b"put last",
        "other": b"written last",
        "d/late": b"late",
        "keep": b"keep",
    }
    draft.put("gone", outside(tmp_path, "g", b"back"))
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1")["gone"] == b"back"


def test_a_commit_without_a_change(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"a": b"1"})
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"1")
    with pytest.raises(NothingToCommit, match="run 'r1' changes nothing"):
        draft.commit("same", {})
    assert draft.head == draft.base
    empty = draft.commit("on purpose", {"note": "x"}, allow_empty=True)
    assert empty.parents == (draft.base,) and empty.tree == versions.commit("main").tree
    assert verify(versions.store) == []


def test_a_known_digest_moves_nothing(versions: EmbeddedVersions, tmp_path: Path) -> None:
    digest = put_bytes(versions.store, b"known")
    draft = versions.draft("main", run="r1")
    entry = draft.put("a", tmp_path / "never/made", digest=digest)
    assert (entry.digest, entry.size) == (digest, 5)
    source = outside(tmp_path, "new", b"new bytes")
    assert draft.put("b", source, digest=hash_bytes(b"new bytes")).size == 9, "not there yet: taken"
    with pytest.raises(VersionsError, match=f"has digest {hash_bytes(b'new bytes')}, not {'ab' * 32}"):
        draft.put("c", source, digest="ab" * 32)
    with pytest.raises(VersionsError, match="has 5 bytes, not 6"):
        draft.link("d", digest, 6)
    with pytest.raises(VersionsError, match="no object"):
        draft.link("d", "ab" * 32, 6)
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1") == {"a": b"known", "b": b"new bytes"}


@pytest.mark.parametrize("count", [20, 100])
def test_a_file_that_has_not_changed_is_not_read_again(
    versions: EmbeddedVersions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    files = {f"{n}": outside(tmp_path, f"{n}", b"x" * n) for n in range(count)}
    age(tmp_path / "outside", 100)
    draft = versions.draft("main", run="r1")
    first = draft.put_many(files)
    draft.commit("", {})
    read: list[str] = []
    real = drafts.take_copy
    monkeypatch.setattr(
        drafts, "take_copy", lambda store, source, target: (read.append(source), real(store, source, target))[1]
    )
    files["3"].write_bytes(b"new")
    again = draft.put_many(files)
    assert read == [str(files["3"])]
    assert [e for e in again if e.path != "3"] == [e for e in first if e.path != "3"]
    versions.store.object(first[7].digest).unlink()
    assert draft.put_many(files)[7] == first[7] and read[-1] == str(files["7"]), "its object is gone: read again"
    draft.commit("", {})
    assert len(contents(versions, draft.head)) == count and verify(versions.store) == []


def test_a_file_that_shares_its_bytes_is_read_again_only_when_it_was_written(
    versions: EmbeddedVersions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times are those of the moment it was taken: too fresh for `known`, and moved by every new name."""
    files = {f"{n}": outside(tmp_path, f"{n}", b"x" * (n + 1)) for n in range(100)}
    draft = versions.draft("main", run="r1")
    first = draft.put_many(files, take=True)
    draft.commit("", {})
    read: list[str] = []
    real = drafts.take_link
    monkeypatch.setattr(
        drafts, "take_link", lambda store, source, target: (read.append(source), real(store, source, target))[1]
    )
    assert draft.put_many(files, take=True) == first and read == []
    files["3"].unlink()
    files["3"].write_bytes(b"new")  # as a tool that writes files anew
    files["7"].chmod(0o644)
    with files["7"].open("r+b") as file:  # into the object: what `verify` names, and what is no longer the same file
        file.write(b"new")
    draft.put_many(files, take=True)
    assert read == [str(files["3"]), str(files["7"])]


@pytest.mark.parametrize("name", ["/a", "a//b", "../a", "a/./b", "", "a/"])
def test_paths_stay_inside(versions: EmbeddedVersions, tmp_path: Path, name: str) -> None:
    draft = versions.draft("main", run="r1")
    source = outside(tmp_path, "x", b"x")
    for call in (lambda: draft.path(name), lambda: draft.put(name, source), lambda: draft.put_many({name: source})):
        with pytest.raises(InvalidPath):
            call()
    if not name.endswith("/") or name == "/":
        with pytest.raises(InvalidPath):
            draft.remove(name)


def test_a_path_that_is_a_folder_cannot_be_written_but_put(versions: EmbeddedVersions, tmp_path: Path) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a/b").write_bytes(b"1")
    with pytest.raises(VersionsError, match=r"cannot write 'a' in a draft.*use `put`"):
        draft.path("a")
    with pytest.raises(VersionsError, match="cannot write 'a/b/c'"):
        draft.path("a/b/c")
    draft.put("a", outside(tmp_path, "x", b"2"))
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1") == {"a": b"2", "a/b": b"1"}


@pytest.mark.parametrize("run", ["", "a/b", "-x", "a b", "ü", "a" * 201, "ab" * 32])
def test_run_names_are_checked(versions: EmbeddedVersions, run: str) -> None:
    with pytest.raises(InvalidName, match="run "):
        versions.draft("main", run=run)


def test_links_and_devices_in_a_draft_are_refused(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("ok").write_bytes(b"1")
    draft.path("link").symlink_to("/etc/passwd")
    with pytest.raises(VersionsError, match="link in the draft is not a regular file"):
        draft.commit("", {})
    draft.path("link").unlink()
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1") == {"ok": b"1"}


def test_another_object_goes_on_from_the_last_commit(versions: EmbeddedVersions, tmp_path: Path) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"committed")
    commit = draft.commit("one", {})
    draft.path("half").write_bytes(b"hal")
    draft.put("b", outside(tmp_path, "b", b"not committed"))
    commit_on(versions, "main", {"m": b"main moved"})
    again = versions.draft("main", run="r1")
    assert (again.base, again.head) == (draft.base, commit.id), "the base stays what it was"
    with pytest.raises(VersionsError, match="closed"):
        draft.path("a")
    with pytest.raises(NothingToCommit):
        again.commit("nothing is left of what was not committed", {})
    again.path("c").write_bytes(b"c")
    again.commit("two", {})
    assert contents(versions, "mldlc-run-r1") == {"a": b"committed", "c": b"c"}


def test_the_object_that_was_taken_over_from_may_go(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft = versions.draft("main", run="r1")
    gc.collect()
    draft.path("a").write_bytes(b"1")
    draft.commit("", {})
    del draft
    gc.collect()
    assert not [path for path in versions.store.leases.iterdir() if path.is_file()], "nobody holds it any more"
    assert versions.draft("main", run="r1").publish("main").parents


def test_a_base_that_is_collected_in_this_moment_leaves_no_draft(
    versions: EmbeddedVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = commit_on(versions, "main", {"a": b"1"})
    path = versions.commits.path(commit.id)
    with monkeypatch.context() as patch:
        patch.setattr(drafts, "sync_folders", lambda _: path.with_name(path.name + ".expired").touch())
        with pytest.raises(DataExpired):
            versions.draft("main", run="r1")
    assert versions.draft("main~1", run="r1").base == commit.parents[0]


def _hold(versions: EmbeddedVersions, ready: object, stop: object) -> None:
    draft = open_versions(versions.store).draft("main", run="r1")
    draft.path("theirs").write_bytes(b"x")
    draft.commit("theirs", {})
    ready.set()
    stop.wait()


def test_a_draft_that_a_live_process_writes_is_not_taken(versions: EmbeddedVersions) -> None:
    ready, stop = FORK.Event(), FORK.Event()
    child = FORK.Process(target=_hold, args=(versions, ready, stop))
    child.start()
    ready.wait()
    with pytest.raises(VersionsError, match=f"'r1' is being written by process {child.pid} on {os.uname().nodename}"):
        versions.draft("main", run="r1")
    assert contents(versions, "mldlc-run-r1") == {"theirs": b"x"}, "anybody may read it"
    child.kill()
    child.join()
    draft = versions.draft("main", run="r1")
    assert contents(versions, draft.head) == {"theirs": b"x"}


def test_abandon_leaves_nothing(versions: EmbeddedVersions) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"x")
    draft.commit("", {})
    draft.abandon()
    draft.abandon()
    with pytest.raises(RefNotFound):
        versions.resolve("mldlc-run-r1")
    with pytest.raises(VersionsError, match="closed"):
        draft.commit("", {})
    assert not list((versions.store.root / "drafts").iterdir()) and not list(versions.store.work.iterdir())
    assert not list(versions.store.leases.iterdir())
    assert versions.draft("main", run="r1").head == versions.resolve("main")


def test_a_commit_that_fails_can_be_tried_again(
    versions: EmbeddedVersions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = versions.draft("main", run="r1")
    draft.path("a").write_bytes(b"a")
    draft.put("b", outside(tmp_path, "b", b"b"))
    with monkeypatch.context() as patch:

        def full(*_: object, **__: object) -> str:
            raise OSError(28, "No space left on device")

        patch.setattr(drafts, "apply_changes", full)
        with pytest.raises(OSError, match="No space"):
            draft.commit("", {})
    draft.commit("", {})
    assert contents(versions, "mldlc-run-r1") == {"a": b"a", "b": b"b"}


def test_a_damaged_draft_is_named(versions: EmbeddedVersions) -> None:
    versions.draft("main", run="r1")
    path = versions.store.root / "drafts" / "r1" / "draft.json"
    path.write_text("{")
    with pytest.raises(VersionsError, match=f"{path} is damaged"):
        versions.draft("main", run="r1")
    (problem,) = verify(versions.store)
    assert problem.kind == "damaged" and "r1" in str(problem)


def test_a_draft_keeps_the_modes_of_time_out(versions: EmbeddedVersions, tmp_path: Path) -> None:
    """Old times and odd modes of what was written do not enter the object."""
    draft = versions.draft("main", run="r1")
    path = draft.path("a")
    path.write_bytes(b"a")
    path.chmod(0o600)
    os.utime(path, (1, 1))
    draft.commit("", {})
    info = versions.store.object(hash_bytes(b"a")).stat()
    assert info.st_mode & 0o777 == 0o444 and time.time() - info.st_mtime < DAY

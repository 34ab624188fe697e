"""Verification of versions: one flipped bit anywhere is found, named, and says what it spoils."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import Store
from mldlc.store.verify import verify
from mldlc.store.versions.embedded import EmbeddedVersions
from tests.store.test_verify import flip
from tests.store.versions.making import commit_on, versions_in


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedVersions:
    """Two branches, a tag, a draft, a deleted branch, a merge, an expired commit."""
    versions = versions_in(tmp_path_factory.mktemp("history"))
    commit_on(versions, "main", {"raw/a.csv": b"a,b\n1,2\n", "raw/b.csv": b"shared"})
    versions.branch("exp", "main")
    commit_on(versions, "exp", {"model.bin": bytes(range(200))})
    commit_on(versions, "main", {"raw/c.csv": b"c"})
    versions.merge("exp", "main")
    versions.tag("v1.0", "main")
    versions.branch("gone", "main")
    versions.delete_branch("gone")
    draft = versions.draft("exp", run="live")
    draft.path("d").write_bytes(b"in the draft")
    draft.commit("", {})
    return versions


def sound_files(store: Store) -> list[Path]:
    """Every file but leases and what only says who writes a draft."""
    files = sorted(path for path in store.root.rglob("*") if path.is_file())
    return [path for path in files if path.parent.name != "leases" and path.name != "draft.json"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_flipped_bit_is_found_and_named(history: EmbeddedVersions, data: st.DataObject) -> None:
    store = history.store
    path = data.draw(st.sampled_from(sound_files(store)))
    kept = path.read_bytes()
    flip(path, data.draw(st.integers(0, len(kept) - 1)))
    try:
        problems = verify(store)
        assert path in {problem.path for problem in problems}, f"{path}: {problems}"
        assert all(problem.kind == "damaged" for problem in problems if problem.path == path)
    finally:
        path.chmod(0o644)
        path.write_bytes(kept)
        path.chmod(0o444)


def test_every_file_is_missed_when_it_is_gone(history: EmbeddedVersions) -> None:
    store = history.store
    assert verify(store) == []
    found = set()
    for path in sound_files(store):
        kind = path.relative_to(store.root).parts[0]
        if kind in ("tags", "format.json", "heads", "cache"):
            continue  # a ref that is gone was perhaps removed; the cache may go
        kept = path.read_bytes()
        path.unlink()
        problems = verify(store)
        path.write_bytes(kept)
        path.chmod(0o444)
        if kind == "drafts":
            continue  # then the draft is at its base
        assert problems, path
        found.add(kind)
        if kind != "commits":
            assert path in {problem.path for problem in problems}
    assert found == {"objects", "ranges", "trees", "commits"}
    assert verify(store) == []


def test_a_problem_says_which_files_of_which_refs_it_spoils(history: EmbeddedVersions) -> None:
    path = history.store.object(hash_bytes(b"in the draft"))
    kept = path.read_bytes()
    flip(path, 3)
    (problem,) = verify(history.store)
    assert problem.places == ("mldlc-run-live:d",) and "spoils mldlc-run-live:d" in str(problem)
    path.chmod(0o644)
    path.write_bytes(kept[:-1])
    found = verify(history.store)
    assert {problem.path for problem in found} == {path} and len(found) == 1
    path.write_bytes(kept)
    path.chmod(0o444)
    shared = history.store.object(hash_bytes(b"shared"))
    data = shared.read_bytes()
    shared.unlink()
    (problem,) = verify(history.store)
    assert (problem.kind, problem.expected, problem.found) == ("missing", "6 bytes", "no file")
    assert any(place.endswith(":raw/b.csv") for place in problem.places)
    shared.write_bytes(data)
    assert verify(history.store) == []


@pytest.mark.parametrize("place", ["commits/ab/x", "trees/ab/y", "ranges/stray", "heads/main/notes", "heads/note"])
def test_strays_are_told(history: EmbeddedVersions, place: str) -> None:
    path = history.store.root / place
    made = not path.parent.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    (problem,) = verify(history.store)
    assert (problem.kind, problem.path) == ("stray", path)
    path.unlink()
    if made:
        path.parent.rmdir()
    assert verify(history.store) == []


def test_a_tag_cannot_say_that_it_is_deleted(history: EmbeddedVersions) -> None:
    path = history.store.root / "tags" / "odd"
    path.write_text("deleted")
    (problem,) = verify(history.store)
    assert (problem.kind, problem.path) == ("damaged", path)
    path.unlink()


def test_expired_data_is_no_problem(tmp_path: Path) -> None:
    from mldlc.store.gc import DAY
    from tests.store.making import age

    versions = versions_in(tmp_path)
    for n in range(4):
        commit_on(versions, "main", {"a": bytes([n]), f"{n}": b"x%d" % n})
    age(versions.store.root, 100 * DAY)
    assert versions.gc(keep_commits=1).expired > 2
    assert verify(versions.store) == []
    assert versions.verify() == []

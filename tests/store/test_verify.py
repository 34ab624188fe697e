"""Verification finds every damage and says whom it hurts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.store.layout import Store
from mldlc.store.objects import put_bytes, tree_files
from mldlc.store.records import write_record
from mldlc.store.verify import verify
from tests.store.making import commit, put


def flip(path: Path, place: int) -> None:
    """Flip one bit of a file in place, as a bad disk does; size and mtime stay."""
    info = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(0o444)


def test_a_sound_store_has_no_problem_and_is_read_whole(store: Store) -> None:
    commit(store, "train", {f"f{n}": bytes([n % 256, n // 256]) for n in range(600)})
    put_bytes(store, b"nobody's")
    seen: list[tuple[int, int]] = []
    assert verify(store, lambda done, total: seen.append((done, total))) == []
    assert seen == [(256, 602), (512, 602), (602, 602)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 5000))
def test_one_flipped_bit_is_found_and_named(store: Store, place: int) -> None:
    train = commit(store, "train", {"weights": bytes(range(256)) * 20, "info": b"shared"})
    other = commit(store, "tune", {"info": b"shared", "w": bytes(range(256)) * 20})
    path = tree_files(store, train.outputs["out"].digest)["weights"]
    flip(path, place)
    (problem,) = verify(store)
    assert (problem.kind, problem.path.name) == ("damaged", path.name)
    assert problem.expected == path.parent.name + path.name != problem.found
    assert problem.stages == ("train", "tune")
    assert set(problem.records) == {train.key, other.key}
    assert str(path) in str(problem) and "spoils train, tune" in str(problem)
    path.unlink()
    assert [p.kind for p in verify(store)] == ["missing"]
    commit(store, "train", {"weights": bytes(range(256)) * 20, "info": b"shared"})
    assert verify(store) == [], "as the hint says: remove it, and the step makes it again"


def test_a_damaged_tree_is_found(store: Store) -> None:
    record = commit(store, "train", {"a": b"x"})
    flip(store.object(record.outputs["out"].digest), 12)
    (problem,) = verify(store)
    assert (problem.kind, problem.stages) == ("damaged", ("train",))


def test_a_cut_file_and_a_missing_one(store: Store) -> None:
    record = commit(store, "train", {"a": b"hello", "b": b"world!"})
    files = tree_files(store, record.outputs["out"].digest)
    files["a"].chmod(0o644)
    files["a"].write_bytes(b"hell")
    files["b"].unlink()
    found = {(p.kind, p.path.name, p.expected, p.found) for p in verify(store)}
    assert ("missing", files["a"].name, "5 bytes", "4 bytes") in found
    assert ("missing", files["b"].name, "6 bytes", "no file") in found
    assert all(p.stages == ("train",) for p in verify(store))


def test_a_missing_tree_is_found(store: Store) -> None:
    record = commit(store, "train", {"a": b"hello"})
    store.object(record.outputs["out"].digest).unlink()
    (problem,) = verify(store)
    assert (problem.kind, problem.expected, problem.found) == ("missing", "a tree", "no file")


def test_a_damaged_record_is_found_and_left_in_place(store: Store) -> None:
    record = commit(store, "train", {"a": b"x"})
    path = store.record(record.key)
    path.write_text("{")
    (problem,) = verify(store)
    assert (problem.kind, problem.path, problem.records) == ("record", path, (record.key,))
    assert path.exists()
    write_record(store, record)
    assert verify(store) == []


def test_a_file_that_is_no_object_is_found(store: Store) -> None:
    put(store, {"a": b"x"})
    (store.objects / "ab").mkdir(exist_ok=True)
    (store.objects / "ab" / "notes.txt").write_text("mine")
    (problem,) = verify(store)
    assert (problem.kind, problem.path.name) == ("stray", "notes.txt")


def test_an_empty_store_is_sound(store: Store) -> None:
    assert verify(store) == []
    store.objects.rmdir()
    assert verify(store) == []


@pytest.mark.parametrize("damaged", ["record", "object"])
def test_damage_that_nobody_needs_is_still_told(store: Store, damaged: str) -> None:
    digest = put_bytes(store, b"nobody's")
    flip(store.object(digest), 0)
    (problem,) = verify(store)
    assert problem.kind == "damaged" and problem.records == problem.stages == ()

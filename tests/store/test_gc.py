"""Garbage collection keeps whatever may be needed, and frees the rest."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.gc import DAY, GRACE, collect_garbage
from mldlc.store.layout import Store
from mldlc.store.leases import acquire, try_acquire
from mldlc.store.objects import has_tree, tree_files
from mldlc.store.records import read_record, reusable, touch_record
from mldlc.store.verify import verify
from tests.store.making import age, commit, fill, key_of, put

FORK = multiprocessing.get_context("fork")
OLD = 100 * DAY


def listing(store: Store) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in store.root.rglob("*")}


def test_by_default_only_what_no_record_needs_goes(store: Store) -> None:
    kept = commit(store, "train", {"shared": b"both", "own": b"x"})
    lost = put(store, {"shared": b"both", "lone": b"12345"})
    lone = tree_files(store, lost.digest)["lone"]
    tree_size = store.object(lost.digest).stat().st_size
    age(store.root, OLD)
    report = collect_garbage(store)
    assert (report.objects, report.records, report.bytes) == (2, 0, 5 + tree_size)
    assert (report.kept_records, report.kept_objects) == (1, 3)
    assert not lone.exists() and not has_tree(store, lost.digest)
    assert reusable(store, kept) and verify(store) == []
    again = collect_garbage(store)
    assert again.files == again.bytes == 0


def test_a_dry_run_reports_the_same_and_changes_nothing(store: Store) -> None:
    commit(store, "old", {"a": b"old"})
    fill(store.scratch / key_of("old"), {"checkpoint": b"12"})
    fill(store.work / "run-7", {"out/a": b"123"})
    (store.records / "ab").mkdir(exist_ok=True)
    (store.records / "ab" / "abc.corrupt").write_text("{")
    age(store.root, OLD)
    before = listing(store)
    report = collect_garbage(store, dry_run=True, keep_days=30)
    assert listing(store) == before
    assert (report.records, report.objects, report.scratch, report.work) == (1, 2, 1, 3)
    real = collect_garbage(store, keep_days=30)
    assert (real.files, real.bytes) == (report.files, report.bytes)
    assert not [path for path in store.root.rglob("*") if path.is_file() and path.name != "format.json"]


def test_records_stay_by_age_use_pin_and_lease(store: Store) -> None:
    records = {
        name: commit(store, name, {name: name.encode()}) for name in ("gone", "used", "pinned", "leased", "young")
    }
    age(store.root, OLD)
    touch_record(store, records["used"].key)
    age(store.record(records["young"].key), 20 * DAY)
    with try_acquire(store, records["leased"].key, {}):
        report = collect_garbage(store, keep=[records["pinned"].key], keep_days=30)
    assert report.records == 1
    assert read_record(store, records["gone"].key) is None
    assert not has_tree(store, records["gone"].outputs["out"].digest)
    assert all(reusable(store, record) for name, record in records.items() if name != "gone")
    assert verify(store) == []


def test_nothing_young_goes(store: Store) -> None:
    put(store, {"a": b"just stored, no record yet"})
    commit(store, "train", {"b": b"x"})
    fill(store.scratch / key_of("train"), {"checkpoint": b"1"})
    fill(store.work / "run-1", {"out/a": b"1"})
    before = listing(store)
    assert collect_garbage(store, keep_days=0).files == 0
    assert listing(store) == before
    age(store.root, GRACE - 60)
    assert collect_garbage(store, keep_days=0).files == 0
    age(store.root, GRACE + 60)
    assert collect_garbage(store, keep_days=0).files == 7


def test_storing_again_makes_an_old_object_young(store: Store) -> None:
    output = put(store, {"a": b"x"})
    age(store.root, OLD)
    assert put(store, {"a": b"x"}) == output
    assert collect_garbage(store).objects == 0
    assert has_tree(store, output.digest)


def test_one_young_file_deep_inside_saves_its_folder(store: Store) -> None:
    fill(store.work / "run-1", {"out/deep/er/a": b"1", "out/b": b"2"})
    age(store.root, OLD)
    (store.work / "run-1" / "out" / "deep" / "er" / "a").write_bytes(b"still written")
    assert collect_garbage(store).work == 0
    assert (store.work / "run-1" / "out" / "b").exists()


def test_a_held_lease_saves_its_scratch_its_work_and_its_inputs(store: Store) -> None:
    read = put(store, {"input": b"no record names it"})
    fill(store.scratch / key_of("train"), {"checkpoint": b"1"})
    fill(store.work / "run-1", {"out/a": b"1"})
    lease = try_acquire(store, key_of("train"), {"pid": 1, "inputs": [read.digest], "work": ["run-1"]})
    assert lease is not None
    age(store.root, OLD)
    assert collect_garbage(store).files == 0
    assert has_tree(store, read.digest)
    lease.release()
    assert collect_garbage(store).files == 4
    assert not list(store.scratch.iterdir()) and not list(store.work.iterdir())


def test_a_lease_left_by_a_killed_holder_is_swept(store: Store) -> None:
    (store.leases / key_of("train")).write_text("{}")
    (store.leases / f"{key_of('other')}.links").mkdir()
    collect_garbage(store)
    assert not list(store.leases.iterdir())


def test_without_grace_it_refuses(store: Store) -> None:
    with pytest.raises(ValueError, match="grace_seconds must be > 0"):
        collect_garbage(store, grace_seconds=0)


def test_a_newer_record_stops_it(store: Store) -> None:
    record = commit(store, "train", {"a": b"x"})
    path = store.record(record.key)
    path.write_bytes(path.read_bytes().replace(b"mldlc.record/1", b"mldlc.record/2"))
    age(store.root, OLD)
    with pytest.raises(DiagnosticError, match="newer format"):
        collect_garbage(store)
    assert has_tree(store, record.outputs["out"].digest)


def _work(store: Store, seed: int, stop: Event) -> None:
    """As the engine does: lease, reuse if the record and its outputs are there, otherwise store and record."""
    chance = random.Random(seed)
    while not stop.is_set():
        name = f"stage{chance.randrange(30)}"
        files = {f"f{n}": f"{name} {n} {chance.randrange(2)}".encode() for n in range(3)}
        with acquire(store, key_of(name), {"pid": os.getpid()}, poll=0.001):
            record = read_record(store, key_of(name)) if touch_record(store, key_of(name)) else None
            if record is None or not reusable(store, record):
                record = commit(store, name, files)
            if not reusable(store, record):
                os._exit(9)
    os._exit(0)


def _make_old(store: Store, key: str) -> None:
    """Time passes, but not while somebody works on the key: its record and objects become garbage."""
    with acquire(store, key, {}, poll=0.001):
        record = read_record(store, key)
        if record is not None:
            digest = record.outputs["out"].digest
            for path in (*tree_files(store, digest).values(), store.object(digest), store.record(key)):
                age(path, OLD)


def test_collecting_while_processes_work_never_breaks_a_record(store: Store) -> None:
    stop = FORK.Event()
    children = [FORK.Process(target=_work, args=(store, seed, stop)) for seed in range(3)]
    for child in children:
        child.start()
    freed, chance, begun = 0, random.Random(5), time.monotonic()
    while time.monotonic() < begun + 2.5 or (freed <= 20 and time.monotonic() < begun + 120):  # a busy machine is slow
        for _ in range(8):
            _make_old(store, key_of(f"stage{chance.randrange(30)}"))
        freed += collect_garbage(store, grace_seconds=30, keep_days=1).files
    stop.set()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert freed > 20
    assert verify(store) == []


def test_the_report_counts_files_and_bytes_of_folders(store: Store, tmp_path: Path) -> None:
    fill(store.work / "run-1", {"a": b"123", "b/c": b"4567"})
    age(store.root, OLD)
    report = collect_garbage(store)
    assert (report.work, report.files, report.bytes) == (1, 2, 7)

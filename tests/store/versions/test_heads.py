"""Branches and tags: who is first wins, once; what was deleted stays deleted; a stale writer never wins."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mldlc.plan.versions import RefExists, VersionsError
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import Store
from mldlc.store.versions.heads import (
    KEPT,
    Head,
    advance,
    list_heads,
    list_tags,
    make_tag,
    numbers,
    prune,
    read_head,
    read_tag,
    remove_tag,
)
from mldlc.store.versions.root import ROOT

FORK = multiprocessing.get_context("fork")


def id_of(number: int) -> str:
    return hash_bytes(str(number).encode())


def never(start: str, ancestor: str) -> bool:
    raise AssertionError("asked about ancestry without need")


def push(store: Store, branch: str, *commits: str) -> None:
    for commit in commits:
        assert advance(store, branch, read_head(store, branch), commit, never)


def test_main_is_there_before_anything_is_written(store: Store) -> None:
    assert read_head(store, "main") == Head(0, ROOT.id)
    assert list_heads(store) == {"main": Head(0, ROOT.id)}
    assert read_head(store, "other") == Head(0, "")
    assert not (store.root / "heads").exists()


def test_a_head_moves_by_numbers(store: Store) -> None:
    push(store, "main", id_of(1), id_of(2))
    assert read_head(store, "main") == Head(2, id_of(2))
    files = sorted(path.name for path in (store.root / "heads" / "main").iterdir())
    assert files == ["0000000000000001", "0000000000000002"]
    assert (store.root / "heads" / "main" / files[1]).read_text() == id_of(2)
    assert not list(store.work.iterdir())


def test_of_two_that_saw_the_same_head_one_wins(store: Store) -> None:
    push(store, "main", id_of(1))
    seen = read_head(store, "main")
    assert advance(store, "main", seen, id_of(2), never)
    assert not advance(store, "main", seen, id_of(3), never)
    assert read_head(store, "main") == Head(2, id_of(2))


def test_a_deleted_branch_does_not_come_back(store: Store) -> None:
    push(store, "exp", id_of(1), id_of(2))
    stale = read_head(store, "exp")
    push(store, "exp", "")
    assert "exp" not in list_heads(store) and read_head(store, "exp") == Head(3, "")
    assert not advance(store, "exp", stale, id_of(3), never), "it would bring the branch back"
    push(store, "exp", id_of(7))
    assert not advance(store, "exp", stale, id_of(3), never), "nor into the branch that was made anew"
    assert list_heads(store)["exp"] == Head(4, id_of(7))


def old(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (1, 1))


@pytest.mark.parametrize("commit", [id_of(999), ""])
def test_a_writer_who_slept_through_the_pruning_does_not_win(store: Store, commit: str) -> None:
    push(store, "main", id_of(1))
    stale = read_head(store, "main")
    push(store, "main", *map(id_of, range(2, 100)))
    folder = store.root / "heads" / "main"
    old(folder)
    prune(folder, time.time())
    assert numbers(folder) == list(range(100 - KEPT, 100))
    assert not advance(store, "main", stale, commit, lambda start, ancestor: False)
    assert read_head(store, "main") == Head(99, id_of(99)) and numbers(folder)[0] == 100 - KEPT


def test_a_win_that_was_built_upon_and_pruned_since_is_still_a_win(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(store, "main", id_of(1))
    seen = read_head(store, "main")
    link = os.link

    def slow_link(source: Path, target: Path) -> None:
        link(source, target)
        monkeypatch.setattr(os, "link", link)
        push(store, "main", *map(id_of, range(3, 60)))
        old(target.parent)
        prune(target.parent, time.time())

    monkeypatch.setattr(os, "link", slow_link)
    asked = []
    assert advance(store, "main", seen, id_of(2), lambda *pair: bool(asked.append(pair)) or True)
    assert asked == [(id_of(59), id_of(2))]


def test_young_numbers_are_not_pruned(store: Store) -> None:
    push(store, "main", *map(id_of, range(1, 4 * KEPT)))
    assert numbers(store.root / "heads" / "main") == list(range(1, 4 * KEPT))


def test_a_busy_branch_is_pruned_on_the_way(store: Store) -> None:
    push(store, "main", *map(id_of, range(1, 2 * KEPT)))
    old(store.root / "heads" / "main")
    push(store, "main", *map(id_of, range(2 * KEPT, 2 * KEPT + 2)))
    assert numbers(store.root / "heads" / "main")[0] == KEPT + 2


def test_a_damaged_head_is_named(store: Store) -> None:
    push(store, "main", id_of(1))
    path = store.root / "heads" / "main" / f"{1:016d}"
    path.chmod(0o644)
    for text in ("", "ab", id_of(1).upper(), id_of(1) + "\n"):
        path.write_text(text)
        with pytest.raises(VersionsError, match=f"{path} is damaged"):
            read_head(store, "main")


def test_tags_do_not_move(store: Store) -> None:
    make_tag(store, "v1.0", id_of(1))
    make_tag(store, "v1.0", id_of(1))
    with pytest.raises(RefExists, match=f"'v1.0' is there already, at commit {id_of(1)}"):
        make_tag(store, "v1.0", id_of(2))
    assert list_tags(store) == {"v1.0": id_of(1)}
    assert remove_tag(store, "v1.0") and not remove_tag(store, "v1.0")
    make_tag(store, "v1.0", id_of(2))
    assert read_tag(store, "v1.0") == id_of(2) and read_tag(store, "v2") is None


def _race(store: Store, writer: int, rounds: int) -> None:
    for round in range(rounds):
        while not advance(store, "main", read_head(store, "main"), id_of(writer * 1000 + round), never):
            pass


def test_no_move_of_eight_processes_is_lost(store: Store) -> None:
    children = [FORK.Process(target=_race, args=(store, writer, 25)) for writer in range(1, 9)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    folder = store.root / "heads" / "main"
    found = [(folder / f"{number:016d}").read_text() for number in numbers(folder)]
    assert sorted(found) == sorted(id_of(writer * 1000 + round) for writer in range(1, 9) for round in range(25))

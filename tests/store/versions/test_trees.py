"""Trees: one id for one set of entries, changes that touch what they must, lookups, damage on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Entry, InvalidPath
from mldlc.store.layout import Store
from mldlc.store.versions.ranges import Cut
from mldlc.store.versions.trees import (
    DiskNodes,
    apply_changes,
    build_tree,
    empty_tree,
    find_entry,
    iter_entries,
    open_tree,
    read_columns,
)
from tests.store.versions.entry_strategies import after_changes, changes, cuts, entries, paths, prefixes
from tests.store.versions.nodes_memory import MemoryNodes, by_path, entry, in_order

MANY = [entry(f"day={n // 500:03d}/part-{n % 500:04d}.parquet", n) for n in range(20_000)]


@settings(max_examples=200, deadline=None)
@given(cut=cuts, history=st.lists(changes, max_size=8))
def test_the_id_follows_from_the_entries_whatever_the_history(cut: Cut, history) -> None:
    nodes = MemoryNodes()
    tree, held = empty_tree(nodes, cut), {}
    for put, remove in history:
        tree, held = apply_changes(nodes, tree, put, remove), after_changes(held, put, remove)
        assert tree == build_tree(nodes, held.values(), cut)
        assert list(iter_entries(nodes, tree)) == in_order(held)
    opened = open_tree(nodes, tree)
    assert (opened.count, opened.size) == (len(held), sum(item.size for item in held.values()))
    assert opened.cut == cut
    assert all(info.count <= cut.most for info in opened.ranges)


@settings(deadline=None)
@given(items=st.lists(entries, max_size=40), cut=cuts, prefix=prefixes, after=st.one_of(st.just(""), paths))
def test_entries_are_found(items: list[Entry], cut: Cut, prefix: str, after: str) -> None:
    nodes, held = MemoryNodes(), by_path(items)
    tree = build_tree(nodes, items, cut)
    expected = [item for item in in_order(held) if item.path.startswith(prefix) and item.path.encode() > after.encode()]
    assert list(iter_entries(nodes, tree, prefix, after)) == expected
    assert find_entry(nodes, tree, prefix) == held.get(prefix)
    assert all(find_entry(nodes, tree, path) == item for path, item in held.items())


@given(items=st.lists(entries, max_size=10), other=st.lists(entries, max_size=10), cut=cuts)
def test_other_entries_have_another_id(items: list[Entry], other: list[Entry], cut: Cut) -> None:
    nodes = MemoryNodes()
    same = build_tree(nodes, items, cut) == build_tree(nodes, other, cut)
    assert same == (by_path(items) == by_path(other))


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_the_usual_cut_is_canonical_too(data: st.DataObject) -> None:
    nodes, held = MemoryNodes(), by_path(MANY)
    tree = build_tree(nodes, MANY)
    assert len(open_tree(nodes, tree).ranges) > 2
    for _ in range(3):
        start = data.draw(st.integers(0, len(MANY)))
        put = [item._replace(size=7) for item in MANY[start : start + data.draw(st.integers(0, 6000))]]
        put += [entry(f"{item.path}.new") for item in put[: data.draw(st.integers(0, 3000))]]
        remove = [f"day={data.draw(st.integers(0, 40)):03d}/" for _ in range(data.draw(st.integers(0, 6)))]
        tree, held = apply_changes(nodes, tree, put, remove), after_changes(held, put, remove)
        assert tree == build_tree(nodes, held.values())


def test_a_change_reads_and_writes_what_it_touches() -> None:
    nodes = MemoryNodes()
    tree = build_tree(nodes, MANY, Cut(100, 400))
    ranges = open_tree(nodes, tree).ranges
    before = set(nodes.items)
    nodes.ranges_read()
    apply_changes(nodes, tree, [MANY[10_000]._replace(size=99)])
    assert nodes.ranges_read() == 1
    assert len(set(nodes.items) - before) == 2  # a range and a tree
    apply_changes(nodes, tree, [entry(f"{MANY[10_000].path}.{n}") for n in range(30)])
    assert nodes.ranges_read() <= 4
    find_entry(nodes, tree, MANY[77].path)
    assert nodes.ranges_read() == 1
    list(iter_entries(nodes, tree, "day=003/"))
    inside = [info for info in ranges if info.last >= b"day=003/" and info.first < b"day=0030"]
    assert 1 <= nodes.ranges_read() == len(inside) < 20


def test_a_removed_folder_is_not_read() -> None:
    nodes = MemoryNodes()
    tree = build_tree(nodes, MANY, Cut(100, 400))
    nodes.ranges_read()
    left = apply_changes(nodes, tree, remove=[f"day={n:03d}/" for n in range(5, 35)])
    assert nodes.ranges_read() <= 60 < len(open_tree(nodes, tree).ranges)  # two at most at the ends of each folder
    assert left == build_tree(nodes, [e for e in MANY if not 5 <= int(e.path[4:7]) < 35], Cut(100, 400))


def test_removals_come_before_what_is_put() -> None:
    nodes = MemoryNodes()
    tree = build_tree(nodes, [entry("a/1"), entry("a/2"), entry("a"), entry("a-b")])
    tree = apply_changes(nodes, tree, [entry("a/2", "new")], ["a/", "nothing", "nor/this/"])
    assert list(iter_entries(nodes, tree)) == [entry("a"), entry("a-b"), entry("a/2", "new")]


def test_of_two_entries_with_one_path_the_last_stays() -> None:
    nodes = MemoryNodes()
    assert build_tree(nodes, [entry("a", 1), entry("a", 2)]) == build_tree(nodes, [entry("a", 2)])


def test_a_bad_path_writes_nothing() -> None:
    nodes = MemoryNodes()
    tree = empty_tree(nodes)
    for put, remove in (([entry("a/../b")], []), ([], ["a/../b"])):
        with pytest.raises(InvalidPath):
            apply_changes(nodes, tree, put, remove)
    assert list(nodes.items) == [("trees", tree)]


def test_columns_are_the_entries() -> None:
    nodes = MemoryNodes()
    tree = build_tree(nodes, [*MANY, entry("é", media="text/x")], Cut(100, 400))
    for prefix in ("", "day=01", "é", "none"):
        frame = read_columns(nodes, tree, prefix)
        assert frame.columns == list(Entry._fields)
        assert [Entry(*row) for row in frame.iter_rows()] == list(iter_entries(nodes, tree, prefix))


def test_nodes_on_disk_are_read_only_files_named_by_digest(store: Store) -> None:
    nodes = DiskNodes(store)
    tree = build_tree(nodes, MANY, Cut(100, 400))
    assert tree == build_tree(MemoryNodes(), MANY, Cut(100, 400))
    assert list(iter_entries(nodes, tree)) == MANY
    files = [path for kind in ("ranges", "trees") for path in (store.root / kind).rglob("*") if path.is_file()]
    assert len(files) == len(open_tree(nodes, tree).ranges) + 1
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}
    assert nodes.path("trees", tree) in files
    assert not list(store.work.iterdir())


@pytest.mark.parametrize("kind", ["ranges", "trees"])
def test_a_flipped_byte_is_found_wherever_it_is(store: Store, kind) -> None:
    nodes = DiskNodes(store)
    tree = build_tree(nodes, [entry("a"), entry("b/c", 1, "text/plain")])
    path = nodes.path(kind, tree if kind == "trees" else open_tree(nodes, tree).ranges[0].id)
    path.chmod(0o644)
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        for read in (lambda: list(iter_entries(nodes, tree)), lambda: apply_changes(nodes, tree, [entry("a", 2)])):
            with pytest.raises(ValueError, match=str(path)):
                read()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=str(path)):
        list(iter_entries(nodes, tree))


def test_a_cut_or_aged_node_is_written_again(store: Store) -> None:
    nodes = DiskNodes(store)
    tree = build_tree(nodes, [entry("a")])
    path = nodes.path("ranges", open_tree(nodes, tree).ranges[0].id)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3])  # as a crash of the machine leaves it
    os.utime(nodes.path("trees", tree), (1, 1))
    assert build_tree(nodes, [entry("a")]) == tree
    assert list(iter_entries(nodes, tree)) == [entry("a")]
    assert nodes.path("trees", tree).stat().st_mtime > 1


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    nodes, memory = DiskNodes(store), MemoryNodes()
    (info,) = open_tree(memory, build_tree(memory, [entry("a")])).ranges
    nodes.path("ranges", info.id).mkdir(parents=True)  # a folder where the file must be
    with pytest.raises(OSError):
        build_tree(nodes, [entry("a")])
    assert not list(store.work.iterdir())
    assert not (store.root / "trees").exists()


def test_a_tree_of_another_release_is_refused(store: Store) -> None:
    nodes = DiskNodes(store)
    (id,) = nodes.write("trees", [b'{"cut":[1,1],"format":"mldlc.tree/2","ranges":[]}'])
    with pytest.raises(ValueError, match=r"mldlc\.tree/2.*mldlc\.tree/1"):
        open_tree(nodes, id)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(changes, max_size=4), cut=cuts)
def test_disk_and_memory_agree(store: Store, history, cut: Cut) -> None:
    disk, memory = DiskNodes(store), MemoryNodes()
    one, two = empty_tree(disk, cut), empty_tree(memory, cut)
    for put, remove in history:
        one, two = apply_changes(disk, one, put, remove), apply_changes(memory, two, put, remove)
        assert one == two
        assert list(iter_entries(disk, one)) == list(iter_entries(memory, two))


def test_small_changes_import_neither_numpy_nor_polars(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mldlc.plan.versions import Entry\n"
        "from mldlc.store.layout import open_store; from mldlc.store.versions import difference, merging, trees\n"
        "nodes = trees.DiskNodes(open_store(Path(sys.argv[1])))\n"
        "one = trees.build_tree(nodes, [Entry('a', '00' * 32, 1)])\n"
        "two = trees.apply_changes(nodes, one, [Entry('b', '00' * 32, 1)])\n"
        "assert len(list(difference.diff_trees(nodes, one, two))) == 1\n"
        "assert merging.merge_trees(nodes, one, two, one) == two\n"
        "print(sorted({'numpy', 'polars', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

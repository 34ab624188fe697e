"""Differences against a dict, folded to folders, and what is read for them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Change, Entry
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.ranges import Cut
from mldlc.store.versions.trees import apply_changes, build_tree, empty_tree, iter_entries, open_tree
from tests.store.versions.entry_strategies import changes, cuts, entries, prefixes
from tests.store.versions.nodes_memory import MemoryNodes, by_path, entry

MANY = [entry(f"day={n // 500:03d}/part-{n % 500:04d}.parquet", n) for n in range(20_000)]


def expected(left: dict[str, Entry], right: dict[str, Entry], prefix: str, depth: int | None) -> list[Change]:
    """The difference of two dicts, the slow way."""
    rows: dict[str, Change] = {}
    for path in sorted(left.keys() | right.keys(), key=str.encode):
        one, two = left.get(path), right.get(path)
        if one == two or not path.startswith(prefix):
            continue
        segments = path[len(prefix) :].split("/")
        if depth is not None and len(segments) > depth:
            folder = prefix + "/".join(segments[:depth]) + "/"
            rows.setdefault(folder, Change("prefix_changed", folder))
        else:
            rows[path] = Change("added" if one is None else "removed" if two is None else "changed", path, one, two)
    return sorted(rows.values(), key=lambda change: change.path.encode())


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(entries, max_size=40),
    change=changes,
    prefix=prefixes,
    cut=cuts,
    depth=st.sampled_from([None, 1, 2, 3]),
)
def test_it_is_the_difference_of_dicts(items, change, prefix: str, cut: Cut, depth: int | None) -> None:
    nodes = MemoryNodes()
    left = build_tree(nodes, items, cut)
    right = apply_changes(nodes, left, *change)
    before = by_path(items)
    after = by_path(iter_entries(nodes, right))
    assert list(diff_trees(nodes, left, right, prefix, depth)) == expected(before, after, prefix, depth)
    assert list(diff_trees(nodes, right, left, prefix, depth)) == expected(after, before, prefix, depth)


@settings(deadline=None)
@given(
    left=st.lists(entries, max_size=30),
    right=st.lists(entries, max_size=30),
    prefix=prefixes,
    depth=st.sampled_from([None, 1, 2]),
    one=cuts,
    two=cuts,
)
def test_unrelated_trees_and_cuts(left, right, prefix: str, depth: int | None, one: Cut, two: Cut) -> None:
    nodes = MemoryNodes()
    found = diff_trees(nodes, build_tree(nodes, left, one), build_tree(nodes, right, two), prefix, depth)
    assert list(found) == expected(by_path(left), by_path(right), prefix, depth)


@settings(max_examples=30, deadline=None)
@given(
    changed=st.sets(st.integers(0, 2999)),
    removed=st.sets(st.integers(0, 2999), max_size=40),
    added=st.sets(st.integers(0, 2999), max_size=40),
    run=st.integers(0, 2999),
    depth=st.sampled_from([None, 1]),
)
def test_long_runs(changed, removed, added, run: int, depth: int | None) -> None:
    nodes, before = MemoryNodes(), by_path(MANY[:3000])
    changed |= set(range(run, min(run + 700, 3000)))
    after = {path: item for n, (path, item) in enumerate(before.items()) if n not in removed}
    after |= {MANY[n].path: MANY[n]._replace(size=1 << 40) for n in changed - removed}
    after |= by_path(entry(f"{MANY[n].path}.new") for n in added)
    left, right = (build_tree(nodes, side.values(), Cut(300, 900)) for side in (before, after))
    assert list(diff_trees(nodes, left, right, "", depth)) == expected(before, after, "", depth)


@pytest.mark.parametrize("changed", [{"media": "text/x"}, {"size": 99}, {"digest": "00" * 32}])
def test_each_field_counts(changed) -> None:
    nodes = MemoryNodes()
    two = entry("a")._replace(**changed)
    left, right = build_tree(nodes, [entry("a")]), build_tree(nodes, [two])
    assert list(diff_trees(nodes, left, right)) == [Change("changed", "a", entry("a"), two)]


def test_only_ranges_that_differ_are_read() -> None:
    nodes = MemoryNodes()
    left = build_tree(nodes, MANY, Cut(100, 400))
    right = apply_changes(nodes, left, [MANY[100]._replace(size=99), MANY[15_000]._replace(size=99)])
    nodes.ranges_read()
    assert len(list(diff_trees(nodes, left, right))) == 2
    assert nodes.ranges_read() == 4
    assert len(list(diff_trees(nodes, left, right, "day=03"))) == 1
    assert nodes.ranges_read() == 2
    assert list(diff_trees(nodes, left, left)) == list(diff_trees(nodes, left, right, "day=020/")) == []
    assert nodes.ranges_read() == 0


def test_a_folder_that_changed_is_not_read_on() -> None:
    nodes = MemoryNodes()
    left = build_tree(nodes, MANY, Cut(50, 100))
    right = build_tree(nodes, [item._replace(size=99) for item in MANY], Cut(50, 100))
    nodes.ranges_read()
    assert [row.path for row in diff_trees(nodes, left, right, depth=1)] == [f"day={n:03d}/" for n in range(40)]
    assert nodes.ranges_read() <= 40 * 4 < len(open_tree(nodes, left).ranges)


def test_against_nothing() -> None:
    nodes = MemoryNodes()
    none, some = empty_tree(nodes), build_tree(nodes, [entry("a"), entry("b/c")])
    assert list(diff_trees(nodes, none, some)) == [
        Change("added", "a", None, entry("a")),
        Change("added", "b/c", None, entry("b/c")),
    ]
    assert [row.kind for row in diff_trees(nodes, some, none)] == ["removed", "removed"]
    assert list(diff_trees(nodes, some, none, "b/", 1)) == [Change("removed", "b/c", entry("b/c"), None)]


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth 0"):
        diff_trees(MemoryNodes(), "x", "y", depth=0)

"""Merges: the truth table of lakeFS by hand, a dict-based oracle, and what is read for them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Conflict, Entry, Strategy
from mldlc.store.versions.merging import merge_trees
from mldlc.store.versions.ranges import Cut
from mldlc.store.versions.trees import apply_changes, build_tree, iter_entries, open_tree
from tests.store.versions.entry_strategies import changes, cuts, entries
from tests.store.versions.nodes_memory import MemoryNodes, by_path, entry, in_order

C = "conflict"
TABLE = [
    # base, source, dest -> none, source-wins, dest-wins ("": no such path)
    ("", "", "", "", "", ""),
    ("", "", "1", "1", "1", "1"),
    ("", "1", "", "1", "1", "1"),
    ("", "1", "1", "1", "1", "1"),  # both added the same
    ("", "1", "2", C, "1", "2"),  # both added, differently
    ("1", "", "", "", "", ""),  # both removed
    ("1", "", "1", "", "", ""),
    ("1", "1", "", "", "", ""),
    ("1", "", "2", C, "", "2"),  # removed and changed
    ("1", "2", "", C, "2", ""),
    ("1", "1", "1", "1", "1", "1"),
    ("1", "1", "2", "2", "2", "2"),
    ("1", "2", "1", "2", "2", "2"),
    ("1", "2", "2", "2", "2", "2"),  # both changed to the same
    ("1", "2", "3", C, "2", "3"),  # both changed, differently
]
STRATEGIES = get_args(Strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(item or "_" for item in row[:3]))
@pytest.mark.parametrize("more", ["", "source", "dest"])
def test_the_truth_table(row: tuple[str, ...], strategy: Strategy, more: str) -> None:
    nodes = MemoryNodes()
    beside = [entry(f"beside/{n}") for n in range(3)]  # changes of one side alone, so that each side is the longer once
    base, source, dest = (
        build_tree(nodes, [*([entry("p", item)] if item else []), *(beside if more == side else [])])
        for side, item in zip(("base", "source", "dest"), row[:3], strict=True)
    )
    outcome = row[3 + STRATEGIES.index(strategy)]
    before = set(nodes.items)
    if outcome == C:
        with pytest.raises(Conflict) as caught:
            merge_trees(nodes, base, source, dest, strategy)
        assert caught.value.paths == ("p",)
        assert set(nodes.items) == before
    else:
        expected = [*(beside if more else []), *([entry("p", outcome)] if outcome else [])]
        assert list(iter_entries(nodes, merge_trees(nodes, base, source, dest, strategy))) == expected


def merged(base: dict, source: dict, dest: dict, strategy: Strategy) -> tuple[dict[str, Entry], set[str]]:
    """Entries and conflicting paths, path by path."""
    out, conflicts = {}, set()
    for path in base.keys() | source.keys() | dest.keys():
        old, ours, theirs = base.get(path), source.get(path), dest.get(path)
        if ours in (theirs, old):
            kept = theirs
        elif theirs == old:
            kept = ours
        else:
            conflicts.add(path)
            kept = ours if strategy == "source-wins" else theirs
        if kept is not None:
            out[path] = kept
    return out, conflicts


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(entries, max_size=30), ours=changes, theirs=changes, cut=cuts, strategy=st.sampled_from(STRATEGIES)
)
def test_it_is_the_merge_of_dicts(items, ours, theirs, cut: Cut, strategy: Strategy) -> None:
    nodes = MemoryNodes()
    base = build_tree(nodes, items, cut)
    source, dest = apply_changes(nodes, base, *ours), apply_changes(nodes, base, *theirs)
    sides = [by_path(iter_entries(nodes, tree)) for tree in (base, source, dest)]
    expected, conflicts = merged(*sides, strategy)
    if conflicts and strategy == "none":
        with pytest.raises(Conflict) as caught:
            merge_trees(nodes, base, source, dest, strategy)
        assert set(caught.value.paths) == conflicts
    else:
        tree = merge_trees(nodes, base, source, dest, strategy)
        assert list(iter_entries(nodes, tree)) == in_order(expected)
        assert tree == build_tree(nodes, expected.values(), cut)


@pytest.mark.parametrize("turned", [False, True])
def test_it_costs_what_the_sides_changed(turned: bool) -> None:
    nodes = MemoryNodes()
    many = [entry(f"day={n // 500:03d}/part-{n % 500:04d}", n) for n in range(20_000)]
    base = build_tree(nodes, many, Cut(100, 400))
    sides = (
        apply_changes(nodes, base, remove=["day=003/"]),
        apply_changes(nodes, base, [many[15_000]._replace(size=99)]),
    )
    source, dest = reversed(sides) if turned else sides
    nodes.ranges_read()
    before = set(nodes.items)
    merge_trees(nodes, base, source, dest)
    assert nodes.ranges_read() < 25  # of 200: those of the folder, the changed one on each side, the one written
    assert len(set(nodes.items) - before) <= 2  # a range at most and a tree


@pytest.mark.parametrize("turned", [False, True])
def test_the_side_with_fewer_changes_is_put_on_the_other(turned: bool) -> None:
    nodes = MemoryNodes()
    many = [entry(f"part-{n:04d}", n) for n in range(5000)]
    base = build_tree(nodes, many, Cut(50, 200))
    long, short = ([item._replace(size=99) for item in some] for some in (many[::20], many[2501:2502]))
    sides = [apply_changes(nodes, base, long), apply_changes(nodes, base, short)]
    if turned:
        sides.reverse()
    total = len(open_tree(nodes, base).ranges)
    nodes.ranges_read()
    merged = merge_trees(nodes, base, *sides)
    assert nodes.ranges_read() <= 2 * total + 2 + 1  # both differences, then the one range with the short change
    assert merged == build_tree(nodes, [*many, *long, *short], Cut(50, 200))


def test_nothing_is_read_where_one_side_did_not_change() -> None:
    nodes = MemoryNodes()
    base, other = build_tree(nodes, [entry("a")]), build_tree(nodes, [entry("b")])
    nodes.reads.clear()
    assert merge_trees(nodes, base, other, base) == other
    assert merge_trees(nodes, base, base, other) == other
    assert merge_trees(nodes, base, other, other) == other
    assert nodes.reads == []


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="ours"):
        merge_trees(MemoryNodes(), "a", "b", "c", "ours")  # type: ignore[arg-type]

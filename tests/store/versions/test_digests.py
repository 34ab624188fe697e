"""Digests of prefixes: the same for the same entries below, whatever lies beside them, and others for others."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Entry
from mldlc.store.versions.digests import entries_digest, partitions, prefix_digest
from mldlc.store.versions.ranges import Cut
from mldlc.store.versions.trees import apply_changes, build_tree
from tests.store.versions.entry_strategies import changes, cuts, entries, prefixes
from tests.store.versions.nodes_memory import MemoryNodes, by_path, entry

some = st.lists(entries, max_size=30)


@settings(deadline=None)
@given(items=some, change=changes, prefix=prefixes, cut=cuts, other=cuts)
def test_it_depends_on_the_entries_below_alone(items, change, prefix: str, cut: Cut, other: Cut) -> None:
    nodes = MemoryNodes()
    tree = apply_changes(nodes, build_tree(nodes, items, cut), *change)
    held = {item for item in by_path(items).values() if item.path.startswith(prefix)}
    beside = [item for item in change[0] if not item.path.startswith(prefix)]
    assert prefix_digest(nodes, build_tree(nodes, [*beside, *held], other), prefix) == entries_digest(held)
    assert prefix_digest(nodes, build_tree(nodes, held, cut), "") == entries_digest(held)
    assert prefix_digest(nodes, tree, prefix) == prefix_digest(nodes, apply_changes(nodes, tree), prefix)


@given(left=some, right=some)
def test_other_entries_give_another_digest(left: list[Entry], right: list[Entry]) -> None:
    one, two = ({item[:3] for item in by_path(items).values()} for items in (left, right))
    assert (entries_digest(by_path(left).values()) == entries_digest(by_path(right).values())) == (one == two)


@settings(deadline=None)
@given(items=some, prefix=prefixes, cut=cuts)
def test_partitions_are_the_first_segments(items: list[Entry], prefix: str, cut: Cut) -> None:
    nodes = MemoryNodes()
    tree = build_tree(nodes, items, cut)
    groups: dict[str, list[Entry]] = {}
    for item in by_path(items).values():
        if item.path.startswith(prefix):
            folder, slash, _ = item.path[len(prefix) :].partition("/")
            groups.setdefault(folder + slash, []).append(item)
    found = partitions(nodes, tree, prefix)
    assert found == {segment: entries_digest(group) for segment, group in groups.items()}
    assert list(found) == sorted(found, key=str.encode)
    assert all(
        found[segment] == prefix_digest(nodes, tree, prefix + segment) for segment in found if segment[-1:] == "/"
    )


@pytest.mark.parametrize(
    "other",
    [
        [Entry("a", "00" * 32, 1), Entry("b", "11" * 32, 22)],
        [Entry("a", "00" * 32, 1), Entry("b", "12" * 32, 2)],
        [Entry("a", "00" * 32, 1), Entry("c", "11" * 32, 2)],
        [Entry("a", "00" * 32, 1)],
        [Entry("a", "11" * 32, 1), Entry("b", "00" * 32, 2)],
        [Entry("a", "00" * 32, 2), Entry("b", "11" * 32, 1)],
        [],
    ],
)
def test_each_field_counts(other: list[Entry]) -> None:
    here = [Entry("a", "00" * 32, 1), Entry("b", "11" * 32, 2)]
    assert entries_digest(other) != entries_digest(here)
    assert entries_digest([here[1], here[0]._replace(media="text/x")]) == entries_digest(here)  # media does not


def test_the_definition_stays() -> None:
    """Snapshots keep these digests: a pinned source must read as unchanged in later releases."""
    items = [Entry("é", "ab" * 32, 258), Entry("a/b", "etag:1", 3)]
    columns = b"a/b\0\xc3\xa9\0", b"etag:1\0" + b"ab" * 32 + b"\0", bytes([3] + [0] * 7 + [2, 1] + [0] * 6)
    assert entries_digest(items) == blake3(b"".join(blake3(data).digest() for data in columns)).hexdigest()
    nodes = MemoryNodes()
    tree = build_tree(nodes, [entry("a"), entry("b")])
    assert prefix_digest(nodes, tree, "b") == entries_digest([entry("b")])
    assert prefix_digest(nodes, tree, "c") == entries_digest([])

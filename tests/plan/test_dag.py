"""The graph functions, on random graphs, against networkx-free facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldlc.plan.dag import Cycle, downstream, layers, reachable, topological


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Acyclic: node i depends on nodes below i; the mapping's order is shuffled."""
    count = draw(st.integers(0, 12))
    names = [f"n{i}" for i in range(count)]
    graph = {name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, name in enumerate(names)}
    return {name: graph[name] for name in draw(st.permutations(names))}


@given(graphs())
def test_order_respects_every_edge(graph: dict[str, list[str]]) -> None:
    place = {name: i for i, name in enumerate(topological(graph))}
    assert sorted(place) == sorted(graph)
    assert all(place[need] < place[name] for name, needs in graph.items() for need in needs)


@given(graphs())
def test_layers_hold_everything_once_and_point_down(graph: dict[str, list[str]]) -> None:
    depth = {name: i for i, names in enumerate(layers(graph)) for name in names}
    assert len(depth) == len(graph)
    assert all(depth[need] < depth[name] for name, needs in graph.items() for need in needs)


@given(graphs())
def test_reachable_down_is_the_mirror_of_reachable_up(graph: dict[str, list[str]]) -> None:
    users = downstream(graph)
    for name in graph:
        for other in reachable(graph, [name]):
            assert name in reachable(users, [other])


def test_a_cycle_is_reported_as_a_closed_path() -> None:
    with pytest.raises(Cycle) as caught:
        topological({"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"]})
    path = caught.value.path
    assert path[0] == path[-1] and set(path) == {"a", "b", "c"}


def test_ten_thousand_nodes_in_a_chain() -> None:
    graph = {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(10_000)}
    assert topological(graph)[-1] == "n9999"

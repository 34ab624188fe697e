"""A small directed acyclic graph over names: order, ancestors, descendants, layers. Knows nothing of plans."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping


class Cycle(Exception):
    """The graph has a cycle; `path` starts and ends with the same name."""

    def __init__(self, path: list[str]) -> None:
        super().__init__(" -> ".join(path))
        self.path = path


Graph = Mapping[str, Iterable[str]]


def topological(upstream: Graph) -> list[str]:
    """Names with every name after what it depends on; ties keep the given order. Raises Cycle."""
    rank = {name: number for number, name in enumerate(upstream)}
    waits = {name: len(set(needs)) for name, needs in upstream.items()}
    users = downstream(upstream)
    ready = [rank[name] for name, count in waits.items() if count == 0]
    heapq.heapify(ready)
    names = list(upstream)
    order = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for user in users[name]:
            waits[user] -= 1
            if waits[user] == 0:
                heapq.heappush(ready, rank[user])
    if len(order) < len(names):
        raise Cycle(_cycle(upstream, set(names) - set(order)))
    return order


def downstream(upstream: Graph) -> dict[str, list[str]]:
    """The reversed graph: name -> names that depend on it directly."""
    users: dict[str, list[str]] = {name: [] for name in upstream}
    for name, needs in upstream.items():
        for need in dict.fromkeys(needs):
            users[need].append(name)
    return users


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    """`starts` and everything that follows from them along `graph`."""
    seen: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(graph[name])
    return seen


def layers(upstream: Graph) -> list[list[str]]:
    """Names by depth: layer 0 depends on nothing."""
    depth: dict[str, int] = {}
    for name in topological(upstream):
        depth[name] = 1 + max((depth[need] for need in upstream[name]), default=-1)
    out: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in upstream:
        out[depth[name]].append(name)
    return out


def _cycle(upstream: Graph, among: set[str]) -> list[str]:
    """One cycle among names that all lie on or behind cycles, as a path."""
    name = min(among)
    path: list[str] = []
    while name not in path:
        path.append(name)
        name = next(need for need in upstream[name] if need in among)
    return [*path[path.index(name) :], name][::-1]

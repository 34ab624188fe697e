"""Layered layout of a DAG: layers by longest path, few crossings by barycentres; long edges of a node share a trunk.

The steps are those of Sugiyama, Tagawa and Toda (1981), in their simplest form; every choice is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 8
BEND = 0.22
"Room that an edge passing through a layer takes, as a share of a node's."


@dataclass(frozen=True)
class Layout:
    """places: node -> (column, layer), columns are real numbers from 0. bends: edge -> points it passes between."""

    places: Mapping[str, tuple[float, int]]
    bends: Mapping[tuple[str, str], tuple[tuple[float, int], ...]]
    width: float
    layers: int


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """Lay out a DAG. nodes are in execution order (each edge points forward in it); others edges are left out."""
    order = {node: i for i, node in enumerate(nodes)}
    kept = sorted({e for e in edges if e[0] in order and e[1] in order and order[e[0]] < order[e[1]]},
                  key=lambda e: (order[e[0]], order[e[1]]))  # fmt: skip
    level = dict.fromkeys(nodes, 0)
    for node in nodes:
        for start, end in kept:
            if end == node:
                level[node] = max(level[node], level[start] + 1)
    chains = {edge: _chain(edge, level) for edge in kept}
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for node in nodes:
        rows[level[node]].append(node)
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    for here, there in dict.fromkeys(pair for chain in chains.values() for pair in pairwise(chain)):
        down.setdefault(here, []).append(there)
        up.setdefault(there, []).append(here)
    for i, bend in dict.fromkeys(
        (level[edge[0]] + 1 + i, bend) for edge, chain in chains.items() for i, bend in enumerate(chain[1:-1])
    ):
        rows[i].append(bend)
    rows = _ordered(rows, up, down)
    at = _columns(rows, up, down, set(nodes))
    low = min((at[n] for n in nodes), default=0.0)
    low = min([low, *(at[b] + 0.5 - BEND for c in chains.values() for b in c[1:-1])])
    places = {node: (at[node] - low, level[node]) for node in nodes}
    bends = {e: tuple((at[b] - low, level[e[0]] + 1 + i) for i, b in enumerate(c[1:-1])) for e, c in chains.items()}
    right = max([p[0] for p in places.values()] + [b[0] - 0.5 + BEND for c in bends.values() for b in c], default=0.0)
    return Layout(places, bends, right + 1.0, len(rows))


def crossings(rows: Sequence[Sequence[str]], down: Mapping[str, Sequence[str]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    count = 0
    for above, below in pairwise(rows):
        place = {node: i for i, node in enumerate(below)}
        pairs = [(i, place[end]) for i, node in enumerate(above) for end in down.get(node, ()) if end in place]
        count += sum(1 for i, (a, b) in enumerate(pairs) for c, d in pairs[i + 1 :] if (a - c) * (b - d) < 0)
    return count


def _chain(edge: tuple[str, str], level: Mapping[str, int]) -> list[str]:
    """Start, one bend a layer in between (shared by all edges of the start), end. Bends have a NUL in their names."""
    between = range(level[edge[0]] + 1, level[edge[1]])
    return [edge[0], *(f"{edge[0]}\0{i}" for i in between), edge[1]]


def _ordered(
    rows: list[list[str]], up: Mapping[str, Sequence[str]], down: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    best, least = [list(row) for row in rows], crossings(rows, down)
    for sweep in range(SWEEPS):
        if least == 0:
            break
        forward = sweep % 2 == 0
        near = up if forward else down
        for i in range(1, len(rows)) if forward else range(len(rows) - 2, -1, -1):
            fixed = rows[i - 1] if forward else rows[i + 1]
            place = {node: j for j, node in enumerate(fixed)}
            centres = {node: _centre(near.get(node, ()), place, float(j)) for j, node in enumerate(rows[i])}
            rows[i] = sorted(rows[i], key=centres.__getitem__)
        count = crossings(rows, down)
        if count < least:
            best, least = [list(row) for row in rows], count
    return best


def _centre(neighbours: Sequence[str], place: Mapping[str, int], otherwise: float) -> float:
    """The mean place of the neighbours in the fixed layer; `otherwise` without one."""
    found = [place[n] for n in neighbours if n in place]
    return sum(found) / len(found) if found else otherwise


def _columns(
    rows: Sequence[Sequence[str]], up: Mapping[str, Sequence[str]], down: Mapping[str, Sequence[str]], real: set[str]
) -> dict[str, float]:
    """Columns that keep the order and the room of each node, moved towards the mean of the neighbours."""
    at: dict[str, float] = {}
    for row in rows:
        spots = _spread([float(i) for i in range(len(row))], row, real)
        centre = (spots[0] + spots[-1]) / 2 if spots else 0.0
        at.update({node: spot - centre for node, spot in zip(row, spots, strict=True)})
    for sweep in range(2 * SWEEPS):
        near = up if sweep % 2 == 0 else down
        for row in rows if sweep % 2 == 0 else list(reversed(rows)):
            wanted = []
            for node in row:
                found = [at[n] for n in near.get(node, ())]
                wanted.append(sum(found) / len(found) if found else at[node])
            at.update(zip(row, _spread(wanted, row, real), strict=True))
    return {node: round(x, 4) for node, x in at.items()}


def _spread(wanted: Sequence[float], row: Sequence[str], real: set[str]) -> list[float]:
    """The columns nearest to `wanted` in least squares that keep the room between neighbours (pool adjacent violators).

    With the room taken off, the columns must only not decrease, which is isotonic regression.
    """
    room = [0.0]
    for left, right in pairwise(row):
        room.append(room[-1] + sum(0.5 if node in real else BEND / 2 + 0.06 for node in (left, right)))
    pools: list[tuple[float, int]] = []
    for value, taken in zip(wanted, room, strict=True):
        pools.append((value - taken, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    flat = [mean for mean, count in pools for _ in range(count)]
    return [value + taken for value, taken in zip(flat, room, strict=True)]

"""What changed between two trees. Ranges that both have are never read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain

from mldlc.plan.versions import Change
from mldlc.store.versions.entries import prefix_span
from mldlc.store.versions.ranges import EMPTY_RANGE, Part, Range
from mldlc.store.versions.trees import NodeStore, RangeInfo, Tree, open_tree, read_range

NOTHING: Part = (EMPTY_RANGE, 0, 0)
LEAF = 8  # rows up to which each is compared: half the time of halving to the end


def diff_trees(nodes: NodeStore, left: str, right: str, prefix: str = "", depth: int | None = None) -> Iterator[Change]:
    """Changes from tree `left` to tree `right` under a prefix, by path; equal: same digest, size and media type.

    depth=n: one `prefix_changed` for each changed folder n levels below the prefix, changes for the files above; a
    folder known to have changed is not read further.
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth {depth} is not a number of levels: 1 or more, or None for every file")
    if left == right:
        return iter(())
    walk = _Walk(nodes, open_tree(nodes, left), open_tree(nodes, right), *prefix_span(prefix))
    if depth is None:
        return chain.from_iterable(_changes(*pair) for pair in walk)
    return _folded(walk, len(prefix.encode(errors="surrogatepass")), depth)


class _Walk:
    """Goes through two trees side by side: pairs of runs with the same bounds, ranges that both have left out.

    low: the first path still to come; whoever takes the pairs may move it on.
    """

    def __init__(self, nodes: NodeStore, left: Tree, right: Tree, low: bytes, high: bytes) -> None:
        self.low, self.high = low, high
        self._sides = _Side(nodes, left), _Side(nodes, right)

    def __iter__(self) -> Iterator[tuple[Part, Part]]:
        ours, theirs = self._sides
        while True:
            low, high = self.low, self.high
            here = [info for info in (ours.at(low), theirs.at(low)) if info and info.first < high]
            if not here:
                return
            bound = min(info.last for info in here) + b"\0"
            self.low = bound
            if len(here) == 1 or here[0].id != here[1].id:
                bound = min(bound, high)
                yield ours.take(low, bound), theirs.take(low, bound)


class _Side:
    """One tree, read in order; keeps the range read last."""

    def __init__(self, nodes: NodeStore, tree: Tree) -> None:
        self.nodes, self.tree = nodes, tree
        self.index = -1
        self.part: Range | None = None

    def at(self, low: bytes) -> RangeInfo | None:
        """What the tree says of the range with the first path from `low` on; None after the last."""
        index = bisect_left(self.tree.lasts, low, max(0, self.index))
        if index != self.index:
            self.index, self.part = index, None
        return self.tree.ranges[index] if index < len(self.tree.ranges) else None

    def take(self, low: bytes, high: bytes) -> Part:
        """Entries with low <= path < high of the range that it is at."""
        info = self.at(low)
        if not info or info.first >= high:
            return NOTHING
        part = self.part = self.part or read_range(self.nodes, info)
        start = bisect_left(part.paths, low) if info.first < low else 0
        return part, start, bisect_left(part.paths, high, start) if info.last >= high else len(part)


def _changes(left: Part, right: Part) -> Iterator[Change]:
    """Changes between two runs, by path."""
    (ours, i, end), (theirs, j, stop) = left, right
    while i < end and j < stop:
        count = _same_paths(ours.paths, i, end, theirs.paths, j, stop)
        for a, b in _changed_rows(ours, i, theirs, j, count):
            pairs = zip(ours.entries(i + a, i + b), theirs.entries(j + a, j + b), strict=True)
            yield from (Change("changed", one.path, one, two) for one, two in pairs)
        i, j = i + count, j + count
        if i == end or j == stop:
            break
        to = bisect_left(ours.paths, theirs.paths[j], i, end)
        yield from (Change("removed", one.path, one, None) for one in ours.entries(i, to))
        i = to
        if i < end:
            to = bisect_left(theirs.paths, ours.paths[i], j, stop)
            yield from (Change("added", two.path, None, two) for two in theirs.entries(j, to))
            j = to
    yield from (Change("removed", one.path, one, None) for one in ours.entries(i, end))
    yield from (Change("added", two.path, None, two) for two in theirs.entries(j, stop))


def _same_paths(ours: list[bytes], i: int, end: int, theirs: list[bytes], j: int, stop: int) -> int:
    """How many paths are the same from here on: compares slices, twice as long after a match, half after none."""
    limit = min(end - i, stop - j)
    count, step = 0, 16
    while count < limit:
        step = min(step, limit - count)
        if ours[i + count : i + count + step] == theirs[j + count : j + count + step]:
            count, step = count + step, step * 2
        else:
            limit, step = count + step - 1, max(1, step // 2)
    return count


def _changed_rows(ours: Range, i: int, theirs: Range, j: int, count: int) -> Iterator[tuple[int, int]]:
    """Runs (start, stop) of rows that differ among `count` rows from i and from j: halves what differs."""
    todo = [(0, count)]
    begun = done = 0
    while todo:
        a, b = todo.pop()
        if _same_rows(ours, i + a, theirs, j + a, b - a):
            continue
        if b - a > LEAF:
            todo += [((a + b) // 2, b), (a, (a + b) // 2)]
            continue
        for row in range(a, b):
            if _same_rows(ours, i + row, theirs, j + row, 1):
                continue
            if row != done:
                if done > begun:
                    yield begun, done
                begun = row
            done = row + 1
    if done > begun:
        yield begun, done


def _same_rows(ours: Range, i: int, theirs: Range, j: int, count: int) -> bool:
    return (
        ours.digests[32 * i : 32 * (i + count)] == theirs.digests[32 * j : 32 * (j + count)]
        and ours.sizes[8 * i : 8 * (i + count)] == theirs.sizes[8 * j : 8 * (j + count)]
        and ours.media[i : i + count] == theirs.media[j : j + count]
    )


def _folded(walk: _Walk, skip: int, depth: int) -> Iterator[Change]:
    """Changes with folders `depth` levels below the first `skip` bytes of a path as one."""
    for (ours, i, end), (theirs, j, stop) in walk:
        while i < end or j < stop:
            path = min([*ours.paths[i : min(i + 1, end)], *theirs.paths[j : min(j + 1, stop)]])
            at = skip - 1
            for _ in range(depth):
                at = path.find(b"/", at + 1)
                if at < 0:
                    break
            beyond = path[:at] + b"0" if at >= 0 else path + b"\0"
            a, b = bisect_left(ours.paths, beyond, i, end), bisect_left(theirs.paths, beyond, j, stop)
            if at < 0:
                yield from _changes((ours, i, a), (theirs, j, b))
            elif not _equal((ours, i, a), (theirs, j, b)):
                yield Change("prefix_changed", path[: at + 1].decode())
                walk.low = max(walk.low, beyond)
            i, j = a, b


def _equal(left: Part, right: Part) -> bool:
    (ours, i, end), (theirs, j, stop) = left, right
    return end - i == stop - j and _same_rows(ours, i, theirs, j, end - i) and ours.paths[i:end] == theirs.paths[j:stop]

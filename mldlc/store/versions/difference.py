"""What changed between two trees. Ranges that both have are never read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from mldlc.plan.versions import Change
from mldlc.store.versions.entries import prefix_span
from mldlc.store.versions.ranges import EMPTY_RANGE, Range
from mldlc.store.versions.trees import NodeStore, RangeInfo, Tree, open_tree, read_range

Part = tuple[Range, int, int]  # entries start..stop of a range


def diff_trees(nodes: NodeStore, left: str, right: str, prefix: str = "", depth: int | None = None) -> Iterator[Change]:
    """Changes from tree `left` to tree `right` under a prefix, by path; equal: same digest, size and media type.

    depth=n: one `prefix_changed` for each changed folder n levels below the prefix, changes for the files above.
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth {depth} is not a number of levels: 1 or more, or None for every file")
    if left == right:
        return iter(())
    changes = _changes(nodes, open_tree(nodes, left), open_tree(nodes, right), *prefix_span(prefix))
    return changes if depth is None else _folded(changes, len(prefix), depth)


def _folded(changes: Iterable[Change], skip: int, depth: int) -> Iterator[Change]:
    seen = ""
    for change in changes:
        if seen and change.path.startswith(seen):
            continue
        at = skip - 1
        for _ in range(depth):
            at = change.path.find("/", at + 1)
            if at < 0:
                yield change
                break
        else:
            seen = change.path[: at + 1]
            yield Change("prefix_changed", seen)


def _changes(nodes: NodeStore, left: Tree, right: Tree, low: bytes, high: bytes) -> Iterator[Change]:
    ours, theirs = _Cursor(nodes, left, low, high), _Cursor(nodes, right, low, high)
    while ours.info or theirs.info:
        if ours.skips(theirs):
            continue
        bound = min(cursor.info.last for cursor in (ours, theirs) if cursor.info)
        yield from _compare(ours.take(bound), theirs.take(bound))


class _Cursor:
    """A place in a tree. info: the range it is in, None at the end."""

    def __init__(self, nodes: NodeStore, tree: Tree, low: bytes, high: bytes) -> None:
        self.nodes, self.low, self.high = nodes, low, high
        self.infos = tree.ranges
        self.index = bisect_left(tree.lasts, low)
        self.part: Range | None = None
        self.at = 0

    @property
    def info(self) -> RangeInfo | None:
        if self.index < len(self.infos) and self.infos[self.index].first < self.high:
            return self.infos[self.index]
        return None

    def skips(self, other: _Cursor) -> bool:
        """Pass a range that both are at the beginning of."""
        if not self.info or not other.info or self.info.id != other.info.id or self.part or other.part:
            return False
        self.index += 1
        other.index += 1
        return True

    def take(self, bound: bytes) -> Part:
        """Pass the entries up to and with path `bound`."""
        info = self.info
        if not info or info.first > bound:
            return EMPTY_RANGE, 0, 0
        if self.part is None:
            self.part = read_range(self.nodes, info)
            self.at = bisect_left(self.part.paths, self.low) if info.first < self.low else 0
        part, start = self.part, self.at
        stop = len(part) if info.last <= bound else bisect_right(part.paths, bound, start)
        self.at = stop
        if info.last <= bound:
            self.index, self.part = self.index + 1, None
        return part, start, bisect_left(part.paths, self.high, start, stop) if info.last >= self.high else stop


def _compare(left: Part, right: Part) -> Iterator[Change]:
    ours = {entry.path: entry for entry in left[0].entries(*left[1:])}
    theirs = {entry.path: entry for entry in right[0].entries(*right[1:])}
    for path in sorted(ours.keys() | theirs.keys()):
        one, two = ours.get(path), theirs.get(path)
        if one != two:
            yield Change("added" if one is None else "removed" if two is None else "changed", path, one, two)

"""Trees: all entries of a commit as a list of ranges. Equal entries give an equal tree id, whatever the history."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mldlc.plan.codec import canonical
from mldlc.plan.versions import Entry
from mldlc.store.versions.entries import check_removal, prefix_span
from mldlc.store.versions.nodes import DiskNodes as DiskNodes
from mldlc.store.versions.nodes import NodeStore as NodeStore
from mldlc.store.versions.ranges import EMPTY_RANGE, Cut, Range, decode, encode, from_entries, join, overlay, without

if TYPE_CHECKING:
    import polars as pl

FORMAT = "mldlc.tree/1"
BATCH = 64  # ranges written at once: some 20 MB


@dataclass(frozen=True, slots=True)
class RangeInfo:
    """What a tree says of a range. first, last: paths; count: entries; size: bytes of all its files."""

    first: bytes
    last: bytes
    id: str
    count: int
    size: int


@dataclass(frozen=True)
class Tree:
    """An opened tree: its ranges in order, and the cut that they follow."""

    id: str
    cut: Cut
    ranges: tuple[RangeInfo, ...]

    @property
    def count(self) -> int:
        """Entries."""
        return sum(info.count for info in self.ranges)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(info.size for info in self.ranges)

    @cached_property
    def lasts(self) -> list[bytes]:
        """The last path of each range."""
        return [info.last for info in self.ranges]


def open_tree(nodes: NodeStore, tree_id: str) -> Tree:
    """Read a tree, not its ranges. FileNotFoundError; ValueError when it is damaged or of another format."""
    value = json.loads(nodes.read("trees", tree_id))
    if value["format"] != FORMAT:
        raise ValueError(f"tree {tree_id} has format {value['format']}; this release reads {FORMAT}")
    infos = (RangeInfo(first.encode(), last.encode(), *rest) for first, last, *rest in value["ranges"])
    return Tree(tree_id, Cut(*value["cut"]), tuple(infos))


def read_range(nodes: NodeStore, info: RangeInfo) -> Range:
    """Read a range. FileNotFoundError; ValueError when it is damaged or of another format."""
    data = nodes.read("ranges", info.id)
    try:
        return decode(data)
    except ValueError as error:
        raise ValueError(f"range {info.id}: {error}") from error


def empty_tree(nodes: NodeStore, cut: Cut = Cut()) -> str:  # noqa: B008 (immutable)
    """The id of the tree without entries, which is written."""
    return _write_tree(nodes, cut, [])


def build_tree(nodes: NodeStore, entries: Iterable[Entry], cut: Cut = Cut()) -> str:  # noqa: B008 (immutable)
    """Write a tree of these entries (any order; of several with one path the last) and give its id."""
    new = from_entries(entries)
    writer = _Writer(nodes, cut)
    writer.add(new, [new.paths[index] for index in cut.ends(new.paths)])
    return writer.finish()


def apply_changes(nodes: NodeStore, tree_id: str, put: Iterable[Entry] = (), remove: Iterable[str] = ()) -> str:
    """The id of a tree with names removed (all below one that ends with "/"; absent ones are fine), then entries put.

    Reads and writes only the ranges that change, and those after them up to where range ends meet again.
    """
    tree = open_tree(nodes, tree_id)
    new = from_entries(put)
    gone = _spans(remove)
    writer = _Writer(nodes, tree.cut)
    final = len(tree.ranges) - 1
    if final < 0:
        writer.add(new, [new.paths[index] for index in tree.cut.ends(new.paths)])
    taken = passed = 0
    for index, info in enumerate(tree.ranges):
        stop = len(new) if index == final else bisect_right(new.paths, info.last, taken)
        while passed < len(gone) and gone[passed][1] <= info.first:
            passed += 1
        cover = passed
        while cover < len(gone) and gone[cover][0] <= info.last:
            cover += 1
        spans = gone[passed:cover]
        if stop == taken and not spans and not writer.pending:
            writer.keep(info)
            continue
        writer.add(*_edited(nodes, tree.cut, info, new.slice(taken, stop), spans))
        taken = stop
    return writer.finish()


def _edited(
    nodes: NodeStore, cut: Cut, info: RangeInfo, new: Range, gone: Sequence[tuple[bytes, bytes]]
) -> tuple[Range, list[bytes]]:
    """A range without what is gone, with the new entries, and the paths that end a range in it."""
    whole = any(low <= info.first and info.last < high for low, high in gone)
    old = EMPTY_RANGE if whole else read_range(nodes, info)
    ends = {new.paths[index] for index in cut.ends(new.paths)}
    if old and cut.ends([info.last]):
        ends.add(info.last)
    kept = without(old, gone) if gone else old
    return overlay(kept, new) if new else kept, sorted(ends)


def iter_entries(nodes: NodeStore, tree_id: str, prefix: str = "", after: str = "") -> Iterator[Entry]:
    """Entries whose path begins with `prefix` and comes after `after`, by path; flat memory."""
    low, high = prefix_span(prefix, after)
    for part in iter_ranges(nodes, open_tree(nodes, tree_id), low, high):
        yield from part.entries()


def iter_ranges(nodes: NodeStore, tree: Tree, low: bytes, high: bytes) -> Iterator[Range]:
    """The entries with low <= path < high, range by range; other ranges are not read."""
    for info in tree.ranges[bisect_left(tree.lasts, low) :]:
        if info.first >= high:
            return
        part = read_range(nodes, info)
        start = bisect_left(part.paths, low) if info.first < low else 0
        stop = bisect_left(part.paths, high) if info.last >= high else len(part)
        if start < stop:
            yield part.slice(start, stop)


def find_entry(nodes: NodeStore, tree_id: str, path: str) -> Entry | None:
    """The entry of a path, or None: reads one range."""
    tree = open_tree(nodes, tree_id)
    name = path.encode(errors="surrogatepass")
    index = bisect_left(tree.lasts, name)
    if index == len(tree.ranges) or tree.ranges[index].first > name:
        return None
    part = read_range(nodes, tree.ranges[index])
    at = bisect_left(part.paths, name)
    return part.entry(at) if at < len(part) and part.paths[at] == name else None


def read_columns(nodes: NodeStore, tree_id: str, prefix: str = "") -> pl.DataFrame:
    """All entries under a prefix as a table (path, digest, size, media), by path, without a Python object an entry."""
    import numpy as np
    import polars as pl

    types = {"path": pl.String, "digest": pl.String, "size": pl.Int64, "media": pl.String}
    frames = [pl.DataFrame(schema=types)]
    for part in iter_ranges(nodes, open_tree(nodes, tree_id), *prefix_span(prefix)):
        columns = {
            "path": pl.Series([part.blob.decode()]).str.split("\0").explode(),
            "digest": pl.Series([part.digests.hex("\0", 32)]).str.split("\0").explode(),
            "size": np.frombuffer(part.sizes, "<i8"),
            "media": part.media,
        }
        frames.append(pl.DataFrame(columns, schema=types))
    return pl.concat(frames)


def _spans(names: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Spans of removed paths, sorted, none inside another."""
    spans: list[tuple[bytes, bytes]] = []
    for span in sorted(map(check_removal, names)):
        if not spans or span[0] >= spans[-1][1]:
            spans.append(span)
    return spans


def _write_tree(nodes: NodeStore, cut: Cut, infos: Sequence[RangeInfo]) -> str:
    rows = [[info.first.decode(), info.last.decode(), info.id, info.count, info.size] for info in infos]
    return nodes.write("trees", [canonical({"format": FORMAT, "cut": list(cut), "ranges": rows})])[0]


@dataclass
class _Writer:
    """Collects the ranges of a new tree in order. pending: entries whose range has not ended yet."""

    nodes: NodeStore
    cut: Cut
    pending: Range = field(default=EMPTY_RANGE)
    infos: list[RangeInfo] = field(default_factory=list)
    waiting: list[tuple[int, Range, bytes]] = field(default_factory=list)

    def keep(self, info: RangeInfo) -> None:
        """Take over a range as it is; nothing may be pending."""
        self.infos.append(info)

    def add(self, part: Range, marks: Iterable[bytes]) -> None:
        """Go on with entries; marks: sorted paths that end a range if they are there, all that do so in `part`."""
        before = len(self.pending)
        whole = join([(self.pending, 0, before), (part, 0, len(part))]) if before else part
        start = 0
        for mark in marks:
            at = bisect_left(part.paths, mark)
            if at == len(part) or part.paths[at] != mark:
                continue
            start = self._end(whole, start, before + at + 1)
            if start < before + at + 1:
                self._emit(whole.slice(start, before + at + 1))
                start = before + at + 1
        start = self._end(whole, start, len(whole))
        self.pending = whole.slice(start, len(whole)) if start < len(whole) else EMPTY_RANGE

    def _end(self, whole: Range, start: int, stop: int) -> int:
        """End the full ranges of start..stop; where the rest begins."""
        while stop - start >= self.cut.most:
            self._emit(whole.slice(start, start + self.cut.most))
            start += self.cut.most
        return start

    def _emit(self, part: Range) -> None:
        self.waiting.append((len(self.infos), part, encode(part)))
        self.infos.append(RangeInfo(part.paths[0], part.paths[-1], "", len(part), part.size))
        if len(self.waiting) == BATCH:
            self._flush()

    def _flush(self) -> None:
        ids = self.nodes.write("ranges", [data for *_, data in self.waiting])
        for (index, *_), id in zip(self.waiting, ids, strict=True):
            self.infos[index] = replace(self.infos[index], id=id)
        self.waiting.clear()

    def finish(self) -> str:
        """End the last range, write what waits and the tree; its id."""
        if self.pending:
            self._emit(self.pending)
        if self.waiting:
            self._flush()
        return _write_tree(self.nodes, self.cut, self.infos)

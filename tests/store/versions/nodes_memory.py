"""Nodes in memory that count what is read, and dict-based oracles for trees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from mldlc.plan.versions import Entry
from mldlc.store.hashing import hash_bytes
from mldlc.store.versions.nodes import Kind


class MemoryNodes:
    """A NodeStore that forgets nothing. reads: (kind, id) of every read so far."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], bytes] = {}
        self.reads: list[tuple[str, str]] = []

    def read(self, kind: Kind, id: str) -> bytes:
        self.reads.append((kind, id))
        try:
            return self.items[kind, id]
        except KeyError:
            raise FileNotFoundError(f"{kind}/{id}") from None

    def write(self, kind: Kind, items: Sequence[bytes]) -> list[str]:
        ids = [hash_bytes(data) for data in items]
        self.items.update({(kind, id): data for id, data in zip(ids, items, strict=True)})
        return ids

    def ranges_read(self) -> int:
        """Ranges read since the last call."""
        count = sum(kind == "ranges" for kind, _ in self.reads)
        self.reads.clear()
        return count


def entry(path: str, content: object = "", media: str = "") -> Entry:
    """An entry whose digest and size follow from `content`."""
    text = str(content)
    return Entry(path, hashlib.blake2b(text.encode(), digest_size=32).hexdigest(), len(text), media)


def by_path(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Path -> entry."""
    return {item.path: item for item in entries}


def in_order(entries: Mapping[str, Entry]) -> list[Entry]:
    """Entries by the UTF-8 bytes of their paths."""
    return [entries[path] for path in sorted(entries, key=str.encode)]

"""Where ranges and trees lie: immutable files named by the BLAKE3 of their bytes, `ranges/ab/cdef...`, mode 0444."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mldlc.store.durable import each, move_into, sync_folders, temporary_name, write_synced
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import Store

Kind = Literal["ranges", "trees"]


class NodeStore(Protocol):
    """Immutable bytes by digest."""

    def read(self, kind: Kind, id: str) -> bytes:
        """The bytes of that digest. FileNotFoundError when they are gone, ValueError when they are damaged."""
        ...

    def write(self, kind: Kind, items: Sequence[bytes]) -> list[str]:
        """Keep them durably; their digests."""
        ...


@dataclass(frozen=True)
class DiskNodes:
    """Nodes under the root of a store."""

    store: Store

    def path(self, kind: Kind, id: str) -> Path:
        """Where a node lies, present or not."""
        return self.store.root / kind / id[:2] / id[2:]

    def read(self, kind: Kind, id: str) -> bytes:
        """As NodeStore; errors name the file."""
        path = self.path(kind, id)
        data = path.read_bytes()
        if hash_bytes(data) != id:
            raise ValueError(f"{path} is damaged: its bytes do not have that digest")
        return data

    def write(self, kind: Kind, items: Sequence[bytes]) -> list[str]:
        """As NodeStore. One that is there becomes young again, so that no garbage collection takes it."""
        ids = [hash_bytes(data) for data in items]
        missing = {id: data for id, data in zip(ids, items, strict=True) if not _touch(self.path(kind, id), len(data))}
        if not missing:
            return ids
        temporary = {id: self.store.work / temporary_name("node") for id in missing}
        try:
            each(lambda id: write_synced(temporary[id], missing[id], 0o444), list(missing))
            made = False
            for id, path in temporary.items():
                made |= move_into(path, self.path(kind, id))
        except BaseException:
            for path in temporary.values():
                path.unlink(missing_ok=True)
            raise
        folders = {self.path(kind, id).parent for id in missing}
        sync_folders([*folders, *([self.store.root / kind, self.store.root] if made else [])])
        return ids


def _touch(path: Path, size: int) -> bool:
    with suppress(FileNotFoundError, PermissionError):
        if path.stat().st_size == size:
            os.utime(path)
            return True
    return False

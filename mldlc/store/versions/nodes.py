"""Where ranges and trees lie: immutable files named by the BLAKE3 of their bytes, `ranges/ab/cdef...`, mode 0444."""
# ruff: noqa: PTH108, PTH116, PTH123 (a call per file: strings cost a third of Path objects)

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
        name = f"{self.store.root}/{kind}/{id[:2]}/{id[2:]}"
        with open(name, "rb", buffering=0) as file:
            data = file.read()
        if hash_bytes(data) != id:
            raise ValueError(f"{name} is damaged: its bytes do not have that digest")
        return data

    def write(self, kind: Kind, items: Sequence[bytes]) -> list[str]:
        """As NodeStore. One that is there becomes young again, so that no garbage collection takes it."""
        root, work = f"{self.store.root}/{kind}", str(self.store.work)
        ids = [hash_bytes(data) for data in items]
        missing: dict[str, tuple[str, bytes]] = {}
        for id, data in zip(ids, items, strict=True):
            if not _touch(f"{root}/{id[:2]}/{id[2:]}", len(data)):
                missing[id] = f"{work}/{temporary_name('node')}", data
        if not missing:
            return ids
        try:
            each(lambda new: write_synced(*new, 0o444), list(missing.values()))
            made = False
            for id, (temporary, _) in missing.items():
                made |= move_into(temporary, self.path(kind, id))
        except BaseException:
            for temporary, _ in missing.values():
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
            raise
        folders = {f"{root}/{id[:2]}" for id in missing}
        sync_folders([*folders, *([root, str(self.store.root)] if made else [])])
        return ids


def _touch(path: str, size: int) -> bool:
    """Make a present node young; False if it is absent, or cut by a crash of the machine."""
    with suppress(FileNotFoundError, PermissionError):
        if os.stat(path).st_size == size:
            os.utime(path)
            return True
    return False

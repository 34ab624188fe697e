"""The object port: how an execution gets inputs, puts outputs and holds its key. Here over the local store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mldlc.plan.record import Output, Record
from mldlc.store import leases, objects, records
from mldlc.store.batch import Staged, write_group
from mldlc.store.layout import Store

FEW = 8  # below that many items their own syncs are cheaper than two of the whole file system


class Lease(Protocol):
    """The right to execute one key; it ends with the process that holds it."""

    def release(self) -> None:
        """Give it back."""
        ...


class ObjectPort(Protocol):
    """What an execution needs from a store; a remote executor brings its own (bytes by digest, no shared disk)."""

    def fetch(self, digest: str) -> Mapping[str, Path]:
        """Files of an artifact: path inside it -> local path of the bytes. KeyError when it is not in the store."""
        ...

    def put(self, folder: Path, type: str, adopted: Mapping[str, str] | None = None) -> Output:
        """Take the content of `folder` into the store as one artifact. adopted: more of its files, by digest."""
        ...

    def holds(self, path: Path) -> str:
        """The digest of the bytes at a path that `fetch` gave; "" for any other path."""
        ...

    def lease(self, key: str) -> Lease | None:
        """Become the only writer of the key, or None when somebody else is."""
        ...

    def find(self, key: str) -> Record | None:
        """The record of the key, if there is one and all its outputs are there."""
        ...

    def commit(self, record: Record, lease: Lease | None) -> None:
        """Make the record (and the objects before it) durable, drop the key's scratch, then release the lease."""
        ...

    def keep(self, made: Sequence[tuple[Path, Record]]) -> list[Record]:
        """Take folders as the one output `part` of their records, all durable as one group; the whole records."""
        ...

    def touch(self, key: str) -> None:
        """Note that a record was used now."""
        ...

    def scratch(self, key: str) -> Path:
        """The folder of this key that survives a crash."""
        ...


class LocalObjects:
    """The object port of a store on this machine."""

    def __init__(self, store: Store, owner: Mapping[str, str]) -> None:
        self.store = store
        self.owner = dict(owner)

    def fetch(self, digest: str) -> Mapping[str, Path]:
        try:
            files = objects.tree_files(self.store, digest)
            for path in files.values():
                path.stat()
        except (FileNotFoundError, ValueError):
            raise KeyError(digest) from None
        return files

    def put(self, folder: Path, type: str, adopted: Mapping[str, str] | None = None) -> Output:
        return objects.put_tree(self.store, folder, type, adopted)

    def holds(self, path: Path) -> str:
        root, prefix, name = str(self.store.objects.absolute()), path.parent.name, path.name
        return prefix + name if str(path) == f"{root}/{prefix}/{name}" and len(prefix + name) == 64 else ""

    def lease(self, key: str) -> Lease | None:
        return leases.try_acquire(self.store, key, self.owner)

    def find(self, key: str) -> Record | None:
        record = records.read_record(self.store, key)
        return record if record is not None and records.reusable(self.store, record) else None

    def commit(self, record: Record, lease: Lease | None) -> None:
        records.write_record(self.store, record)
        drop_scratch(self.store, record.key)
        if lease is not None:
            lease.release()

    def keep(self, made: Sequence[tuple[Path, Record]]) -> list[Record]:
        if len(made) < FEW:
            outputs = [self.put(folder, "Any") for folder, _ in made]
            whole = [replace(record, outputs={"part": o}) for o, (_, record) in zip(outputs, made, strict=True)]
            records.write_records(self.store, whole)
            return whole
        staged = [Staged(self.store, folder, "Any") for folder, _ in made]
        whole = [replace(record, outputs={"part": item.output}) for item, (_, record) in zip(staged, made, strict=True)]
        write_group(self.store, staged, whole)
        return whole

    def touch(self, key: str) -> None:
        records.touch_record(self.store, key)

    def scratch(self, key: str) -> Path:
        return Path(self.store.scratch) / key


def drop_scratch(store: Store, key: str) -> None:
    """Remove what a finished key kept against a crash."""
    folder = f"{store.scratch}/{key}"
    if os.path.exists(folder):  # noqa: PTH110 (asked for every step)
        shutil.rmtree(folder, ignore_errors=True)

"""Small artifacts and records for tests of the store."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

from mldlc.plan.record import Output, Record
from mldlc.store.durable import temporary_name
from mldlc.store.layout import Store
from mldlc.store.objects import put_tree
from mldlc.store.records import write_record


def fill(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files (path -> bytes) into a new folder, in the order given."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def put(store: Store, files: Mapping[str, bytes], type: str = "Any") -> Output:
    """Put files into the store as one tree."""
    return put_tree(store, fill(store.work / temporary_name("run") / "out", files), type)


def key_of(name: str) -> str:
    """A key as plans have them: 64 hex digits."""
    return hashlib.blake2b(name.encode(), digest_size=32).hexdigest()


def commit(store: Store, name: str, files: Mapping[str, bytes]) -> Record:
    """An execution of stage `name` with one output, stored and recorded."""
    record = Record(key_of(name), key_of("recipe"), "test.make", name, {"out": put(store, files)})
    write_record(store, record)
    return record


def age(path: Path, seconds: float) -> None:
    """Make a file, or a folder with all in it, look as old as that."""
    then = time.time() - seconds
    for item in (path, *path.rglob("*")) if path.is_dir() else (path,):
        os.utime(item, (then, then))

"""Action records on disk. Writing one is the commit point of an execution: its outputs are durable before."""
# ruff: noqa: PTH105, PTH123 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mldlc.plan.codec import canonical, decode, encode
from mldlc.plan.record import FORMAT, Record
from mldlc.store.durable import each, move_into, sync_folders, temporary_name, write_synced
from mldlc.store.layout import Store
from mldlc.store.objects import has_tree

FAMILY = FORMAT.rpartition("/")[0]


def read_record(store: Store, key: str) -> Record | None:
    """The record of a key, or None. A damaged file is moved aside as `<key>.corrupt` and counts as absent."""
    path = store.record_path(key)
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    try:
        return parse_record(data, key)
    except ValueError:
        with suppress(OSError):  # a read-only store: it stays, and stays without effect
            os.replace(path, store.record(key).with_suffix(".corrupt"))
        return None


def parse_record(data: bytes, key: str) -> Record | None:
    """Decode the record of a key; None for one of a newer format. ValueError when the bytes are no record of it."""
    try:
        value = json.loads(data)
        format = str(value["format"])
        if format != FORMAT and format.rpartition("/")[0] == FAMILY:
            return None
        record = decode(Record, value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error}") from error
    if format != FORMAT or record.key != key:
        raise ValueError(f"a record of {record.key}, not of {key}")
    return record


def write_record(store: Store, record: Record) -> None:
    """Write one record: whole or not at all, durable on return. OSError leaves nothing."""
    write_records(store, [record])


def write_records(store: Store, records: Sequence[Record]) -> None:
    """Write records in order as one group: their fsyncs overlap and folders are synced once. All durable on return.

    A crash in between leaves the first ones, as if each had been written alone.
    """
    temporary = [store.work / temporary_name("record") for _ in records]
    try:
        pairs = list(zip(temporary, records, strict=True))
        each(lambda pair: write_synced(pair[0], canonical(encode(pair[1])), 0o644), pairs)
        made = False
        for path, record in pairs:
            made |= move_into(path, store.record_path(record.key))
    except BaseException:
        for path in temporary:
            path.unlink(missing_ok=True)
        raise
    folders: dict[Path, None] = dict.fromkeys(store.record(record.key).parent for record in records)
    sync_folders([*folders, store.records] if made else folders)


def iter_records(store: Store) -> Iterator[Record]:
    """Every readable record, sorted by key."""
    for key in record_keys(store):
        record = read_record(store, key)
        if record is not None:
            yield record


def record_keys(store: Store) -> Iterator[str]:
    """Keys of the record files, sorted."""
    for folder in sorted(store.records.iterdir()) if store.records.is_dir() else []:
        for path in sorted(folder.glob("*.json")):
            yield path.stem


def touch_record(store: Store, key: str) -> bool:
    """Note that a record was used now, so that garbage collection keeps it. False when it is gone."""
    try:
        os.utime(store.record_path(key))
    except FileNotFoundError:
        return False
    except OSError:  # a read-only store collects no garbage
        return store.record(key).exists()
    return True


def record_age(store: Store, key: str) -> float:
    """Seconds since a record was written or used last. FileNotFoundError when it is gone."""
    return time.time() - store.record(key).stat().st_mtime


def reusable(store: Store, record: Record) -> bool:
    """Whether all outputs of a record are in the store, with the right sizes."""
    return all(has_tree(store, output.digest) for output in record.outputs.values())

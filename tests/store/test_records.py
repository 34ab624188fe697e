"""Records: whole or absent, moved aside when damaged, written alone or as a group."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.record import Output, Record
from mldlc.store.layout import Store
from mldlc.store.objects import tree_files
from mldlc.store.records import (
    iter_records,
    read_record,
    record_age,
    reusable,
    touch_record,
    write_record,
    write_records,
)
from tests.store.making import age, commit, key_of

_text = st.text(max_size=8)
records = st.builds(
    Record,
    key=st.binary(min_size=32, max_size=32).map(bytes.hex),
    recipe=_text,
    kind=_text,
    stage=_text,
    outputs=st.dictionaries(_text, st.builds(Output, _text, _text, st.integers(0), st.integers(0)), max_size=3),
    inputs=st.dictionaries(_text, st.dictionaries(_text, _text, min_size=1, max_size=2), max_size=2),
    seconds=st.floats(0, 1e9),
    memory=st.integers(0, 1 << 50),
    summary=st.dictionaries(_text, st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), _text)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(records, max_size=6, unique_by=lambda record: record.key))
def test_a_group_reads_back(store: Store, batch: list[Record]) -> None:
    write_records(store, batch)
    assert [read_record(store, record.key) for record in batch] == batch
    found = {record.key: record for record in iter_records(store)}
    assert all(found[record.key] == record for record in batch)
    assert not list(store.work.iterdir())


def test_an_absent_record_is_none(store: Store) -> None:
    assert read_record(store, key_of("nothing")) is None
    assert list(iter_records(store)) == []


def test_a_later_record_of_a_key_replaces_the_first(store: Store) -> None:
    record = commit(store, "train", {"a": b"1"})
    write_record(store, replace(record, seconds=2.0))
    assert read_record(store, record.key) == replace(record, seconds=2.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\0" * len(data),
        lambda data: b"[]",
        lambda data: b'{"format":"mldlc.record/1"}',
        lambda data: data.replace(b"mldlc.record/1", b"something/1"),
        lambda data: data.replace(key_of("train").encode(), key_of("other").encode()),
        lambda data: data.replace(b'"outputs":{', b'"outputs":["x"],"o":{'),
        lambda data: data + b"\xff",
    ],
)
def test_a_damaged_record_is_moved_aside(store: Store, damage) -> None:
    record = commit(store, "train", {"a": b"1"})
    path = store.record(record.key)
    bad = damage(path.read_bytes())
    path.write_bytes(bad)
    assert read_record(store, record.key) is None
    assert not path.exists()
    assert path.with_name(f"{record.key}.corrupt").read_bytes() == bad
    assert list(iter_records(store)) == []
    write_record(store, record)
    assert read_record(store, record.key) == record


def test_a_record_of_a_newer_format_is_neither_used_nor_moved(store: Store) -> None:
    record = commit(store, "train", {"a": b"1"})
    path = store.record(record.key)
    path.write_bytes(path.read_bytes().replace(b"mldlc.record/1", b"mldlc.record/2"))
    assert read_record(store, record.key) is None
    assert path.exists()


def test_reuse_needs_every_output(store: Store) -> None:
    record = commit(store, "train", {"a": b"1", "b": b"2"})
    assert reusable(store, record)
    tree_files(store, record.outputs["out"].digest)["b"].unlink()
    assert not reusable(store, record)


def test_touching_makes_young(store: Store) -> None:
    record = commit(store, "train", {"a": b"1"})
    age(store.record(record.key), 1000)
    assert record_age(store, record.key) > 999
    assert touch_record(store, record.key)
    assert record_age(store, record.key) < 100
    assert not touch_record(store, key_of("nothing"))


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    record = Record(key_of("x"), "r", "k", "s", {})
    (store.records / record.key[:2]).write_text("a file where a folder must be")
    with pytest.raises(OSError):
        write_records(store, [record])
    assert not list(store.work.iterdir())
    assert read_record_or_error(store, record.key) is None


def read_record_or_error(store: Store, key: str) -> Record | None:
    """`read_record`, or None where the path cannot even be opened."""
    try:
        return read_record(store, key)
    except NotADirectoryError:
        return None


def test_records_are_canonical_json(store: Store) -> None:
    record = commit(store, "train", {"a": b"1"})
    text = Path(os.fspath(store.record(record.key))).read_text()
    assert text.startswith('{"format":"mldlc.record/1","key":"' + record.key)
    assert "\n" not in text and ": " not in text

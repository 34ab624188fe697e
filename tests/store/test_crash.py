"""kill -9 at random moments of storing and recording: nothing half is ever visible, nothing blocks the next one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

from mldlc.store.gc import collect_garbage
from mldlc.store.layout import Store, open_store
from mldlc.store.leases import acquire
from mldlc.store.records import iter_records, reusable, write_records
from mldlc.store.verify import verify
from tests.store.making import age, commit, key_of

FORK = multiprocessing.get_context("fork")


def _produce(outputs: Path, seed: int) -> None:
    """Store and record without end."""
    store = open_store(outputs)
    chance = random.Random(seed)
    while True:
        _produce_once(store, seed, chance)


def _produce_once(store: Store, seed: int, chance: random.Random) -> None:
    """A single record and a group, over new objects and ones that are already there."""
    name = f"{seed}-{chance.randrange(1 << 30)}"
    files = {f"d{n % 3}/f{n}": bytes([chance.randrange(4)]) * chance.randrange(60_000) for n in range(6)}
    with acquire(store, key_of("the one key all want"), {"pid": os.getpid()}, poll=0.001):
        record = commit(store, name, files)
    write_records(store, [replace(record, key=key_of(f"{name}-{n}")) for n in range(8)])


def test_kill_at_forty_random_moments(tmp_path: Path) -> None:
    chance = random.Random(11)
    outputs = tmp_path / "outputs"
    begun = time.monotonic()
    _produce_once(open_store(outputs), -1, chance)
    unit = time.monotonic() - begun  # moments are spread over the work, however busy the disk is
    recorded = []
    for seed in range(400):
        if seed >= 40 and len(set(recorded)) > 20:  # a busy disk: some kills came before anything was written
            break
        child = FORK.Process(target=_produce, args=(outputs, seed))
        child.start()
        time.sleep(0.004 + chance.random() * 3 * unit)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it died of something else"
        store = open_store(outputs)
        records = list(iter_records(store))
        recorded.append(len(records))
        assert all(reusable(store, record) for record in records), "a record without its outputs"
    assert recorded == sorted(recorded), "a record was lost"
    assert len(set(recorded)) > 20, "the kills came too early to prove anything"
    assert verify(store) == []
    assert not list(store.records.rglob("*.corrupt"))
    _nothing_is_left_behind(store, recorded[-1])


def _nothing_is_left_behind(store: Store, count: int) -> None:
    age(store.root, 1e7)
    collect_garbage(store)
    assert not list(store.work.iterdir()) and not list(store.leases.iterdir())
    assert len(list(iter_records(store))) == count
    assert verify(store) == []

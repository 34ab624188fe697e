"""The lease for file systems without flock, on its own: the same promises by link(2) and heartbeat."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from mldlc.store import leases
from mldlc.store.heartbeat import STALE, lock_owner, try_lock
from mldlc.store.layout import Store
from tests.store.making import age, key_of

FORK = multiprocessing.get_context("fork")
ME = {"run": "r1"}


def test_one_holder_shown_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "key.links"
    assert lock_owner(folder) is None
    lock = try_lock(folder, ME)
    assert lock is not None and lock.intact() and lock_owner(folder) == ME
    assert try_lock(folder, {}) is None
    lock.release()
    assert not lock.intact() and lock_owner(folder) is None and not list(folder.iterdir())
    assert try_lock(folder, {}) is not None


def _hold(folder: Path, ready) -> None:
    assert try_lock(folder, ME) is not None
    ready.put(1)
    time.sleep(60)


def test_a_killed_holder_on_this_host_frees_it_at_once(tmp_path: Path) -> None:
    for _ in range(10):
        ready = FORK.SimpleQueue()
        child = FORK.Process(target=_hold, args=(tmp_path, ready))
        child.start()
        ready.get()
        assert try_lock(tmp_path, {}) is None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        lock = try_lock(tmp_path, {})
        assert lock is not None
        lock.release()


def test_a_holder_on_another_host_is_dead_when_its_heart_stops(tmp_path: Path) -> None:
    lock = try_lock(tmp_path, ME)
    assert lock is not None
    content = json.loads(lock.path.read_bytes())
    lock.path.write_text(json.dumps(content | {"host": "elsewhere"}))
    age(lock.path, STALE - 5)
    assert try_lock(tmp_path, {}) is None
    age(lock.path, STALE + 5)
    second = try_lock(tmp_path, {})
    assert second is not None and second.path.name == "00000002" and not lock.intact()
    lock.release()
    assert second.intact(), "the late holder must not remove what is not its own"


def _contend(folder: Path, seed: int, witness: Path, seconds: float) -> None:
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lock = try_lock(folder, {})
        if lock is None:
            time.sleep(chance.random() * 0.002)
            continue
        witness.write_text(str(os.getpid()))
        time.sleep(chance.random() * 0.002)
        if witness.read_text() != str(os.getpid()):
            os._exit(9)
        lock.release()
    os._exit(0)


def test_never_two_holders_with_kills_at_random(tmp_path: Path) -> None:
    chance = random.Random(3)
    folder, witness = tmp_path / "key.links", tmp_path / "inside"
    end = time.monotonic() + 3.0
    children: list = []
    while time.monotonic() < end:
        while len(children) < 4:
            args = (folder, chance.randrange(1 << 30), witness, max(0.05, end - time.monotonic()))
            children.append(FORK.Process(target=_contend, args=args))
            children[-1].start()
        time.sleep(chance.random() * 0.05)
        victim = children.pop(chance.randrange(4))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        assert all(child.exitcode in (None, 0) for child in children)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * len(children)
    assert try_lock(folder, {}) is not None


def test_leases_turn_to_it_where_flock_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thing no file system at hand does: refuse flock. What happens then runs for real."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(leases.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(leases.fcntl, "flock", refuse)
    key = key_of("train")
    with leases.try_acquire(store, key, ME) as lease:
        assert lease.held() and leases.holder(store, key) == ME
        assert leases.try_acquire(store, key, {}) is None
        assert leases.lease_keys(store) == [key]
    assert leases.holder(store, key) is None
    assert leases.try_acquire(store, key, {}) is not None

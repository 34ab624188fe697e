"""Leases that share one locked file behave as leases with a file each, also when their process is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from mldlc.store.gc import collect_garbage
from mldlc.store.layout import Store
from mldlc.store.lease_group import LeaseGroup
from mldlc.store.leases import holder, lease_keys, try_acquire
from tests.store.making import age, key_of

FORK = multiprocessing.get_context("fork")
ME = {"pid": os.getpid(), "host": "here", "run": "r1"}
OTHER = {"pid": 0, "host": "there", "run": "r2"}
A, B = key_of("a"), key_of("b")


def test_two_groups_and_a_plain_lease_exclude_each_other(store: Store) -> None:
    mine, yours = LeaseGroup(store, ME), LeaseGroup(store, OTHER)
    first = mine.try_acquire(A)
    assert first is not None and first.held() and holder(store, A) == ME
    assert yours.try_acquire(A) is None and try_acquire(store, A, OTHER) is None and mine.try_acquire(A) is None
    second = yours.try_acquire(B)
    assert second is not None and holder(store, B) == OTHER
    first.release()
    assert holder(store, A) is None and not first.held() and second.held()
    plain = try_acquire(store, A, OTHER)
    assert plain is not None and mine.try_acquire(A) is None
    plain.release()
    assert mine.try_acquire(A) is not None


def test_nothing_is_left_behind(store: Store) -> None:
    group = LeaseGroup(store, ME)
    for key in (A, B, A):
        lease = group.try_acquire(key)
        assert lease is not None
        lease.release()
    assert lease_keys(store) == ["group-r1"]
    group.close()
    group.close()
    assert lease_keys(store) == []


def _hold(store: Store, ready) -> None:
    group = LeaseGroup(store, {**OTHER, "pid": os.getpid()})
    assert group.try_acquire(A) is not None and group.try_acquire(B) is not None
    ready.put(os.getpid())
    time.sleep(60)


def killed(store: Store) -> None:
    ready = FORK.Queue()
    child = FORK.Process(target=_hold, args=(store, ready))
    child.start()
    ready.get(timeout=30)
    assert try_acquire(store, A, ME) is None
    os.kill(child.pid, signal.SIGKILL)  # type: ignore[arg-type]
    child.join()


def test_the_names_of_a_killed_process_do_not_bind_each_other(store: Store) -> None:
    killed(store)
    assert holder(store, A) is None
    first = try_acquire(store, A, ME)
    second = LeaseGroup(store, OTHER).try_acquire(B)
    assert first is not None and second is not None and first.held() and second.held()
    assert (holder(store, A), holder(store, B)) == (ME, OTHER)


def test_collection_sweeps_the_names_of_a_killed_process(store: Store) -> None:
    killed(store)
    age(store.root, 1e7)
    collect_garbage(store, grace_seconds=1)
    assert lease_keys(store) == []


def test_a_forked_child_holds_nothing(store: Store) -> None:
    group = LeaseGroup(store, ME)
    lease = group.try_acquire(A)
    assert lease is not None
    pid = os.fork()
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    try:
        lease.release()
        group.close()
        assert try_acquire(store, A, OTHER) is not None
        assert try_acquire(store, "group-r1", OTHER) is not None, "the child would keep the shared file locked"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("gone", ["shared file", "links"])
def test_where_it_cannot_link_each_lease_has_a_file(store: Store, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    group = LeaseGroup(store, ME)
    assert group.try_acquire(A) is not None
    if gone == "shared file":
        (store.leases / "group-r1").unlink()
    else:
        monkeypatch.setattr(os, "link", _refuse)
    lease = group.try_acquire(B)
    assert lease is not None and lease.held() and Path(store.leases / B).stat().st_nlink == 1
    assert LeaseGroup(store, OTHER).try_acquire(B) is None


def _refuse(*_: object) -> None:
    raise PermissionError(1, "no links here")

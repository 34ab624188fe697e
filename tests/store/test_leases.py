"""Leases: never two holders, freed by the death of the holder, not shared with children."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mldlc.store.layout import Store
from mldlc.store.leases import FileLock, Lease, acquire, holder, lease_keys, try_acquire
from tests.store.making import key_of

FORK = multiprocessing.get_context("fork")
KEY = key_of("train")
ME = {"pid": os.getpid(), "host": "here", "run": "r1"}


def test_one_holder_shown_and_given_back(store: Store) -> None:
    assert holder(store, KEY) is None
    with try_acquire(store, KEY, ME) as lease:
        assert lease.held() and lease.key == KEY
        assert holder(store, KEY) == ME
        assert try_acquire(store, KEY, {"pid": 0}) is None
        assert holder(store, KEY) == ME, "who fails to take it leaves the name of who has it"
        assert try_acquire(store, key_of("other"), ME) is not None
    assert not lease.held()
    lease.release()
    assert holder(store, KEY) is None
    assert not (store.leases / KEY).exists()
    assert try_acquire(store, KEY, ME) is not None


def test_a_shorter_owner_leaves_no_rest_of_a_longer_one(store: Store) -> None:
    (store.leases / KEY).write_text('{"run":"' + "x" * 500 + '"}')
    with try_acquire(store, KEY, ME):
        assert holder(store, KEY) == ME


def test_waiting_ends_with_the_lease_or_with_stop(store: Store) -> None:
    lease = try_acquire(store, KEY, ME)
    asked = []
    assert acquire(store, KEY, ME, poll=0.001, stop=lambda: asked.append(1) or len(asked) > 5) is None
    assert len(asked) == 6
    taken = acquire(store, KEY, ME, poll=0.001, stop=lambda: lease.release() or False)
    assert taken is not None and taken.held()


def _hold(store: Store, ready) -> None:
    lease = acquire(store, KEY, {"pid": os.getpid()}, poll=0.001)
    assert lease is not None
    ready.put(os.getpid())
    time.sleep(60)


def test_a_killed_holder_frees_it_at_once(store: Store) -> None:
    for _ in range(30):
        ready = FORK.SimpleQueue()
        child = FORK.Process(target=_hold, args=(store, ready))
        child.start()
        assert ready.get() == child.pid
        assert holder(store, KEY) == {"pid": child.pid}
        assert try_acquire(store, KEY, ME) is None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert holder(store, KEY) is None
        lease = try_acquire(store, KEY, ME)
        assert lease is not None, "no wait after the death of the holder"
        lease.release()


def _contend(store: Store, seed: int, witness: Path, seconds: float) -> None:
    """Take and give back, and prove to be alone by a file that only a holder makes."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lease = acquire(store, KEY, {"pid": os.getpid()}, poll=chance.random() * 0.002)
        try:
            descriptor = os.open(witness, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            holder_then = witness.read_text()
            if holder_then and _running(int(holder_then)):
                os._exit(9)  # another live process is inside
            witness.write_text(str(os.getpid()))
        else:
            os.write(descriptor, str(os.getpid()).encode())
            os.close(descriptor)
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.002)
        if witness.read_text() != str(os.getpid()):
            os._exit(9)
        witness.unlink()
        assert lease is not None
        lease.release()
        holder(store, KEY)
    os._exit(0)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it ends just now
        return False


def test_never_two_holders_with_kills_at_random(store: Store, tmp_path: Path) -> None:
    chance = random.Random(7)
    witness = tmp_path / "inside"
    seconds = 4.0
    end = time.monotonic() + seconds
    children: list = []
    killed = 0
    while time.monotonic() < end or (killed <= 40 and time.monotonic() < end + 60):  # a busy machine kills slowly
        while len(children) < 4:
            left = max(0.05, end - time.monotonic())
            child = FORK.Process(target=_contend, args=(store, chance.randrange(1 << 30), witness, left))
            child.start()
            children.append(child)
        time.sleep(chance.random() * 0.05)
        victim = children.pop(chance.randrange(4))
        if victim.is_alive():  # on a busy machine its time may be over
            os.kill(victim.pid, signal.SIGKILL)
            killed += 1
        victim.join()
        assert victim.exitcode in (0, -signal.SIGKILL)
        assert all(child.exitcode in (None, 0) for child in children)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * len(children), "two processes held it at once, or one hangs"
    assert killed > 40
    assert try_acquire(store, KEY, ME) is not None


def test_a_forked_child_does_not_hold_it(store: Store) -> None:
    lease = try_acquire(store, KEY, ME)
    assert lease is not None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        mine = lease.held()
        lease.release()  # must neither unlock nor remove the parent's
        os.write(writer, bytes([mine, try_acquire(store, KEY, {}) is not None]))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 2) == bytes([False, False])
    assert holder(store, KEY) == ME and lease.held()


def test_children_that_outlive_the_holder_do_not_keep_it(store: Store) -> None:
    """A worker with a forked and an executed child is killed; both children live on; the lease is free."""
    ready = FORK.SimpleQueue()

    def worker() -> None:
        lease = try_acquire(store, KEY, ME)
        assert lease is not None
        forked = os.fork()
        if forked == 0:
            time.sleep(30)
            os._exit(0)
        executed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
        time.sleep(0.1)
        ready.put((forked, executed.pid))
        time.sleep(30)

    child = FORK.Process(target=worker)
    child.start()
    orphans = ready.get()
    assert try_acquire(store, KEY, ME) is None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    try:
        assert try_acquire(store, KEY, ME) is not None
    finally:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)


def test_an_unlinked_file_is_not_a_lease(store: Store) -> None:
    """Who locked a file that its last holder removed meanwhile must not believe to hold the key."""
    first = try_acquire(store, KEY, ME)
    path = store.leases / KEY
    descriptor = os.open(path, os.O_RDWR)
    late = Lease("late", FileLock(path, descriptor))
    first.release()
    second = try_acquire(store, KEY, ME)
    assert second is not None and second.held()
    assert not late.held()
    late.release()
    assert path.exists() and second.held(), "releasing the dead file leaves the new one"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_an_unreadable_owner_is_still_a_holder(store: Store, content: bytes) -> None:
    with try_acquire(store, KEY, ME):
        (store.leases / KEY).write_bytes(content)
        assert holder(store, KEY) == {}


def test_leases_are_listed(store: Store) -> None:
    try_acquire(store, KEY, ME)
    assert lease_keys(store) == [KEY]

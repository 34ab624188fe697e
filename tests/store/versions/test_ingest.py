"""Outside files become objects: whole, once, read-only, and never half."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mldlc.plan.versions import VersionsError
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import Store
from mldlc.store.objects import put_bytes
from mldlc.store.verify import verify
from mldlc.store.versions import ingest, taken
from mldlc.store.versions.ingest import CLONED, SMALL, take_copy, take_link, take_many, take_output
from mldlc.store.versions.taken import Taken, settle

SIZES = {"empty": 0, "small": 20_000, "edge": SMALL, "large": SMALL + 1, "chunks": 9 << 20}
Take = Callable[[Store, str, str], Taken]


def write(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


@pytest.fixture
def target(store: Store) -> str:
    return str(store.work / "target")


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("take", [take_copy, take_link])
def test_a_file_becomes_an_object(store: Store, tmp_path: Path, target: str, take: Take, size: int) -> None:
    source = write(tmp_path, "a.bin", size)
    data = source.read_bytes()
    taken = take(store, str(source), target)
    assert (taken.digest, taken.size, taken.path) == (hash_bytes(data), size, target)
    assert taken.synced == (size > SMALL)
    settle(store, [taken])
    kept = store.object(taken.digest)
    assert kept.read_bytes() == data == source.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o444
    assert (kept.stat().st_ino == source.stat().st_ino) == (take is take_link)
    assert not Path(target).exists() and verify(store) == []


@pytest.mark.parametrize("take", [take_copy, take_link])
@pytest.mark.parametrize("size", [100, SMALL + 1])
def test_what_is_there_is_not_written_again(store: Store, tmp_path: Path, target: str, take: Take, size: int) -> None:
    source = write(tmp_path, "a.bin", size)
    digest = put_bytes(store, source.read_bytes())
    inode = store.object(digest).stat().st_ino
    os.utime(store.object(digest), (1, 1))
    taken = take(store, str(source), target)
    assert taken[1:3] == (digest, size)
    if take is take_copy:
        assert taken.path == "" and not Path(target).exists()
        assert store.object(digest).stat().st_mtime > 1, "young again: no collection takes it before the commit"
    settle(store, [taken])
    assert store.object(digest).stat().st_ino == inode and store.object(digest).stat().st_mtime > 1
    assert not Path(target).exists()


def test_equal_files_of_one_group_are_kept_once(store: Store, tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}", 0) for n in range(3)]
    for path in files:
        path.write_bytes(b"same")
    taken = [take_copy(store, str(path), str(store.work / f"t{n}")) for n, path in enumerate(files)]
    settle(store, taken)
    assert sum(path.is_file() for path in store.objects.rglob("*")) == 1 and not list(store.work.iterdir())


def test_a_damaged_object_of_another_size_is_replaced(store: Store, tmp_path: Path, target: str) -> None:
    source = write(tmp_path, "a.bin", 5000)
    digest = put_bytes(store, source.read_bytes())
    path = store.object(digest)
    path.chmod(0o644)
    path.write_bytes(b"cut")
    settle(store, [take_copy(store, str(source), target)])
    assert verify(store) == []


def test_a_group_that_is_large_is_synced_as_a_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real = taken.sync
    monkeypatch.setattr(taken, "sync", lambda folder: (synced.append(folder), real(folder)))
    files = [str(write(tmp_path, f"{n}", 10)) for n in range(taken.GROUP)]
    settle(store, [take_copy(store, path, str(store.work / f"t{n}")) for n, path in enumerate(files)])
    assert synced == [store.work] and verify(store) == []


def test_an_object_that_was_collected_before_the_commit_is_told(store: Store) -> None:
    with pytest.raises(VersionsError, match="put the file again"):
        settle(store, [Taken("", "ab" * 32, 3)])


@pytest.mark.parametrize("take", [take_copy, take_link])
def test_what_cannot_be_taken_is_named(store: Store, tmp_path: Path, target: str, take: Take) -> None:
    (tmp_path / "train.csv").write_text("a")
    with pytest.raises(VersionsError, match=r"there is no file .*tran\.csv; did you mean 'train\.csv'"):
        take(store, str(tmp_path / "tran.csv"), target)
    with pytest.raises(VersionsError, match=r"its folder .*nowhere does not exist"):
        take(store, str(tmp_path / "nowhere" / "x"), target)
    with pytest.raises(VersionsError, match="is not a regular file"):
        take(store, str(tmp_path), target)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VersionsError, match="is not a regular file"):
        take(store, str(tmp_path / "pipe"), target)
    assert not Path(target).exists()


@pytest.mark.parametrize("take", [take_copy, take_link])
@pytest.mark.parametrize("size", [100, SMALL + 1])
def test_a_file_that_is_being_written_is_refused(
    store: Store, tmp_path: Path, target: str, take: Take, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, "a.bin", size)

    def grow() -> None:
        if source.stat().st_size == size:
            with source.open("ab") as file:
                file.write(b"more")

    for name in ("read", "readv"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real: (real(*args), grow())[0])
    with pytest.raises(VersionsError, match="was written while it was stored"):
        take(store, str(source), target)
    assert not Path(target).exists()


@pytest.mark.parametrize("take", [take_copy, take_link])
@pytest.mark.parametrize("size", [100, SMALL + 1])
def test_other_bytes_of_the_same_length_are_refused(
    store: Store, tmp_path: Path, target: str, take: Take, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, "a.bin", size)
    for name in ("read", "readv"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, real=real: (real(*args), os.truncate(source, 0), os.truncate(source, size))[0]
        )
    with pytest.raises(VersionsError, match="was written while it was stored"):
        take(store, str(source), target)
    assert not Path(target).exists()


@pytest.mark.parametrize("take", [take_copy, take_link])
@pytest.mark.parametrize("size", [100, SMALL + 1])
def test_an_object_of_the_store_is_a_file_like_others(
    store: Store, tmp_path: Path, target: str, take: Take, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while somebody else stores the same bytes, and so touches it."""
    digest = put_bytes(store, os.urandom(size))
    source = store.object(digest)
    os.utime(source, (1, 1))
    assert take(store, str(source), target)[1:3] == (digest, size)
    for name in ("read", "readv"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real: (real(*args), os.utime(source))[0])
    taken = take(store, str(source), f"{target}-2")
    assert taken[1:3] == (digest, size)
    settle(store, [taken])
    assert verify(store) == []


def test_a_link_that_is_not_possible_becomes_a_copy(
    store: Store, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    source = write(tmp_path, "a.bin", 100)
    taken = take_link(store, str(source), target)
    assert Path(taken.path).stat().st_ino != source.stat().st_ino
    assert Path(taken.path).read_bytes() == source.read_bytes()


def test_where_blocks_can_be_shared_they_are(
    store: Store, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ioctl itself where the file system has it; here its effect is made by a copy in the kernel."""
    asked: list[int] = []

    def share(copy: int, request: int, source: int) -> int:
        asked.append(request)
        os.copy_file_range(source, copy, 1 << 30)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", share)
    monkeypatch.setattr(ingest, "_no_clone", set())
    source = write(tmp_path, "a.bin", CLONED + 1)
    taken = take_copy(store, str(source), target)
    assert asked == [0x40049409] and taken.synced
    assert (taken.digest, taken.size) == (hash_bytes(source.read_bytes()), CLONED + 1)
    settle(store, [taken])
    assert verify(store) == []


def test_a_file_system_that_cannot_share_blocks_is_asked_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(copy: int, request: int, source: int) -> int:
        asked.append(request)
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(ingest, "_no_clone", set())
    for number in range(3):
        source = write(tmp_path, f"{number}", CLONED + 1)
        settle(store, [take_copy(store, str(source), str(store.work / f"t{number}"))])
    assert len(asked) == 1 and verify(store) == []


def test_disk_full_while_sharing_blocks_is_an_error(
    store: Store, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(fcntl, "ioctl", full)
    monkeypatch.setattr(ingest, "_no_clone", set())
    with pytest.raises(OSError, match="full"):
        take_copy(store, str(write(tmp_path, "a", CLONED + 1)), target)
    assert not Path(target).exists()


def test_an_output_with_a_second_name_is_cut_loose(store: Store) -> None:
    path = store.work / "out"
    path.write_bytes(b"bytes")
    os.link(path, store.work / "other")
    taken = take_output(str(path))
    settle(store, [taken])
    (store.work / "other").write_bytes(b"BYTES")
    assert store.object(taken.digest).read_bytes() == b"bytes"


def test_many_files_keep_their_order_whatever_the_threads(store: Store, tmp_path: Path) -> None:
    sizes = [n % 7 + (SMALL if n % 100 == 3 else 0) for n in range(700)]
    files = [str(write(tmp_path, str(n), size)) for n, size in enumerate(sizes)]
    stage = store.work / "stage"
    stage.mkdir()
    taken = take_many(lambda path: take_copy(store, path, str(stage / Path(path).name)), files, sizes)
    assert [item.size for item in taken] == sizes
    assert [item.digest for item in taken] == [hash_bytes(Path(path).read_bytes()) for path in files]
    assert take_many(lambda item: item, [], []) == []

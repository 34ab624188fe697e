"""A disk that loses power: records what a process does to a folder, and gives what may be left after any part of it.

POSIX promises only what was synced: bytes of a file by its fsync, names in a folder by the folder's. Whatever else was
done may be there or not, each change by itself; so a state has names that came too early and names that did not come.
"""

from __future__ import annotations

import copy
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Variant = Literal["strict", "names", "zeros", "all", "chance"]
VARIANTS: tuple[Variant, ...] = ("strict", "names", "zeros", "all", "chance")


@dataclass
class File:
    """Bytes now, and those that are synced."""

    data: bytes = b""
    synced: bytes = b""
    clean: bool = True


@dataclass
class Folder:
    """Names now, those that are synced, and the changes between the two in order: (name, node or None)."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, File | Folder | None]] = field(default_factory=list)

    def change(self, name: str, node: File | Folder | None) -> None:
        """Give a name, or take it away."""
        self.pending.append((name, node))
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node

    def sync(self) -> None:
        """fsync of the folder."""
        self.synced = dict(self.names)
        self.pending.clear()


class Recorder:
    """Watches the calls of `os` below a folder; `states` goes through what was there after each of them."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.begin = _read(root)
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self._inodes: dict[int, int] = {}  # inode -> number of the file in the record
        self._count = 0
        self._lock = threading.RLock()
        for path in root.rglob("*"):
            if path.is_file():
                self._note(path.stat().st_ino)
                self.events.append(("old", (self._inodes[path.stat().st_ino], self._relative(str(path)))))

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Record from now on."""
        for name in ("open", "write", "fsync", "link", "unlink", "mkdir", "rmdir", "rename", "replace"):
            patch.setattr(os, name, self._wrap(getattr(os, name), getattr(self, f"_{name}")))
        from mldlc.store import batch
        from mldlc.store.versions import taken

        real = batch.sync

        def sync(folder: Path) -> None:
            with self._lock:
                real(folder)
                self._add("syncfs")

        patch.setattr(batch, "sync", sync)
        patch.setattr(taken, "sync", sync)

    def states(self) -> Iterator[tuple[int, Folder]]:
        """After each event: how many there were, and the disk. The disk goes on changing: `survivor` copies it."""
        disk = copy.deepcopy(self.begin)
        files: dict[int, File] = {}
        for number, (kind, arguments) in enumerate(self.events, 1):
            _apply(disk, files, kind, arguments)
            if kind != "old":
                yield number, disk

    def _wrap(self, real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with self._lock:
                before = self._before(real, args, options)
                result = real(*args, **options)
                note(result, before, *args)
                return result

        return call

    def _before(self, real: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Full path of the first argument, with the folder that it is relative to."""
        if not isinstance(args[0], str | os.PathLike):
            return None
        path = os.fspath(args[0])
        folder = options.get("dir_fd")
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path) if folder is not None else path  # noqa: PTH115, PTH118

    def _relative(self, path: str) -> tuple[str, ...] | None:
        full = os.path.abspath(path)  # noqa: PTH100
        return tuple(full[len(self.root) + 1 :].split("/")) if full.startswith(self.root + "/") else None

    def _note(self, inode: int) -> int:
        self._count += 1
        self._inodes[inode] = self._count
        return self._count

    def _add(self, kind: str, *arguments: Any) -> None:
        self.events.append((kind, arguments))

    def _open(self, result: int, path: str, _: Any, flags: int, *__: Any) -> None:
        where = self._relative(path)
        if where is None or not flags & os.O_CREAT:
            return
        inode = os.fstat(result).st_ino
        if flags & os.O_EXCL or inode not in self._inodes:
            self._add("create", self._note(inode), where)

    def _write(self, result: int, _: Any, descriptor: int, data: Any) -> None:
        number = self._inodes.get(os.fstat(descriptor).st_ino)
        if number is not None:
            self._add("write", number, bytes(data[:result]))

    def _fsync(self, _: Any, __: Any, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        where = self._relative(path)
        if os.path.isdir(path):  # noqa: PTH112
            if where is not None or path == self.root:
                self._add("fsync folder", where or ())
        elif (number := self._inodes.get(os.fstat(descriptor).st_ino)) is not None:
            self._add("fsync", number)

    def _link(self, _: Any, source: str, *args: Any) -> None:
        target = self._relative(os.fspath(args[1]))
        inode = os.stat(source).st_ino  # noqa: PTH116
        if inode not in self._inodes:
            self._add("outside", self._note(inode), Path(source).read_bytes())
        if target is not None:
            self._add("link", self._inodes[inode], target)

    def _unlink(self, _: Any, path: str, *__: Any) -> None:
        if (where := self._relative(path)) is not None:
            self._add("remove", where)

    _rmdir = _unlink

    def _mkdir(self, _: Any, path: str, *__: Any) -> None:
        if (where := self._relative(path)) is not None:
            self._add("mkdir", where)

    def _rename(self, _: Any, source: str, *args: Any) -> None:
        target = self._relative(os.fspath(args[1]))
        if target is not None:
            self._add("rename", self._relative(source), target)

    _replace = _rename


def survivor(disk: Folder, variant: Variant, chance: random.Random, target: Path) -> None:
    """Write what may be left of a disk into a new folder.

    strict: only what is synced. names: all names, of files only the synced bytes. zeros: all names, zeros in place of
    bytes that are not synced. all: everything, as after a kill. chance: each change of a name, and each file's rest, by
    chance.
    """
    target.mkdir()
    for name, node in _left(disk, variant, chance).items():
        if isinstance(node, Folder):
            survivor(node, variant, chance, target / name)
        else:
            (target / name).write_bytes(_bytes(node, variant, chance))


def _left(folder: Folder, variant: Variant, chance: random.Random) -> dict[str, File | Folder]:
    if variant == "strict":
        return folder.synced
    if variant != "chance":
        return folder.names
    names = dict(folder.synced)
    for name, node in folder.pending:
        if chance.random() < 0.5:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node
    return names


def _bytes(file: File, variant: Variant, chance: random.Random) -> bytes:
    if file.clean or variant == "all":
        return file.data
    if variant == "zeros":
        return file.synced + bytes(len(file.data) - len(file.synced))
    if variant == "chance":
        return file.data[: chance.randrange(len(file.synced), len(file.data) + 1)]
    return file.synced


def _apply(disk: Folder, files: dict[int, File], kind: str, arguments: tuple[Any, ...]) -> None:
    match kind, arguments:
        case "old", (number, where):
            node = _folder(disk, where[:-1]).names[where[-1]]
            assert isinstance(node, File)
            files[number] = node
        case "create", (number, where):
            files[number] = File(clean=False)
            _folder(disk, where[:-1]).change(where[-1], files[number])
        case "outside", (number, data):
            files[number] = File(data, clean=False)
        case "write", (number, data):
            files[number].data += data
            files[number].clean = False
        case "fsync", (number,):
            _sync_file(files[number])
        case "fsync folder", (where,):
            _folder(disk, where).sync()
        case "syncfs", ():
            _sync_all(disk)
        case "link", (number, where):
            _folder(disk, where[:-1]).change(where[-1], files[number])
        case "remove", (where,):
            _folder(disk, where[:-1]).change(where[-1], None)
        case "mkdir", (where,):
            _folder(disk, where[:-1]).change(where[-1], Folder())
        case "rename", (source, where):
            node = _folder(disk, source[:-1]).names[source[-1]]
            _folder(disk, where[:-1]).change(where[-1], node)
            _folder(disk, source[:-1]).change(source[-1], None)


def _sync_file(file: File) -> None:
    file.synced, file.clean = file.data, True


def _sync_all(folder: Folder) -> None:
    folder.sync()
    for node in folder.names.values():
        if isinstance(node, Folder):
            _sync_all(node)
        else:
            _sync_file(node)


def _folder(disk: Folder, where: tuple[str, ...]) -> Folder:
    for name in where:
        node = disk.names[name]
        assert isinstance(node, Folder)
        disk = node
    return disk


def _read(root: Path) -> Folder:
    folder = Folder()
    for path in root.iterdir():
        data = b"" if path.is_dir() else path.read_bytes()
        folder.names[path.name] = _read(path) if path.is_dir() else File(data, data)
    folder.sync()
    return folder

"""Objects: immutable files named by their BLAKE3, and trees (the files of one artifact) that are objects too."""
# ruff: noqa: PTH105, PTH108, PTH116, PTH123 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mldlc.plan.codec import canonical
from mldlc.plan.record import Output
from mldlc.store.durable import StrPath, each, move_into, sync_folders, temporary_name, write_synced
from mldlc.store.hashing import hash_bytes, hash_descriptor
from mldlc.store.layout import Store


@dataclass(frozen=True)
class Tree:
    """The files of an artifact: path inside it (with "/") -> (digest, size in bytes), sorted by path."""

    files: dict[str, tuple[str, int]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files.values())


def put_tree(store: Store, folder: Path, type: str = "Any", adopted: Mapping[str, str] | None = None) -> Output:
    """Take a folder under `store.work` into the store: its files are moved, not copied, and are durable on return.

    adopted: more files of the artifact, path inside it -> digest of an object that is in the store already.
    Equal files give an equal digest, whatever their order, times and modes; empty folders do not count.
    StepError: a symbolic link, a device, a name that is not UTF-8, a file still being written, a file both in `folder`
    and adopted, an adopted object that is gone. OSError (disk full, no permission) leaves whole objects without a
    record, and the rest in `folder`.
    """
    root = str(folder)
    names = sorted(_names(root, ""))
    twice = sorted(set(names) & set(adopted or ()))
    if twice:
        raise _refuse(f"output {twice[0]!r} is both written and adopted", "give it one way only")
    taken = each(lambda name: _take(store, root, name), names)
    files = [(name, digest, size) for name, (digest, size, _) in zip(names, taken, strict=True)]
    files = sorted([*files, *((name, digest, _adopt(store, digest)) for name, digest in (adopted or {}).items())])
    tree = canonical({"files": [list(file) for file in files]})
    digest = hash_bytes(tree)
    made = _add_bytes(store, tree, digest) | any(new for _, _, new in taken)
    touched = {item[:2] for item in (digest, *(digest for digest, _, _ in taken))}
    sync_folders([store.objects / prefix for prefix in sorted(touched)] + ([store.objects] if made else []))
    return Output(digest, type, sum(size for *_, size in files), len(files))


def put_bytes(store: Store, data: bytes) -> str:
    """Keep one blob, durably; its digest."""
    digest = hash_bytes(data)
    made = _add_bytes(store, data, digest)
    sync_folders([store.objects / digest[:2]] + ([store.objects] if made else []))
    return digest


def read_tree(store: Store, digest: str) -> Tree:
    """The files of a tree. FileNotFoundError when the tree object is gone, ValueError when its bytes are damaged."""
    data = store.object(digest).read_bytes()
    if hash_bytes(data) != digest:
        raise ValueError(f"tree {store.object(digest)} is damaged: its bytes do not have that digest")
    return Tree({path: (name, size) for path, name, size in json.loads(data)["files"]})


def tree_files(store: Store, digest: str) -> dict[str, Path]:
    """Path inside the artifact -> absolute path of its bytes, to be read in place. Errors as `read_tree`."""
    root = store.objects.absolute()
    return {path: root / name[:2] / name[2:] for path, (name, _) in read_tree(store, digest).files.items()}


def has_tree(store: Store, digest: str) -> bool:
    """Whether a tree and all its files are there with the right sizes; bytes are not read (that is `verify`)."""
    try:
        with open(store.object_path(digest), "rb") as file:
            files = json.loads(file.read())["files"]
        return all(os.stat(store.object_path(name)).st_size == size for _, name, size in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _names(root: str, prefix: str) -> Iterator[str]:
    with os.scandir(f"{root}/{prefix}" if prefix else root) as entries:
        for entry in entries:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _names(root, name)
            elif entry.is_file(follow_symlinks=False):
                try:
                    name.encode()
                except UnicodeEncodeError:
                    raise _refuse(f"output file name {name!r} is not valid UTF-8", "use another name") from None
                yield name
            else:
                what = "a symbolic link" if entry.is_symlink() else "not a regular file"
                raise _refuse(f"output {name!r} is {what}", "write a regular file: artifacts hold bytes only")


def _take(store: Store, root: str, name: str) -> tuple[str, int, bool]:
    """Move one file into the objects: (digest, size, whether a fan-out folder was made)."""
    path = f"{root}/{name}"
    if os.lstat(path).st_nlink > 1:  # somebody else has a name for these bytes and could write them in place
        _own_copy(store, path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        digest = hash_descriptor(descriptor, before.st_size)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _refuse(f"output file {name!r} was written while it was stored", "wait for what writes it")
        target = store.object_path(digest)
        if _touch(target, before.st_size):
            os.unlink(path)
            return digest, before.st_size, False
        os.fchmod(descriptor, 0o444)
        os.utime(descriptor)  # young by the clock of the garbage collection, whatever times the step gave it
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest, before.st_size, move_into(path, target)


def _adopt(store: Store, digest: str) -> int:
    """Make an object young that another artifact brought here; its size."""
    try:
        size = os.stat(store.object_path(digest)).st_size
    except FileNotFoundError:
        size = -1
    if size < 0 or not _touch(store.object_path(digest), size):
        raise _refuse(f"object {digest[:12]} is no longer in the store", "run the same command again")
    return size


def _own_copy(store: Store, path: str) -> None:
    import shutil

    copy = store.work / temporary_name()
    shutil.copyfile(path, copy, follow_symlinks=False)
    os.replace(copy, path)


def _add_bytes(store: Store, data: bytes, digest: str) -> bool:
    """Write a blob that is not there yet; whether a fan-out folder was made."""
    target = store.object_path(digest)
    if _touch(target, len(data)):
        return False
    temporary = store.work / temporary_name()
    write_synced(temporary, data, 0o444)
    return move_into(temporary, target)


def _touch(target: StrPath, size: int) -> bool:
    """Make a present object young, so that no garbage collection takes it before a record names it; False if absent.

    One of another size was cut by a crash of the machine, and one of another user cannot be touched: both are replaced.
    """
    try:
        info = os.stat(target)
        if not stat.S_ISREG(info.st_mode) or info.st_size != size:
            return False
        os.utime(target)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _refuse(message: str, hint: str) -> Exception:
    from mldlc.plan.context import StepError

    return StepError(message, hint=hint)

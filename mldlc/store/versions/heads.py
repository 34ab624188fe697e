"""Branches and tags: small files made by link(2), which either makes a name or finds that it is there.

heads/<branch>/<16-digit number> holds a commit id; the highest number is the head. A deleted branch ends with a number
that says so, and goes on from there when it is made again: whoever still holds its old head cannot bring it back.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mldlc.plan.versions import RefExists, VersionsError
from mldlc.store.durable import sync_folders, temporary_name, write_synced
from mldlc.store.layout import Store
from mldlc.store.versions.names import COMMIT_ID
from mldlc.store.versions.root import MAIN, ROOT

DELETED = b"deleted"
KEPT = 32  # old numbers of a branch that stay, and all of the last hour: see `advance`
HOUR = 3600.0
_NUMBER = re.compile(r"\d{16}")


class Head(NamedTuple):
    """What a branch is now. number: 0 when it was never written. commit: "" when there is no such branch."""

    number: int
    commit: str


def read_head(store: Store, branch: str) -> Head:
    """The head of a branch. VersionsError when its file is damaged."""
    folder = store.root / "heads" / branch
    while True:
        number = max(numbers(folder), default=0)
        if not number:
            return Head(0, ROOT.id if branch == MAIN else "")
        with suppress(FileNotFoundError):  # overtaken and pruned between two calls: look again
            return Head(number, parse_head(folder / _name(number)))


def parse_head(path: Path) -> str:
    """The commit id in the file of a head or a tag; "" for the end of a branch. VersionsError when it is damaged."""
    data = path.read_bytes()
    text = data.decode(errors="replace")
    if not COMMIT_ID.fullmatch(text) and data != DELETED:
        raise VersionsError(f"{path} is damaged: it should hold a commit id, and holds {text[:70]!r}; verify the store")
    return "" if data == DELETED else text


def list_heads(store: Store) -> dict[str, Head]:
    """All branches that there are, sorted by name."""
    folder = store.root / "heads"
    names = {MAIN, *(path.name for path in folder.iterdir() if path.is_dir())} if folder.is_dir() else {MAIN}
    heads = {name: read_head(store, name) for name in sorted(names)}
    return {name: head for name, head in heads.items() if head.commit}


def advance(store: Store, branch: str, seen: Head, commit: str, reaches: Callable[[str, str], bool]) -> bool:
    """Move a branch on from the head that was seen; False when somebody else did first. Durable on return.

    commit: "" ends the branch. reaches(start, ancestor): whether one commit descends from the other; asked only in the
    one case where link(2) does not tell: when the number that was seen is gone, because this process stood still for an
    hour while the branch moved on by more than KEPT, its link may fill a number that was used and pruned long ago.
    """
    folder = store.root / "heads" / branch
    target = folder / _name(seen.number + 1)
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    if not _link(store, commit.encode() or DELETED, target):
        return False
    if seen.number and not _still(folder / _name(seen.number), seen.commit):
        now = read_head(store, branch)
        if now.number != seen.number + 1 and not (commit and now.commit and reaches(now.commit, commit)):
            target.unlink(missing_ok=True)
            return False
    sync_folders([folder, folder.parent, store.root] if made else [folder])
    if seen.number % KEPT == 0:
        prune(folder, time.time() - HOUR)
    return True


def prune(folder: Path, cutoff: float, keep: int = KEPT) -> None:
    """Remove old numbers of a branch, the lowest first, but the last `keep` and all that are younger than `cutoff`."""
    for number in prunable(folder, cutoff, keep):
        (folder / _name(number)).unlink(missing_ok=True)


def prunable(folder: Path, cutoff: float, keep: int = KEPT) -> list[int]:
    """The numbers that `prune` would remove, the lowest first."""
    found = []
    for number in numbers(folder)[: -keep or None]:
        with suppress(FileNotFoundError):
            if (folder / _name(number)).stat().st_mtime >= cutoff:
                break
            found.append(number)
    return found


def numbers(folder: Path) -> list[int]:
    """The numbers in a branch's folder, sorted."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names only)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def read_tag(store: Store, name: str) -> str | None:
    """The commit id of a tag, or None. VersionsError when its file is damaged."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return parse_head(store.root / "tags" / name)
    return None


def list_tags(store: Store) -> dict[str, str]:
    """All tags, sorted by name."""
    folder = store.root / "tags"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    tags = {name: read_tag(store, name) for name in names}
    return {name: commit for name, commit in tags.items() if commit}


def make_tag(store: Store, name: str, commit: str) -> None:
    """Make a tag, durable on return. RefExists when it is there at another commit."""
    target = store.root / "tags" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _link(store, commit.encode(), target):
        found = read_tag(store, name)
        if found != commit:
            raise RefExists(f"tag {name!r} is there already, at commit {found}; a tag does not move")
    sync_folders([target.parent, store.root])


def remove_tag(store: Store, name: str) -> bool:
    """Remove a tag, durable on return; False when there is none."""
    path = store.root / "tags" / name
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folders([path.parent])
    return True


def _link(store: Store, data: bytes, target: Path) -> bool:
    """Make a durable file under a name; False when the name is taken."""
    fresh = store.work / temporary_name("ref")
    write_synced(fresh, data, 0o444)
    try:
        os.link(fresh, target)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def _still(path: Path, commit: str) -> bool:
    with suppress(FileNotFoundError, VersionsError):
        return parse_head(path) == commit
    return False


def _name(number: int) -> str:
    return f"{number:016d}"

"""Commits: immutable canonical JSON named by its BLAKE3; walking them back, and the common ancestors of two."""

from __future__ import annotations

import getpass
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mldlc.plan.versions import Commit, RefNotFound, VersionsError
from mldlc.store.durable import move_into, sync_folders, temporary_name, write_synced
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import Store
from mldlc.store.versions.root import ROOT, encode_commit, make_commit

TICK = 1e-6  # seconds a commit is at least newer than its parents, whatever the clocks: time order is topological
EXPIRED = ".expired"  # an empty file beside a commit whose data the keep policy let go
SHORTEST = 7  # hex digits of an abbreviated commit id


class Commits:
    """The commits of one store. Read ones are kept: they never change. The root commit needs no file."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, Commit] = {ROOT.id: ROOT}

    def path(self, id: str) -> Path:
        """Path of a commit's file, present or not."""
        return self.store.root / "commits" / id[:2] / id[2:]

    def expired(self, id: str) -> bool:
        """Whether the keep policy let the commit's data go."""
        return self.path(id).with_name(id[2:] + EXPIRED).exists()

    def read(self, id: str) -> Commit:
        """A commit by its full id. VersionsError when its file is gone or damaged."""
        found = self._known.get(id)
        if found is None:
            try:
                found = decode_commit(id, self.path(id).read_bytes())
            except FileNotFoundError:
                raise VersionsError(f"commit {id} is missing: there is no {self.path(id)}; verify the store") from None
            except ValueError as error:
                raise VersionsError(f"{self.path(id)} is damaged: {error}; verify the store") from error
            self._known[id] = found
        return found

    def has(self, id: str) -> bool:
        """Whether there is a commit of that full id."""
        return id == ROOT.id or self.path(id).exists()

    def abbreviated(self, start: str) -> str | None:
        """The commit id that starts with these hex digits (7 or more), or None. RefNotFound when several do."""
        if len(start) < SHORTEST or len(start) > 64 or set(start) - set("0123456789abcdef"):
            return None
        folder = self.store.root / "commits" / start[:2]
        names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 (names only)
        found = {start[:2] + name for name in names if len(name) == 62 and name.startswith(start[2:])}
        found |= {ROOT.id} if ROOT.id.startswith(start) else set()
        if len(found) > 1:
            raise RefNotFound(f"commit {start!r} is ambiguous: {', '.join(sorted(found)[:3])}")
        return found.pop() if found else None

    def write(
        self,
        tree: str,
        parents: Iterable[str],
        message: str,
        metadata: Mapping[str, str],
        time: float,
        committer: str,
    ) -> Commit:
        """A new commit, durable on return. VersionsError when metadata is not text to text."""
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise VersionsError(f"commit metadata {key!r} is {type(value).__name__}: key and value are text")
        over = tuple(parents)
        newest = max((self.read(parent).time for parent in over), default=0.0)
        when = max(round(time, 6), round(newest + TICK, 6))
        commit = make_commit(Commit("", tree, over, message, metadata, when, committer))
        while self.expired(commit.id):  # the same commit was made before and collected: another moment, another id
            commit = make_commit(replace(commit, time=round(commit.time + TICK, 6)))
        data = encode_commit(commit)
        target = self.path(commit.id)
        temporary = self.store.work / temporary_name("commit")
        write_synced(temporary, data, 0o444)
        made = move_into(temporary, target)
        sync_folders([target.parent, target.parent.parent, self.store.root] if made else [target.parent])
        self._known[commit.id] = commit
        return commit

    def history(self, *starts: str) -> Iterator[Commit]:
        """These commits and all that they descend from, newest first, each once and after all its children."""
        queue = [(-self.read(id).time, id) for id in set(starts)]
        heapq.heapify(queue)
        seen = set(starts)
        while queue:
            commit = self.read(heapq.heappop(queue)[1])
            yield commit
            for parent in commit.parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(queue, (-self.read(parent).time, parent))

    def first_parents(self, start: str) -> Iterator[Commit]:
        """A commit, its first parent, that one's first parent, and so on: what a branch was, newest first."""
        id = start
        while True:
            commit = self.read(id)
            yield commit
            if not commit.parents:
                return
            id = commit.parents[0]

    def reaches(self, start: str, ancestor: str) -> bool:
        """Whether `ancestor` is `start` or one of its ancestors."""
        oldest = self.read(ancestor).time
        for commit in self.history(start):
            if commit.id == ancestor:
                return True
            if commit.time < oldest:
                return False
        return False

    def merge_bases(self, left: str, right: str) -> list[str]:
        """The common ancestors that are no other common ancestor's ancestor, newest first; several in a criss-cross.

        git's painting (paint_down_to_common), exact here because a commit is newer than its parents.
        """
        if left == right:
            return [left]
        marks = {left: 1, right: 2}  # 1: reached from left, 2: from right, 4: below a common ancestor
        queue = [(-self.read(id).time, id) for id in marks]
        heapq.heapify(queue)
        found = []
        while any(marks[id] < 4 for _, id in queue):
            id = heapq.heappop(queue)[1]
            mark = marks[id]
            if mark == 3:
                found.append(id)
                mark |= 4
            for parent in self.read(id).parents:
                if parent not in marks:
                    heapq.heappush(queue, (-self.read(parent).time, parent))
                marks[parent] = marks.get(parent, 0) | mark
        return found


def decode_commit(id: str, data: bytes) -> Commit:
    """The inverse of `encode_commit`. ValueError when these are not the bytes of that id."""
    if hash_bytes(data) != id:
        raise ValueError(f"its bytes have the digest {hash_bytes(data)}")
    value = json.loads(data)
    metadata = {str(key): str(item) for key, item in value["metadata"].items()}
    parents = tuple(map(str, value["parents"]))
    return Commit(id, value["tree"], parents, value["message"], metadata, value["time"], value["committer"])


def committer() -> str:
    """user@host, as commits are signed by default."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"

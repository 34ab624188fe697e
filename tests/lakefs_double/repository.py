"""What a lakeFS repository does, over the embedded store's objects, trees and commits; refs and staging are its own.

Rules are those of lakeFS's documentation and of pkg/graveler: merges compare data (no changes: 400), always make a
commit with two parents, and know one merge base; a branch has a staging area that only a commit makes history.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mldlc.plan.versions import Change, Commit, Conflict, Entry, Strategy
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import open_store
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.embedded import open_versions
from mldlc.store.versions.merging import merge_trees
from mldlc.store.versions.root import ROOT
from mldlc.store.versions.three_way import changes_to_merge
from mldlc.store.versions.trees import apply_changes, find_entry, iter_entries

STRATEGY_KEY = ".lakefs.merge.strategy"  # graveler.MergeStrategyMetadataKey
STRATEGY_NAMES = {"": "default", "source-wins": "source-wins", "dest-wins": "dest-wins"}
_NAME = re.compile(r"\w[-\w]*")
_REF = re.compile(r"(.+?)(@?)((?:~\d*|\^\d*)*)")


class Refused(Exception):
    """An answer of 4xx."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


@dataclass(frozen=True)
class Attributes:
    """What lakeFS keeps of an object beside its bytes; part of its identity."""

    etag: str
    content_type: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class Event:
    """What a pre-merge hook is told. source: the commit id that is merged."""

    branch: str
    source: str
    message: str
    metadata: dict[str, str]


@dataclass
class Repository:
    """One repository. `gate` sees merges before they are made and may refuse them."""

    name: str
    namespace: str
    folder: Path
    default: str = "main"
    gate: Callable[[Repository, Event], None] = lambda repository, event: None
    heads: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    staged: dict[str, dict[str, Entry | None]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.store = open_store(self.folder)
        self.versions = open_versions(self.store, committer="double")
        self.commits, self.nodes = self.versions.commits, self.versions.nodes
        self.heads[self.default] = ROOT.id
        self._attributes: dict[str, Attributes] = {}

    # refs

    def resolve(self, ref: str) -> str:
        """The commit id of a ref expression."""
        found = _REF.fullmatch(ref)
        name, _, steps = found.groups() if found else (ref, "", "")
        id = self.heads.get(name) or self.tags.get(name) or self._commit_id(name)
        for kind, count in re.findall(r"([~^])(\d*)", steps):
            for _ in range(int(count or 1) if kind == "~" else 1):
                parents = self.commits.read(id).parents
                index = int(count or 1) - 1 if kind == "^" else 0
                if index >= len(parents):
                    raise Refused(404, "not found")
                id = parents[index]
        return id

    def commit_of(self, ref: str) -> Commit:
        """The commit of a ref expression."""
        return self.commits.read(self.resolve(ref))

    def create_branch(self, name: str, source: str, hidden: bool) -> str:
        """A branch at a ref; its commit id."""
        if not _NAME.fullmatch(name):
            raise Refused(400, f"branch: {name}: invalid value: validation error")
        if name in self.heads:
            raise Refused(409, "branch already exists: not unique")
        self.heads[name] = self.resolve(source)
        self.hidden |= {name} if hidden else set()
        return self.heads[name]

    def delete_branch(self, name: str) -> None:
        """The branch and what is staged on it."""
        self.branch(name)
        if name == self.default:
            raise Refused(403, "cannot delete repository default branch")
        del self.heads[name]
        self.hidden.discard(name)
        self.staged.pop(name, None)

    def branch(self, name: str) -> str:
        """The head of a branch that must be there."""
        if name not in self.heads:
            raise Refused(404, f"branch '{name}': not found")
        return self.heads[name]

    def create_tag(self, name: str, ref: str) -> str:
        """A tag; one that is there is a conflict at the same commit, too."""
        if name in self.tags:
            raise Refused(409, "tag already exists: not unique")
        self.tags[name] = self.resolve(ref)
        return self.tags[name]

    def tag(self, name: str) -> str:
        """The commit of a tag that must be there."""
        if name not in self.tags:
            raise Refused(404, f"tag '{name}': not found")
        return self.tags[name]

    # objects

    def stage(self, branch: str, path: str, digest: str, size: int, attributes: Attributes) -> Entry:
        """Put an object whose bytes are in the store into a branch's staging area."""
        self.branch(branch)
        if not path:
            raise Refused(400, "path: required value")
        key = hash_bytes(json.dumps([attributes.etag, attributes.content_type, attributes.metadata]).encode())[:32]
        self._attributes[key] = attributes
        entry = Entry(path, digest, size, key)
        self.staged.setdefault(branch, {})[path] = entry
        return entry

    def unstage(self, branch: str, path: str) -> None:
        """Leave an object out of the next commit."""
        self.branch(branch)
        self.staged.setdefault(branch, {})[path] = None

    def reset(self, branch: str) -> None:
        """Drop what is staged."""
        self.branch(branch)
        self.staged.pop(branch, None)

    def attributes(self, entry: Entry) -> Attributes:
        """What is kept of an object beside its bytes."""
        return self._attributes[entry.media]

    def entries(self, ref: str, prefix: str = "") -> Iterator[Entry]:
        """Objects at a ref, by path; a plain branch name shows its staging area too."""
        staged = {path: entry for path, entry in self.staged.get(ref, {}).items() if path.startswith(prefix)}
        committed = iter_entries(self.nodes, self.commit_of(ref).tree, prefix)
        if not staged:
            return committed
        both = {entry.path: entry for entry in committed} | staged
        return iter([both[path] for path in sorted(both) if both[path] is not None])

    def entry(self, ref: str, path: str) -> Entry:
        """One object."""
        commit = self.commit_of(ref)
        staged = self.staged.get(ref, {})
        found = staged[path] if path in staged else find_entry(self.nodes, commit.tree, path)
        if found is None:
            raise Refused(404, "not found")
        return found

    # history

    def uncommitted(self, branch: str) -> list[Change]:
        """What a commit of the branch would change."""
        tree = self.commits.read(self.branch(branch)).tree
        changes = []
        for path, entry in sorted(self.staged.get(branch, {}).items()):
            old = find_entry(self.nodes, tree, path)
            if old != entry:
                changes.append(Change("added" if old is None else "changed" if entry else "removed", path, old, entry))
        return changes

    def commit(self, branch: str, message: str, metadata: dict[str, str], allow_empty: bool) -> Commit:
        """What is staged as a commit."""
        head = self.commits.read(self.branch(branch))
        staged = self.staged.get(branch, {})
        put = [entry for entry in staged.values() if entry is not None]
        tree = apply_changes(self.nodes, head.tree, put, [path for path, entry in staged.items() if entry is None])
        if tree == head.tree and not allow_empty:
            raise Refused(400, "commit: no changes")
        return self._advance(branch, tree, (head.id,), message, metadata)

    def diff(self, left: str, right: str, prefix: str, three_dot: bool) -> Iterator[Change]:
        """Changes by path; three_dot: what merging `right` into `left` would do."""
        ours, theirs = self.commit_of(left), self.commit_of(right)
        if not three_dot:
            return diff_trees(self.nodes, ours.tree, theirs.tree, prefix)
        base = self.commits.read(self.merge_base(theirs.id, ours.id))
        return changes_to_merge(self.nodes, base.tree, theirs.tree, ours.tree, prefix)

    def merge_base(self, left: str, right: str) -> str:
        """The best common ancestor; lakeFS takes one."""
        return self.commits.merge_bases(self.resolve(left), self.resolve(right))[0]

    def merge(self, source: str, into: str, message: str, metadata: dict[str, str], strategy: str) -> Commit:
        """A merge commit with the branch's head as its first parent."""
        ours = self.commits.read(self._clean(into))
        theirs = self.commit_of(source)
        base = self.commits.read(self.merge_base(theirs.id, ours.id))
        if strategy not in STRATEGY_NAMES:
            raise Refused(400, "invalid merge strategy")
        tree = self._three_way(base.tree, theirs.tree, ours.tree, strategy)
        marked = {**metadata, STRATEGY_KEY: STRATEGY_NAMES[strategy]}
        self.gate(self, Event(into, theirs.id, message, marked))
        return self._advance(into, tree, (ours.id, theirs.id), message, marked)

    def revert(self, branch: str, ref: str, parent: int, message: str, metadata: dict[str, str]) -> Commit:
        """A commit that undoes another: the merge of its parent over it."""
        undone = self.commit_of(ref)
        if len(undone.parents) > 1 and parent < 1:
            raise Refused(409, "must specify mainline (parent number) for merge commit")
        if parent > len(undone.parents) or not undone.parents:
            raise Refused(400, "given commit does not have the given parent number")
        head = self.commits.read(self._clean(branch))
        before = self.commits.read(undone.parents[max(parent, 1) - 1])
        tree = self._three_way(undone.tree, before.tree, head.tree, "")
        if tree == head.tree:
            raise Refused(400, "revert: no changes")
        return self._advance(branch, tree, (head.id,), message, metadata)

    def replace_below(
        self, branch: str, destination: str, files: list[Entry], message: str, metadata: dict[str, str]
    ) -> Commit:
        """An import: all below the destination goes, what was imported comes."""
        head = self.commits.read(self._clean(branch))
        gone = [entry.path for entry in iter_entries(self.nodes, head.tree, destination)]
        tree = apply_changes(self.nodes, head.tree, files, gone)
        return self._advance(branch, tree, (head.id,), message, {**metadata, STRATEGY_KEY: "source-wins"})

    def log(self, ref: str, prefixes: list[str], first_parent: bool) -> Iterator[Commit]:
        """Commits back; with prefixes only those with one parent that changed something there."""
        start = self.resolve(ref)
        for commit in self.commits.first_parents(start) if first_parent else self.commits.history(start):
            if not prefixes or self._touches(commit, prefixes):
                yield commit

    # inside

    def _touches(self, commit: Commit, prefixes: list[str]) -> bool:
        if len(commit.parents) != 1:
            return False
        before = self.commits.read(commit.parents[0]).tree
        return any(next(diff_trees(self.nodes, before, commit.tree, prefix), None) for prefix in prefixes)

    def _three_way(self, base: str, source: str, dest: str, strategy: str) -> str:
        if source == base:
            raise Refused(400, "no changes")
        try:
            chosen: Strategy = strategy or "none"  # type: ignore[assignment]
            return merge_trees(self.nodes, base, source, dest, chosen)
        except Conflict:
            raise Refused(409, "conflict found") from None

    def _clean(self, branch: str) -> str:
        head = self.branch(branch)
        if self.uncommitted(branch):
            raise Refused(400, f"{branch}: uncommitted changes (dirty branch)")
        return head

    def _advance(
        self, branch: str, tree: str, parents: tuple[str, ...], message: str, metadata: dict[str, str]
    ) -> Commit:
        commit = self.commits.write(tree, parents, message, metadata, time.time(), "double")
        self.heads[branch] = commit.id
        self.staged.pop(branch, None)
        return commit

    def _commit_id(self, name: str) -> str:
        if self.commits.has(name) if len(name) == 64 else False:
            return name
        found = self.commits.abbreviated(name)
        if not found:
            raise Refused(404, "not found")
        return found

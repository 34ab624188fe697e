"""The embedded version store: branches, commits and files beside the action store, on the same objects."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from mldlc.plan.versions import (
    Change,
    Commit,
    DataExpired,
    Denied,
    Entry,
    PathNotFound,
    RefExists,
    RefNotFound,
    Source,
    Strategy,
    VersionsError,
)
from mldlc.store.layout import Store
from mldlc.store.versions import commits, digests, heads, refs
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.drafts import EmbeddedDraft, open_draft
from mldlc.store.versions.globs import compile_glob, literal_prefix, no_match
from mldlc.store.versions.heads import Head
from mldlc.store.versions.merging import merge_trees
from mldlc.store.versions.names import check_branch, check_tag
from mldlc.store.versions.publish import until_done
from mldlc.store.versions.root import MAIN, RootedNodes
from mldlc.store.versions.three_way import changes_to_merge, merged_base
from mldlc.store.versions.trees import find_entry, iter_entries

if TYPE_CHECKING:
    from mldlc.store.gc import GcReport
    from mldlc.store.verify import Problem

GRACE = 14 * 86400.0
CAPS = frozenset({"local-paths", "gc", "verify"})


def open_versions(
    store: Store, *, clock: Callable[[], float] = time.time, committer: str | None = None
) -> EmbeddedVersions:
    """The versions of a store. Nothing is written before the first branch, tag or draft: `main` is there, empty.

    clock: seconds since the epoch, for new commits. committer: user@host by default.
    """
    return EmbeddedVersions(store, clock, committer)


class EmbeddedVersions:
    """See `mldlc.plan.versions.Versions`. `repository` is the store; safe to use from several threads and processes."""

    caps = CAPS
    uri = "store://"

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, committer: str | None = None) -> None:
        self.store = store
        self.nodes = RootedNodes(store)
        self.commits = commits.Commits(store)
        self._clock = clock
        self._committer = committer

    # refs

    def resolve(self, ref: str) -> str:
        """As the port. Order: full commit id, branch, tag, draft, abbreviated commit id (7 digits or more)."""
        return refs.resolve(self.store, self.commits, ref)

    def commit(self, ref: str) -> Commit:
        """As the port."""
        return self.commits.read(self.resolve(ref))

    def branches(self) -> dict[str, str]:
        """As the port."""
        return {name: head.commit for name, head in heads.list_heads(self.store).items()}

    def tags(self) -> dict[str, str]:
        """As the port."""
        return heads.list_tags(self.store)

    def branch(self, name: str, ref: str) -> None:
        """As the port."""
        head = heads.read_head(self.store, check_branch(name))
        commit = self.live(ref)
        if head.commit or not heads.advance(self.store, name, head, commit.id, self.commits.reaches):
            raise RefExists(f"branch {name!r} is there already")
        try:
            self.check_live(commit)  # again, now that the collection can see the branch
        except (DataExpired, RefNotFound):
            self.delete_branch(name)
            raise

    def delete_branch(self, name: str) -> None:
        """As the port."""
        if name == MAIN:
            raise Denied(f"branch {MAIN!r} is always there; it cannot be deleted")
        while True:
            head = refs.existing_head(self.store, name)
            if heads.advance(self.store, name, head, "", self.commits.reaches):
                return

    def tag(self, name: str, ref: str) -> None:
        """As the port."""
        commit = self.live(ref)
        heads.make_tag(self.store, check_tag(name), commit.id)
        try:
            self.check_live(commit)
        except (DataExpired, RefNotFound):
            heads.remove_tag(self.store, name)
            raise

    def delete_tag(self, name: str) -> None:
        """As the port."""
        if not heads.remove_tag(self.store, check_tag(name)):
            raise refs.not_found("tag", name, self.tags())

    # reading

    def entries(self, ref: str, prefix: str = "", *, after: str = "") -> Iterator[Entry]:
        """As the port."""
        commit = self.live(ref)
        return self._guarded(lambda: iter_entries(self.nodes, commit.tree, prefix, after), commit)

    def entry(self, ref: str, path: str) -> Entry:
        """As the port."""
        commit = self.live(ref)
        with self.reading(commit):
            found = find_entry(self.nodes, commit.tree, path)
        if found is None:
            raise self._no_path(ref, commit, path)
        return found

    def digest(self, ref: str, prefix: str = "") -> str:
        """As the port."""
        commit = self.live(ref)
        with self.reading(commit):
            return digests.prefix_digest(self.nodes, commit.tree, prefix)

    def partitions(self, ref: str, prefix: str = "") -> dict[str, str]:
        """As the port."""
        commit = self.live(ref)
        with self.reading(commit):
            return digests.partitions(self.nodes, commit.tree, prefix)

    def source(self, ref: str, glob: str = "**") -> Source:
        """As the port: the objects themselves, which nobody may write."""
        commit = self.live(ref)
        matches = compile_glob(glob)
        root = str(self.store.objects.absolute())
        with self.reading(commit):
            found = [
                (f"{root}/{entry.digest[:2]}/{entry.digest[2:]}", entry.path, entry.digest)
                for entry in iter_entries(self.nodes, commit.tree, literal_prefix(glob))
                if matches(entry.path)
            ]
        if not found:
            raise self._no_path(ref, commit, glob)
        paths, logical, digests = zip(*found, strict=True)
        return Source(paths, logical, digests=digests)

    def open(self, ref: str, path: str) -> BinaryIO:
        """As the port."""
        entry = self.entry(ref, path)
        with self.reading(self.commit(ref)):
            return self.store.object(entry.digest).open("rb")

    # history

    def log(
        self, ref: str, prefix: str = "", *, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[Commit]:
        """As the port. A merge that takes the prefix as one of its parents has it is left out; with `first_parent` it
        stays, because it brought the change. A parent whose data was collected counts as changed."""
        start = self.resolve(ref)
        walk = self.commits.first_parents(start) if first_parent else self.commits.history(start)
        return self._log(walk, prefix, limit, first_parent)

    def merge_base(self, left: str, right: str) -> str:
        """As the port: of several in a criss-cross the newest."""
        return self._merge_bases(self.resolve(left), self.resolve(right))[0]

    def diff(
        self, left: str, right: str, prefix: str = "", *, three_dot: bool = False, depth: int | None = None
    ) -> Iterator[Change]:
        """As the port."""
        ours, theirs = self.live(left), self.live(right)
        if depth is not None and depth < 1:
            raise VersionsError(f"depth {depth} is not a number of levels: 1 or more, or None for every file")
        if not three_dot:
            return self._guarded(lambda: diff_trees(self.nodes, ours.tree, theirs.tree, prefix, depth), ours, theirs)
        bases = [self.commits.read(id) for id in self._merge_bases(theirs.id, ours.id)]

        def changes() -> Iterable[Change]:
            base = merged_base(self.commits, self.nodes, bases)
            return changes_to_merge(self.nodes, base, theirs.tree, ours.tree, prefix, depth)

        return self._guarded(changes, ours, theirs, *bases)

    # writing

    def merge(
        self,
        source: str,
        into: str,
        *,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        strategy: Strategy = "none",
    ) -> Commit:
        """As the port. Whoever loses a race merges again, into the new head."""
        commit = self.commit(source).id
        text = message or f"Merge {source} into {into}"

        def once() -> Commit | None:
            seen = refs.existing_head(self.store, into).commit
            return self._merge_once(commit, into, seen, text, metadata or {}, strategy, hold=True)

        return until_done(once, f"branch {into!r}")

    def merge_seen(
        self, source: str, into: str, seen: str, *, message: str, metadata: Mapping[str, str], strategy: Strategy
    ) -> Commit | None:
        """See `publish.Target`: here a merge is always into the head that was seen."""
        return self._merge_once(source, into, seen, message, metadata, strategy, hold=False)

    def _merge_once(
        self,
        source: str,
        into: str,
        seen: str,
        message: str,
        metadata: Mapping[str, str],
        strategy: Strategy,
        hold: bool,
    ) -> Commit | None:
        """hold: nothing else keeps the source's data, as a draft does for its own."""
        head = refs.existing_head(self.store, into)
        if head.commit != seen:
            return None
        theirs, ours = self.commits.read(source), self.commits.read(seen)
        bases = [self.commits.read(id) for id in self._merge_bases(source, seen)]
        if theirs in bases:
            return ours
        with self.reading(theirs, ours, *bases):
            base = merged_base(self.commits, self.nodes, bases)
            tree = merge_trees(self.nodes, base, theirs.tree, ours.tree, strategy)
            if hold:
                self._hold(ours.tree, tree)
        if tree == ours.tree:
            return ours
        return self._move(into, head, self.write_commit(tree, (ours.id, theirs.id), message, metadata))

    def revert(self, branch: str, ref: str, *, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """As the port; the branch's head where there is nothing to undo."""
        undone = self.commit(ref)
        if not undone.parents:
            raise VersionsError(f"{ref!r} is the root commit: there is nothing before it")
        before = self.commits.read(undone.parents[0])
        text = message or f"Revert {undone.message}"

        def once() -> Commit | None:
            head = refs.existing_head(self.store, branch)
            ours = self.commits.read(head.commit)
            with self.reading(undone, before, ours):
                tree = merge_trees(self.nodes, undone.tree, before.tree, ours.tree)
                self._hold(ours.tree, tree)
            if tree == ours.tree:
                return ours
            return self._move(branch, head, self.write_commit(tree, (ours.id,), text, metadata or {}))

        return until_done(once, f"branch {branch!r}")

    def draft(self, base: str, *, run: str) -> EmbeddedDraft:
        """As the port."""
        return open_draft(self, base, run)

    def write_commit(self, tree: str, parents: tuple[str, ...], message: str, metadata: Mapping[str, str]) -> Commit:
        """A new commit by this store's clock and committer, on no branch yet."""
        who = self._committer or commits.committer()
        return self.commits.write(tree, parents, message, metadata, self._clock(), who)

    def gc(self, *, keep_commits: int | None = None, dry_run: bool = False, grace_seconds: float = GRACE) -> GcReport:
        """Collect what no branch, tag, draft or record needs. keep_commits: data of so many newest commits of each
        branch, of tags and drafts stays; older commits keep their message and metadata only. As `collect_garbage`."""
        from mldlc.store.gc import collect_garbage

        return collect_garbage(self.store, dry_run=dry_run, grace_seconds=grace_seconds, keep_commits=keep_commits)

    def verify(self) -> list[Problem]:
        """Every problem of the store; see `mldlc.store.verify`."""
        from mldlc.store.verify import verify

        return verify(self.store)

    # data that may be gone

    def live(self, ref: str) -> Commit:
        """The commit of a ref whose data is still kept. DataExpired."""
        commit = self.commit(ref)
        self.check_live(commit)
        return commit

    def check_live(self, commit: Commit) -> None:
        """DataExpired when the keep policy let a commit's data go; RefNotFound when the commit went as well."""
        if not self.commits.has(commit.id):
            raise RefNotFound(f"commit {commit.id[:12]} was collected: no branch, tag or draft reached it")
        if self.commits.expired(commit.id):
            raise DataExpired(f"the data of commit {commit.id[:12]} was collected by the keep policy")

    @contextmanager
    def reading(self, *used: Commit) -> Iterator[None]:
        """Read the data of these commits: DataExpired when it was collected, VersionsError when it is damaged."""
        for commit in used:
            self.check_live(commit)
        try:
            yield
        except FileNotFoundError as error:
            for commit in used:
                self.check_live(commit)  # collected in this moment
            raise VersionsError(f"{error.filename} is missing; verify the store") from error
        except ValueError as error:
            raise VersionsError(f"{error}; verify the store") from error

    def _guarded(self, begin: Callable[[], Iterable[Any]], *used: Commit) -> Iterator[Any]:
        with self.reading(*used):
            yield from begin()

    # inside

    def _no_path(self, ref: str, commit: Commit, path: str) -> PathNotFound:
        folder = literal_prefix(path).rpartition("/")[0]
        with self.reading(commit):
            names = [
                entry.path for entry, _ in zip(iter_entries(self.nodes, commit.tree, folder), range(1000), strict=False)
            ]
        return no_match(ref, commit.id, path, names)

    def _merge_bases(self, left: str, right: str) -> list[str]:
        found = self.commits.merge_bases(left, right)
        if not found:
            raise RefNotFound(f"{left[:12]} and {right[:12]} have no common ancestor")
        return found

    def _log(self, walk: Iterator[Commit], prefix: str, limit: int | None, first_parent: bool) -> Iterator[Commit]:
        count = 0
        for commit in walk:
            if limit is not None and count >= limit:
                return
            if not prefix or self._changed(commit, prefix, first_parent):
                count += 1
                yield commit

    def _changed(self, commit: Commit, prefix: str, first_parent: bool) -> bool:
        parents = [self.commits.read(id) for id in (commit.parents[:1] if first_parent else commit.parents)]
        return bool(parents) and all(self._differs(parent, commit, prefix) for parent in parents)

    def _differs(self, left: Commit, right: Commit, prefix: str) -> bool:
        if left.tree == right.tree:
            return False
        try:
            with self.reading(left, right):
                return next(iter(diff_trees(self.nodes, left.tree, right.tree, prefix)), None) is not None
        except DataExpired:
            return True

    def _hold(self, old: str, new: str) -> None:
        """Make the files that a tree has and another has not young: no collection takes them before a commit does."""
        for change in diff_trees(self.nodes, old, new):
            if change.right is not None:
                with suppress(PermissionError):  # another user's; it stays as long as its commit does
                    os.utime(self.store.object(change.right.digest))

    def _move(self, branch: str, head: Head, commit: Commit) -> Commit | None:
        return commit if heads.advance(self.store, branch, head, commit.id, self.commits.reaches) else None

"""The publish loop, one for every store: check what was read, merge, begin again when the branch moved meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from mldlc.plan.versions import Change, Commit, RefExists, StaleRead, Strategy, VersionsError

RUN = "mldlc.run"  # the metadata key by which a merge is known as this run's
ATTEMPTS = 1000
PAUSE = 0.002  # seconds; the first pause is up to that long, each next one up to twice as long
LONGEST = 0.25


class Target(Protocol):
    """What publishing needs of a store beside reading it."""

    def resolve(self, ref: str) -> str: ...
    def digest(self, ref: str, prefix: str = "") -> str: ...
    def tags(self) -> dict[str, str]: ...
    def tag(self, name: str, ref: str) -> None: ...
    def diff(self, left: str, right: str, prefix: str = "", *, three_dot: bool = False) -> Iterator[Change]: ...
    def revert(
        self, branch: str, ref: str, *, message: str = "", metadata: Mapping[str, str] | None = None
    ) -> Commit: ...

    def log(
        self, ref: str, prefix: str = "", *, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[Commit]: ...

    def merge_seen(
        self, source: str, into: str, seen: str, *, message: str, metadata: Mapping[str, str], strategy: Strategy
    ) -> Commit | None:
        """Merge once into a branch whose head was `seen`: the merge, the head where there is nothing to merge, or None
        when the branch moved. A store that cannot tell merges anyway; the first parent says into what."""
        ...


def publish(
    target: Target,
    source: str,
    into: str,
    *,
    base: str,
    run: str,
    reads: Mapping[str, str],
    metadata: Mapping[str, str],
    message: str,
    strategy: Strategy,
    tag: str,
) -> Commit:
    """Merge commit `source`, which began from `base`, into a branch; then tag. As `Draft.publish`.

    RefExists for a tag that is there comes before the merge; only a tag made in that very moment comes after it.
    """
    marked = {RUN: run, **metadata}
    known = run if marked[RUN] == run else ""  # else other drafts of the same run could pass for this one
    text = message or f"Publish {run} to {into}"

    def once() -> Commit | None:
        seen = target.resolve(into)
        done = find_published(target, seen, base, source, known)
        if done is None:
            _check_tag(target, tag, seen, source)
            check_reads(target, seen, reads)
            done = target.merge_seen(source, into, seen, message=text, metadata=marked, strategy=strategy)
            if done is not None:
                _check_after(target, done, seen, source, into, reads)
        return done

    done = until_done(once, f"branch {into!r}")
    if tag:
        target.tag(tag, done.id)
    return done


def until_done(work: Callable[[], Commit | None], what: str) -> Commit:
    """Call `work` until it gives a commit, with pauses at random that grow, so that writers spread. VersionsError."""
    for attempt in range(ATTEMPTS):
        done = work()
        if done is not None:
            return done
        time.sleep(random.random() * min(LONGEST, PAUSE * 2 ** min(attempt, 20)))
    raise VersionsError(f"{what} moved {ATTEMPTS} times while it was merged into; try again")


def find_published(target: Target, head: str, base: str, source: str, run: str) -> Commit | None:
    """The merge of `source`, or of another draft of the same run, that a branch took since `base`; None if none."""
    for commit in target.log(head, first_parent=True):
        if commit.id == base:
            return None
        if source in commit.parents[1:] or (len(commit.parents) > 1 and run and commit.metadata.get(RUN) == run):
            return commit
    return None


def check_reads(target: Target, head: str, reads: Mapping[str, str]) -> None:
    """StaleRead when a prefix is not at `head` what it was when it was read."""
    for prefix, seen in sorted(reads.items()):
        found = target.digest(head, prefix)
        if found != seen:
            raise StaleRead(prefix, seen, found)


def _check_tag(target: Target, tag: str, seen: str, source: str) -> None:
    """RefExists for a tag that is there, unless it is at the head and nothing will be merged into it."""
    found = target.tags().get(tag) if tag else None
    if found is None:
        return
    if found != seen or next(iter(target.diff(seen, source, three_dot=True)), None) is not None:
        raise RefExists(f"tag {tag!r} is there already, at commit {found}; a tag does not move")


def _check_after(target: Target, done: Commit, seen: str, source: str, into: str, reads: Mapping[str, str]) -> None:
    """For a store that merges into whatever the head is: what was read must hold for that head too."""
    merged = source in done.parents[1:]
    before = done.parents[0] if merged else done.id
    if before == seen:
        return
    try:
        check_reads(target, before, reads)
    except StaleRead as error:
        if merged:
            target.revert(into, done.id, message=f"Undo a merge on {into}: {error}")
        raise

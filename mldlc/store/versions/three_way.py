"""What a 3-way merge stands on: one base even in a criss-cross history, and the changes that it would bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mldlc.plan.versions import Change, Commit, Conflict, Entry
from mldlc.store.versions.commits import Commits
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.merging import merge_trees
from mldlc.store.versions.trees import NodeStore, apply_changes

DISPUTED = "0" * 64  # digest of no file: a path on which several bases disagree differs from both sides


def merged_base(commits: Commits, nodes: NodeStore, bases: Sequence[Commit]) -> str:
    """The tree to merge over: the one base's, or several merged into one, as git's recursive merge does it.

    A path that the bases changed differently is a conflict of the merge too, unless both its sides agree on it.
    """
    tree = bases[0].tree
    for done, other in enumerate(bases[1:], 1):
        below = [commits.read(id) for id in commits.merge_bases(bases[done - 1].id, other.id)]
        under = merged_base(commits, nodes, below)
        try:
            tree = merge_trees(nodes, under, other.tree, tree)
        except Conflict as conflict:
            agreed = merge_trees(nodes, under, other.tree, tree, "dest-wins")
            tree = apply_changes(nodes, agreed, [Entry(path, DISPUTED, 0) for path in conflict.paths], ())
    return tree


def changes_to_merge(
    nodes: NodeStore, base: str, source: str, dest: str, prefix: str = "", depth: int | None = None
) -> Iterator[Change]:
    """What merging `source` into `dest` would change, by path: `conflict` where both changed a path differently.

    What both changed to the same is left out. depth: folders instead of files, as `diff_trees`.
    """
    theirs = diff_trees(nodes, base, dest, prefix, depth)
    other = next(theirs, None)
    for change in diff_trees(nodes, base, source, prefix, depth):
        key = change.path.encode()
        while other is not None and other.path.encode() < key:
            other = next(theirs, None)
        if other is None or other.path != change.path or "prefix_changed" in (change.kind, other.kind):
            yield change
        elif other.right != change.right:
            yield change._replace(kind="conflict")

"""3-way merge of trees, path by path, with the truth table of lakeFS. Costs what the two sides changed."""

from __future__ import annotations

from collections.abc import Collection

from mldlc.plan.versions import Change, Conflict, Strategy
from mldlc.store.versions.difference import diff_trees
from mldlc.store.versions.trees import NodeStore, apply_changes


def merge_trees(nodes: NodeStore, base: str, source: str, dest: str, strategy: Strategy = "none") -> str:
    """The tree of `dest` with what `source` changed since `base`; nothing is written on a conflict.

    A path that both sides changed to the same, or removed both, is no conflict. Conflict names the paths that both
    changed differently; `source-wins` and `dest-wins` take that side for all of them, a removal too.
    """
    if strategy not in ("none", "source-wins", "dest-wins"):
        raise ValueError(f"no merge strategy {strategy!r}: none, source-wins or dest-wins")
    if source in (base, dest):
        return dest
    if dest == base:
        return source
    theirs = {change.path: change for change in diff_trees(nodes, base, dest)}
    ours: list[Change] = []
    conflicts: list[str] = []
    for change in diff_trees(nodes, base, source):
        other = theirs.get(change.path)
        if other is None:
            ours.append(change)
        elif other.right == change.right:
            del theirs[change.path]
        else:
            conflicts.append(change.path)
            if strategy == "source-wins":
                ours.append(change)
                del theirs[change.path]
    if conflicts and strategy == "none":
        raise Conflict(conflicts)
    if len(ours) <= len(theirs):
        return _apply(nodes, dest, ours)
    return _apply(nodes, source, theirs.values())  # the same entries, so the same tree


def _apply(nodes: NodeStore, tree: str, changes: Collection[Change]) -> str:
    put = [change.right for change in changes if change.right is not None]
    return apply_changes(nodes, tree, put, [change.path for change in changes if change.right is None])

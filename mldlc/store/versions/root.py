"""Where every history begins: the empty tree and the root commit, the same everywhere and there without a file."""

from __future__ import annotations

from dataclasses import replace

from mldlc.plan.codec import canonical
from mldlc.plan.versions import Commit
from mldlc.store.hashing import hash_bytes
from mldlc.store.versions.nodes import DiskNodes, Kind
from mldlc.store.versions.ranges import Cut
from mldlc.store.versions.trees import FORMAT

MAIN = "main"  # the branch that is always there
EMPTY_BYTES = canonical({"format": FORMAT, "cut": list(Cut()), "ranges": []})  # as `empty_tree` writes it
EMPTY = hash_bytes(EMPTY_BYTES)


class RootedNodes(DiskNodes):
    """Nodes on disk, and the empty tree wherever it lies or not."""

    def read(self, kind: Kind, id: str) -> bytes:
        """As NodeStore."""
        return EMPTY_BYTES if id == EMPTY and kind == "trees" else super().read(kind, id)


def encode_commit(commit: Commit) -> bytes:
    """The bytes that a commit's id is the BLAKE3 of."""
    fields = {name: getattr(commit, name) for name in ("tree", "message", "metadata", "time", "committer")}
    return canonical({**fields, "metadata": dict(commit.metadata), "parents": list(commit.parents)})


def make_commit(commit: Commit) -> Commit:
    """The commit with its id, not written anywhere."""
    return replace(commit, id=hash_bytes(encode_commit(commit)), metadata=dict(commit.metadata))


ROOT = make_commit(Commit("", EMPTY, (), "Empty repository", {}, 0.0, "mldlc"))

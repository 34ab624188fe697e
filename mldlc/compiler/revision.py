"""Code of a project that is read from git: its code roots are laid out under outputs/cache/code, by their digest."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mldlc.compiler.draft import Draft
from mldlc.compiler.files import read_json, write_json
from mldlc.config.gitrepo import run_git
from mldlc.config.gittree import GitAddress, GitTree, parse_address
from mldlc.store.codetree import LIMIT, SKIPPED, tree_digest


def lay_out(draft: Draft, revision: GitAddress) -> None:
    """Set `draft.code` and the snapshot's digests; equal trees of two revisions are one folder."""
    digests: dict[str, str] = {}
    places: list[Path] = []
    for root in draft.ask.project.code:
        inside = posixpath.normpath(posixpath.join(revision.dir, os.path.relpath(root, draft.root)))
        at = replace(revision, dir="" if inside == "." else inside)
        digests[str(root)] = digest = _digest(at, draft.outputs)
        places.append(frozen_at(draft.outputs, digest))
    draft.code = tuple(places)
    draft.snapshot = replace(draft.snapshot, code=digests)


def frozen_at(outputs: Path, digest: str) -> Path:
    """Where a code root of this digest is laid out."""
    return outputs / "cache" / "code" / digest


def is_frozen(outputs: Path, digest: str) -> bool:
    """Whether a code root is laid out, as it was."""
    place = frozen_at(outputs, digest)
    return place.is_dir() and tree_digest(place) == digest


def read_file(rev: str, name: str) -> bytes | None:
    """A file of the project at a pinned address, None when there is none."""
    return _tree(rev).read_bytes(posixpath.normpath(name))


@lru_cache(maxsize=4)
def _tree(rev: str) -> GitTree:
    return GitTree(parse_address(rev, Path("/")), "")


def _digest(at: GitAddress, outputs: Path) -> str:
    """Digest of a code root of a commit, which is laid out if it is not yet."""
    tree_id = run_git(at.repo, "rev-parse", "--verify", f"{at.rev}:{at.dir}").stdout.decode().strip()
    known = outputs / "cache" / "trees.json"
    digest = str(read_json(known).get(tree_id, ""))
    if not digest or not is_frozen(outputs, digest):
        digest = _lay_out(GitTree(at, ""), outputs)
        write_json(known, {**read_json(known), tree_id: digest})
    return digest


def _lay_out(tree: GitTree, outputs: Path) -> str:
    cache = outputs / "cache" / "code"
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".copy-", dir=cache))
    try:
        for name, data in tree.read_all(_is_code).items():
            copy = temporary / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
        digest = tree_digest(temporary)
        target = cache / digest
        if target.is_dir() and tree_digest(target) != digest:  # somebody edited the copy
            shutil.rmtree(target)
        if not target.is_dir():
            temporary.chmod(0o755)
            temporary.rename(target)
        return digest
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_code(name: str, size: int) -> bool:
    """What `store.codetree.tree_files` takes of a folder on disk."""
    parts = name.split("/")
    hidden = any(part.startswith(".") for part in parts) or any(part in SKIPPED for part in parts[:-1])
    return not hidden and (name.endswith(".py") or (size < LIMIT and not name.endswith(".pyc")))

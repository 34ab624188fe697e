"""The frozen copy of a code root that workers import from: editing files never leaks into a run."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from mldlc.plan.diagnostic import fail
from mldlc.store.codetree import add_file, tree_digest, tree_files


def freeze(root: Path, digest: str, cache: Path) -> Path:
    """A read-only copy of a code root at `cache/<digest>`; DiagnosticError when the root is no longer at that digest.

    The copy is made in a temporary folder, hashed while it is written, and renamed: half a copy is never seen.
    """
    if not root.is_dir():
        raise fail("stale_plan", f"code root {root} is gone", key=str(root), hint="plan again")
    target = cache / digest
    if target.is_dir():
        _check(root, digest, tree_digest(root))
        return target
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".copy-", dir=cache))
    try:
        total = hashlib.blake2b(digest_size=32)
        for name, path in tree_files(root):
            data = path.read_bytes()
            add_file(total, name, data)
            copy = temporary / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
            copy.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        _check(root, digest, total.hexdigest())
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # another run was quicker with the same copy: fine
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def frozen(root: str, digest: str, cache: Path) -> Path:
    """The copy of a code root that planning laid out from git; DiagnosticError when it is gone."""
    target = cache / digest
    if not target.is_dir():
        raise fail("stale_plan", f"the copy of code root {root} is gone from {cache}", key=root, hint="plan again")
    return target


def _check(root: Path, planned: str, found: str) -> None:
    if planned != found:
        raise fail(
            "stale_plan",
            f"the code under {root} changed after the plan was made",
            key=str(root),
            found=found[:12],
            allowed=(planned[:12],),
            hint="plan again, or put the code back",
        )

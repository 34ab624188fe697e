"""Small histories for tests of the embedded versions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from mldlc.plan.versions import Commit
from mldlc.store.layout import open_store
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions

_runs = itertools.count()


def versions_in(folder: Path, start: float = 1_000_000.0) -> EmbeddedVersions:
    """Versions of a new store whose clock goes one second a commit."""
    ticks = itertools.count(start)
    return open_versions(open_store(folder / "outputs"), clock=lambda: next(ticks), committer="test@host")


def commit_on(versions: EmbeddedVersions, branch: str, files: Mapping[str, bytes | None], message: str = "") -> Commit:
    """Publish files (None: removed) on a branch; the merge commit."""
    draft = versions.draft(branch, run=f"making-{next(_runs)}")
    for name, data in files.items():
        if data is None:
            draft.remove(name)
        else:
            draft.path(name).write_bytes(data)
    draft.commit(message or f"change {', '.join(files)}", {})
    return draft.publish(branch, message=message)


def contents(versions: EmbeddedVersions, ref: str) -> dict[str, bytes]:
    """Path -> bytes of all files at a ref."""
    found = {}
    for entry in versions.entries(ref):
        with versions.open(ref, entry.path) as file:
            found[entry.path] = file.read()
    return found

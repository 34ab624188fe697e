"""Small histories through the port alone, for any version store."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from mldlc.plan.versions import Change, Commit, Draft, Versions

Files = Mapping[str, bytes | None]  # None: removed
_runs = itertools.count()


def begin(versions: Versions, base: str = "main") -> Draft:
    """A draft of a run that nobody had."""
    return versions.draft(base, run=f"run-{next(_runs)}")


def write(draft: Draft, files: Files) -> None:
    """Files into a draft."""
    for name, data in files.items():
        if data is None:
            draft.remove(name)
        else:
            draft.path(name).write_bytes(data)


def publish(versions: Versions, files: Files, into: str = "main", message: str = "") -> Commit:
    """Files onto a branch; the merge."""
    draft = begin(versions, into)
    write(draft, files)
    draft.commit(message or f"write {', '.join(files)}", {})
    return draft.publish(into, message=message)


def contents(versions: Versions, ref: str) -> dict[str, bytes]:
    """Path -> bytes."""
    found = {}
    for entry in versions.entries(ref):
        with versions.open(ref, entry.path) as file:
            found[entry.path] = file.read()
    return found


def paths(changes: Iterable[Change]) -> list[tuple[str, str]]:
    """Kind and path of changes."""
    return [(change.kind, change.path) for change in changes]

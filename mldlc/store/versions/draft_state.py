"""What a draft's folder says, for all who must not lose what drafts hold: refs, garbage collection, verification."""

from __future__ import annotations

import json
from typing import NamedTuple

from mldlc.plan.versions import VersionsError
from mldlc.store.layout import Store
from mldlc.store.versions.heads import parse_head

FORMAT = "mldlc.draft/1"
LEASE = "draft-"  # the lease of a run's draft: draft-<run>


class DraftState(NamedTuple):
    """What a draft's folder says. head: its last commit, `base` when there is none."""

    base: str
    head: str


def read_draft(store: Store, run: str) -> DraftState | None:
    """The draft of a run, or None. VersionsError when its files are damaged."""
    folder = store.root / "drafts" / run
    path = folder / "draft.json"
    try:
        value = json.loads(path.read_bytes())
        base = str(value["base"])
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']!r}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise VersionsError(f"{path} is damaged ({error}); remove {folder} to begin again") from None
    try:
        return DraftState(base, parse_head(folder / "head"))
    except FileNotFoundError:
        return DraftState(base, base)


def draft_runs(store: Store) -> list[str]:
    """Runs that have a draft folder, sorted."""
    folder = store.root / "drafts"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

"""What a step reads from outside the store, and how its identity is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Identity = Literal["content", "version", "stat", "always"]


@dataclass(frozen=True)
class SourceRef:
    """One outside thing. `uri` goes into the recipe, the observed token into the key.

    paths: absolute local files in reading order (empty for remote sources). `name` is shown to people.
    identity: `content` hashes bytes, `stat` trusts size and mtime, `version` uses `version` (an etag, a commit, the
    answer of a version query), `always` runs every time and relies on early cutoff. patterns: what `paths` was expanded
    from, where a new file could join them. root: the folder from which the names of the files count: below it a
    folder that is renamed (`year=2024`) is another source; "" lets only their base names count.
    """

    uri: str
    name: str
    paths: tuple[str, ...] = ()
    identity: Identity = "content"
    version: str = ""
    patterns: tuple[str, ...] = ()
    root: str = ""

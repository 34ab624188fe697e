"""What a step reads from outside the store, and how its identity is told."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
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


def fixed_folder(patterns: tuple[str, ...]) -> str:
    """The deepest folder above every file that the patterns can match: what is below it is told by name.

    So `data/*/x.csv` is another source where `year=2024` becomes `year=2025`, which partition names and functions of
    the project see; and it is the same one where `data` moves.
    """
    fixed = []
    for pattern in patterns:
        parts = Path(pattern).parts
        wild = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
        fixed.append(str(Path(*parts[: min(wild, len(parts) - 1)])))
    return os.path.commonpath(fixed) if fixed else ""

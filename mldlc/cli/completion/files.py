"""Files and folders as candidates, the same in every shell."""

from __future__ import annotations

import os
from collections.abc import Iterator


def files(begun: str, suffix: str = "", *, folders_only: bool = False) -> Iterator[str]:
    """Paths that begin with `begun`: folders (with "/"), and files that end in `suffix`. `~` is the home."""
    name = begun.rpartition("/")[2]
    before = begun[: len(begun) - len(name)]
    try:
        entries = sorted(os.scandir(os.path.expanduser(before) or "."), key=lambda entry: entry.name)  # noqa: PTH111
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(name) or (entry.name.startswith(".") and not name.startswith(".")):
            continue
        if entry.is_dir():
            yield f"{before}{entry.name}/"
        elif not folders_only and entry.name.endswith(suffix):
            yield before + entry.name

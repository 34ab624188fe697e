"""What a cache asks before it trusts an entry: the project root, mldlc itself, the Python path, git sources."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import mldlc
from mldlc.config.tree import leads_to
from mldlc.plan.codec import digest

MANIFEST = "mldlc.yaml"


def root_of(start: Path) -> Path:
    """The folder of the nearest manifest upward, else `start`: the project root, found without reading YAML."""
    for folder in (start, *start.parents):
        if (folder / MANIFEST).is_file():
            return folder
    return start


@cache
def own_stamp() -> str:
    """Changes with mldlc itself: its version, and in a source checkout the stat of its files."""
    found: list[str] = []
    folders = [os.path.dirname(mldlc.__file__)]  # noqa: PTH120  # strings: hundreds of files in every plan
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    info = entry.stat()
                    found.append(f"{entry.path} {info.st_size} {info.st_mtime_ns}")
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return digest([mldlc.__version__, *sorted(found)])


def path_stamp() -> str:
    """Changes when a package is installed, removed or upgraded: the folders of the Python path and their mtimes."""
    stamp = [sys.version]
    for folder in sys.path:
        try:
            stamp.append(f"{folder} {Path(folder or '.').stat().st_mtime_ns}")
        except OSError:
            continue
    return digest(stamp)


def still_there(pins: list[list[str]], links: dict[str, str]) -> bool:
    """Whether git revisions ([repository, revision, commit]) and links (folder -> where it leads) are as they were."""
    if any(leads_to(path) != found for path, found in links.items()):
        return False
    if not pins:
        return True
    from mldlc.config.gitrepo import unmoved

    return unmoved((repo, rev, commit) for repo, rev, commit in pins)

"""Code roots by content: which files belong to one, and their digest. The compiler observes, the engine freezes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {"__pycache__", "outputs", "node_modules", "venv", "site-packages"}
LIMIT = 256 * 1024  # a larger file that is not Python source is data, not code


def tree_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(relative path, path) of the files that belong to a code root, sorted by relative path.

    Python sources of any size and other files under 256 KB; hidden ones, links to folders, caches and outputs are out.
    """
    found: list[tuple[str, Path]] = []
    stack = [(root, "")]
    while stack:
        folder, prefix = stack.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED:
                        stack.append((Path(entry.path), name + "/"))
                elif entry.is_file() and (entry.name.endswith(".py") or _small(entry)):
                    found.append((name, Path(entry.path)))
    return iter(sorted(found))


def _small(entry: os.DirEntry[str]) -> bool:
    return not entry.name.endswith(".pyc") and entry.stat().st_size < LIMIT


def tree_digest(root: Path) -> str:
    """BLAKE2b-256 over relative paths and bytes of a code root, hex."""
    total = hashlib.blake2b(digest_size=32)
    for name, path in tree_files(root):
        add_file(total, name, path.read_bytes())
    return total.hexdigest()


def add_file(total: hashlib.blake2b, name: str, data: bytes) -> None:
    total.update(len(name.encode()).to_bytes(4, "little") + name.encode() + len(data).to_bytes(8, "little") + data)

"""Folders whose content decides which files a source reads, and files of plugins: as a cache last saw them."""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mldlc.config.tree import listing_digest
from mldlc.plan.source import SourceRef

if TYPE_CHECKING:
    from mldlc.compiler.draft import Typed

RACY_NS = 2_000_000_000  # a folder that changed so lately may change again under the same time: its names are kept
SETTLED_NS = 60_000_000_000  # a folder that changed before that did not change while a plan was made
Seen = dict[str, str]


def stamp(path: str) -> str:
    """What tells a later change of a path: times, inode, size; of a folder touched just now the names. "": gone."""
    found = _plain(path)
    racy = bool(found) and _age(found) < RACY_NS
    return _names(path) if racy and Path(path).is_dir() else found


def unmoved(seen: Seen) -> bool:
    """Whether every path is as it was seen."""
    return all((_names(path) if found.startswith("names:") else _plain(path)) == found for path, found in seen.items())


def watched(typed: Iterable[Typed]) -> Seen | None:
    """Folders that decide what the sources of stages read; None when they cannot be watched, or changed meanwhile."""
    folders: Seen = {}
    for ref in (ref for item in typed for ref in item.sources):
        if any("**" in pattern for pattern in ref.patterns):
            return None
        read = {str(Path(p).parent) for p in ref.paths}
        found = {path: stamp(path) for path in read.union(*(_listed(pattern) for pattern in ref.patterns))}
        if not _expands(ref) and not all(_settled(path) for path in found):
            return None
        folders |= found
    return folders


def plugin_files() -> Seen:
    """The loaded modules of plugins and their folders: one in a checkout changes without a new Python path."""
    from mldlc import catalog

    tops = {"hydra_plugins", *(value.partition(":")[0].partition(".")[0] for value in catalog.plugin_kinds().values())}
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in tops]
    files = {file for module in modules if (file := getattr(module, "__file__", None))}
    return {path: stamp(path) for path in sorted(files | {str(Path(file).parent) for file in files})}


def _expands(ref: SourceRef) -> bool:
    """Whether the patterns still give the paths: after the folders were stamped, nothing was missed before."""
    found = [sorted(glob.glob(pattern)) or [pattern] for pattern in ref.patterns]  # noqa: PTH207 (absolute patterns)
    return {path for paths in found for path in paths if not Path(path).is_dir()} == set(ref.paths)


def _listed(pattern: str) -> set[str]:
    """The folders whose lists of names decide what a pattern matches: from its first wildcard on, every one."""
    parts = Path(pattern).parts
    first = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    levels = [str(Path(*parts[:end])) for end in range(max(1, first), len(parts))]
    return {folder for level in levels for folder in glob.glob(level)}  # noqa: PTH207 (absolute patterns)


def _settled(path: str) -> bool:
    found = _plain(path)
    return not found or _age(found) > SETTLED_NS


def _age(found: str) -> int:
    """Nanoseconds since the last change that a stamp tells."""
    return time.time_ns() - max(map(int, found.split(":")[:2]))


def _plain(path: str) -> str:
    try:
        info = Path(path).stat()
    except OSError:
        return ""
    return f"{info.st_mtime_ns}:{info.st_ctime_ns}:{info.st_ino}:{info.st_size}"  # another folder may get its inode


def _names(path: str) -> str:
    try:
        return f"names:{listing_digest(sorted(os.listdir(path)))}"  # noqa: PTH208 (names only)
    except OSError:
        return ""

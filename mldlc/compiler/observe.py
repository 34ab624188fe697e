"""Pass `observe`: freezes the world. The passes after it ask the snapshot, never the world."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

from mldlc.compiler.draft import CompileRequest, Draft
from mldlc.plan.plan import Snapshot
from mldlc.plan.source import SourceRef
from mldlc.store.codetree import tree_digest
from mldlc.store.statcache import StatCache, source_token

HASH_LIMIT = 256 * 1024 * 1024  # bytes that planning may hash; larger content is `maybe` until collect reads it


def ambient(ask: CompileRequest) -> Snapshot:
    """What can be known before the config is read: time, machine, code roots, git revision."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return Snapshot(
        as_of=now.isoformat().replace("+00:00", "Z"),
        python=platform.python_version(),
        hardware=f"cpu:{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        code={str(root): tree_digest(root) for root in ask.project.code},
        git=git_state(ask.project.root),
    )


def run(draft: Draft) -> None:
    """The ambient snapshot is already in the draft; sources and packages join it when typing has named them."""


def observe_sources(draft: Draft, wanted: list[SourceRef]) -> None:
    """Freeze the tokens of outside sources into the snapshot; each URI is observed once."""
    cache = StatCache(draft.outputs / "cache" / "stat.json")
    tokens = dict(draft.snapshot.sources)
    for ref in wanted:
        if ref.uri not in tokens and not draft.ask.offline:
            token = source_token(ref, cache, HASH_LIMIT)
            if token is not None:
                tokens[ref.uri] = token
    cache.save()
    draft.snapshot = replace(draft.snapshot, sources=tokens)


def observe_packages(draft: Draft, names: set[str]) -> None:
    """Freeze the versions of the packages that steps name."""
    versions = {name: importlib.metadata.version(name) for name in sorted(names)}
    draft.snapshot = replace(draft.snapshot, packages=versions)


def git_state(root: Path) -> dict[str, str]:
    """{rev, dirty} of the repository around `root`, or {} when there is none. Reads only."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return {}
    try:
        rev = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if rev.returncode:
        return {}
    dirty = subprocess.run(
        ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "--", "."],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return {"rev": rev.stdout.strip(), "dirty": "yes" if dirty.stdout.strip() else "no"}

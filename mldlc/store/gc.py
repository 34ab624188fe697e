"""Garbage collection: what no kept record and no held lease can use, and is older than the grace, goes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.plan.diagnostic import fail
from mldlc.plan.record import Record
from mldlc.store.durable import temporary_name
from mldlc.store.layout import FORMAT_FILE, Store
from mldlc.store.leases import LINKS, holder, lease_keys, try_acquire
from mldlc.store.objects import read_tree
from mldlc.store.records import parse_record, record_keys
from mldlc.store.versions import collect
from mldlc.store.versions.draft_state import LEASE, draft_runs

DAY = 86400.0
GRACE = 14 * DAY


@dataclass
class GcReport:
    """What went (or would go, with `dry_run`). records, objects, scratch, work, drafts, commits: how many of each;
    `work` also counts stray temporary files. nodes: ranges and trees. expired: commits that lost their data and stay.
    files, bytes: files removed and bytes freed. kept_records, kept_objects: what stays."""

    dry_run: bool
    records: int = 0
    objects: int = 0
    scratch: int = 0
    work: int = 0
    drafts: int = 0
    commits: int = 0
    expired: int = 0
    nodes: int = 0
    files: int = 0
    bytes: int = 0
    kept_records: int = 0
    kept_objects: int = 0


@dataclass
class _Sweep:
    """One collection. cutoff: whatever was written or touched after it stays."""

    store: Store
    cutoff: float
    report: GcReport
    owners: dict[str, dict[str, Any]] = field(default_factory=dict)


def collect_garbage(
    store: Store,
    *,
    keep: Iterable[str] = (),
    dry_run: bool = False,
    grace_seconds: float = GRACE,
    keep_days: float | None = None,
    keep_commits: int | None = None,
) -> GcReport:
    """Remove old records, objects that nothing needs, and what crashes left in scratch, work, drafts and leases.

    Records stay when their key is in `keep` (plans of live runs, pins), leased, or used in the last `keep_days`; all
    stay with None. Of each branch the data of the last `keep_commits` commits stays, beside that of tags and drafts;
    all of it with None. Nothing younger than `grace_seconds` (> 0) goes, so a run in progress never loses what it has
    just stored or reused. DiagnosticError: `store_format` when a newer release wrote records that this one cannot read,
    `store_damaged` when the history cannot be read.
    """
    if grace_seconds <= 0:
        raise ValueError(f"grace_seconds must be > 0, not {grace_seconds}: a run in progress needs it")
    if keep_commits is not None and keep_commits < 1:
        raise ValueError(f"keep_commits must be >= 1, not {keep_commits}: a branch keeps its head")
    now = time.time()
    sweep = _Sweep(store, now - grace_seconds, GcReport(dry_run))
    for key in lease_keys(store):
        owner = holder(store, key)
        if owner is not None:
            sweep.owners[key] = owner
    oldest = None if keep_days is None else min(now - keep_days * DAY, sweep.cutoff)
    needed = _mark(store, _sweep_records(sweep, set(keep) | set(sweep.owners), oldest))
    for owner in sweep.owners.values():
        needed |= _mark_trees(store, [str(digest) for digest in owner.get("inputs", ())])
    kept = collect.mark(store, sweep.cutoff, keep_commits, _sweep_drafts(sweep), dry_run)
    _sweep_nodes(sweep, kept)
    _sweep_objects(sweep, needed, kept.objects)
    _sweep_commits(sweep, kept)
    _sweep_scratch(sweep)
    _sweep_work(sweep)
    _sweep_leases(sweep)
    return sweep.report


def _sweep_records(sweep: _Sweep, keep: set[str], oldest: float | None) -> list[Record]:
    """Remove records that the policy lets go; the ones that stay."""
    kept = []
    for key in record_keys(sweep.store):
        path = sweep.store.record(key)
        with suppress(FileNotFoundError):
            data = path.read_bytes()
            try:
                record = parse_record(data, key)
            except ValueError:
                continue  # damaged: no reader counts it
            if record is None:
                raise fail("store_format", f"{path} has a newer format", hint="collect with the release that wrote it")
            if key not in keep and oldest is not None and _remove(sweep, path, oldest):
                sweep.report.records += 1
            else:
                kept.append(record)
    sweep.report.kept_records = len(kept)
    return kept


def _mark(store: Store, records: list[Record]) -> set[str]:
    return _mark_trees(store, {output.digest for record in records for output in record.outputs.values()})


def _mark_trees(store: Store, digests: Iterable[str]) -> set[str]:
    needed: set[str] = set()
    for digest in digests:
        needed.add(digest)
        with suppress(FileNotFoundError, ValueError):  # gone or damaged: its files are of no use to that record
            needed.update(name for name, _ in read_tree(store, digest).files.values())
    return needed


def _sweep_drafts(sweep: _Sweep) -> list[str]:
    """Remove drafts that nobody went on with; their runs. The lease is held meanwhile: none begins to, either."""
    gone = []
    for run in draft_runs(sweep.store):
        folder = sweep.store.root / "drafts" / run
        if LEASE + run in sweep.owners or _newest(folder) >= sweep.cutoff:
            continue
        lease = None if sweep.report.dry_run else try_acquire(sweep.store, LEASE + run, {"pid": os.getpid()})
        if lease is not None:
            aside = sweep.store.work / temporary_name("draft")
            folder.rename(aside)
            folder = aside
        if sweep.report.dry_run or lease is not None:
            sweep.report.drafts += _remove_all(sweep, folder)
            gone.append(run)
        if lease is not None:
            lease.release()
    return gone


def _sweep_nodes(sweep: _Sweep, kept: collect.Kept) -> None:
    """Remove trees, then ranges, that no kept commit has: a tree that is there has its ranges."""
    for kind, needed in (("trees", kept.trees), ("ranges", kept.ranges)):
        for path in _grandchildren(sweep.store.root / kind):
            with suppress(FileNotFoundError):
                if path.parent.name + path.name not in needed and _remove(sweep, path, sweep.cutoff):
                    sweep.report.nodes += 1


def _sweep_commits(sweep: _Sweep, kept: collect.Kept) -> None:
    """Remove commits that nothing reaches, after their data."""
    sweep.report.expired += len(kept.expired)
    for id in kept.lost:
        with suppress(FileNotFoundError):
            sweep.report.bytes += (sweep.store.root / "commits" / id[:2] / id[2:]).stat().st_size
            sweep.report.commits += 1
            sweep.report.files += 1
    if not sweep.report.dry_run:
        collect.drop_commits(sweep.store, kept.lost)


def _sweep_objects(sweep: _Sweep, needed: set[str], versioned: set[bytes]) -> None:
    for path in _grandchildren(sweep.store.objects):
        with suppress(FileNotFoundError):
            name = path.parent.name + path.name
            if name not in needed and not _is_versioned(name, versioned) and _remove(sweep, path, sweep.cutoff):
                sweep.report.objects += 1
            else:
                sweep.report.kept_objects += 1


def _is_versioned(name: str, versioned: set[bytes]) -> bool:
    with suppress(ValueError):  # no object's name
        return bytes.fromhex(name) in versioned
    return False


def _remove(sweep: _Sweep, path: Path, cutoff: float) -> bool:
    """Remove a file unless it is younger than `cutoff`, also when somebody touches it this very moment.

    It is set aside, looked at again and put back if it was touched: `put_tree` and `touch_record` either find it
    before (then we see their touch) or do not find it at all (then they write it, or run, again).
    """
    info = path.stat()
    if info.st_mtime >= cutoff:
        return False
    if not sweep.report.dry_run:
        aside = sweep.store.work / temporary_name("trash")
        path.rename(aside)
        if aside.stat().st_mtime >= cutoff:
            with suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
            return False
        aside.unlink()
    sweep.report.files += 1
    sweep.report.bytes += info.st_size
    return True


def _sweep_scratch(sweep: _Sweep) -> None:
    """Remove scratch folders that nobody resumes. The lease of the key is held meanwhile: none begins to, either."""
    for folder in _children(sweep.store.scratch):
        if folder.name in sweep.owners or _newest(folder) >= sweep.cutoff:
            continue
        lease = None if sweep.report.dry_run else try_acquire(sweep.store, folder.name, {"pid": os.getpid()})
        if sweep.report.dry_run or lease is not None:
            sweep.report.scratch += _remove_all(sweep, folder)
        if lease is not None:
            lease.release()


def _sweep_work(sweep: _Sweep) -> None:
    """Remove what crashed executions left: their folders, temporary files, damaged records that were set aside."""
    used = {str(name) for owner in sweep.owners.values() for name in owner.get("work", ())}
    stray = [path for path in _grandchildren(sweep.store.records) if path.suffix == ".corrupt"]
    stray += sweep.store.root.glob(f"{FORMAT_FILE}.*")
    for path in [*_children(sweep.store.work), *stray]:
        if path.name not in used and _newest(path) < sweep.cutoff:
            sweep.report.work += _remove_all(sweep, path)


def _sweep_leases(sweep: _Sweep) -> None:
    """Remove lease files of killed processes, by taking each lease and giving it back."""
    for key in [] if sweep.report.dry_run else lease_keys(sweep.store):
        if key not in sweep.owners:
            lease = try_acquire(sweep.store, key, {"pid": os.getpid()})
            if lease is not None:
                lease.release()
            with suppress(OSError):  # not there, or in use again
                (sweep.store.leases / f"{key}{LINKS}").rmdir()


def _remove_all(sweep: _Sweep, path: Path) -> int:
    """Remove a file or a folder with all in it; 1, for the report."""
    import shutil

    for file in _files(path):
        with suppress(FileNotFoundError):
            sweep.report.bytes += file.lstat().st_size
            sweep.report.files += 1
    if not sweep.report.dry_run:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return 1


def _newest(path: Path) -> float:
    """Time of the last change of a file, or of anything in a folder; 0 when it is gone."""
    times = [0.0]
    for item in _all(path):
        with suppress(FileNotFoundError):
            times.append(item.lstat().st_mtime)
    return max(times)


def _files(path: Path) -> list[Path]:
    return [item for item in _all(path) if not item.is_dir()]


def _all(path: Path) -> Iterator[Path]:
    """A file, or a folder and all in it; what is removed meanwhile is left out."""
    yield path
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            yield Path(folder, name)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _grandchildren(folder: Path) -> Iterator[Path]:
    for child in _children(folder):
        yield from _children(child) if child.is_dir() else ()

"""Verify the store: every file's bytes against its name, every record, tree and commit complete. Changes nothing."""

from __future__ import annotations

import string
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mldlc.plan.record import Record
from mldlc.store.durable import each
from mldlc.store.hashing import hash_file
from mldlc.store.layout import Store
from mldlc.store.objects import read_tree
from mldlc.store.problem import Kind
from mldlc.store.problem import Problem as Problem
from mldlc.store.records import parse_record, record_keys
from mldlc.store.versions.checking import Check

BATCH = 256  # objects between two reports of progress


@dataclass(frozen=True)
class _Need:
    """One object that a record needs; size None for the tree object itself."""

    record: Record
    digest: str
    size: int | None


def verify(store: Store, progress: Callable[[int, int], None] | None = None) -> list[Problem]:
    """Every problem of the store, in order of path; [] when it is sound. `progress(done, total)` counts objects."""
    needs: dict[str, list[_Need]] = {}
    problems = []
    for key in record_keys(store):
        path = store.record(key)
        with suppress(FileNotFoundError):
            try:
                record = parse_record(path.read_bytes(), key)
            except ValueError as error:
                problems.append(
                    Problem(
                        "record", path, f"the record of {key}", str(error), (key,), (), "remove it: the step runs again"
                    )
                )
                continue
            for need in _needs(store, record) if record is not None else ():
                needs.setdefault(need.digest, []).append(need)
    problems += _check_presence(store, needs)
    problems += _check_bytes(store, needs, progress)
    check = Check(store)
    problems = _name_places(check.run(), problems, check)
    return sorted(problems, key=lambda problem: str(problem.path))


def _needs(store: Store, record: Record) -> list[_Need]:
    needs = []
    for output in record.outputs.values():
        needs.append(_Need(record, output.digest, None))
        with suppress(OSError, ValueError):  # absent or damaged: found by the other two passes
            needs += [_Need(record, name, size) for name, size in read_tree(store, output.digest).files.values()]
    return needs


def _name_places(versions: list[Problem], objects: list[Problem], check: Check) -> list[Problem]:
    """All problems, each object once, with the files of commits that it spoils."""
    known = {problem.path for problem in objects}
    problems = objects + [problem for problem in versions if problem.path not in known]
    digests = {problem.path: problem.path.parent.name + problem.path.name for problem in problems}
    bad = {name for path, name in digests.items() if path.parent.parent == check.store.objects and _is_digest(name)}
    users = check.users(bad)
    return [replace(problem, places=users.get(digests[problem.path], problem.places)) for problem in problems]


def _check_presence(store: Store, needs: dict[str, list[_Need]]) -> list[Problem]:
    problems = []
    for digest, users in needs.items():
        path = store.object(digest)
        sizes = {user.size for user in users if user.size is not None}
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            users = [user for user in users if store.record(user.record.key).exists()]  # not just collected
            if users:
                expected = f"{min(sizes)} bytes" if sizes else "a tree"
                problems.append(_problem("missing", path, expected, "no file", users))
            continue
        if sizes - {found}:
            problems.append(_problem("missing", path, f"{min(sizes)} bytes", f"{found} bytes", users))
    return problems


def _check_bytes(
    store: Store, needs: dict[str, list[_Need]], progress: Callable[[int, int], None] | None
) -> list[Problem]:
    folders = sorted(store.objects.iterdir()) if store.objects.is_dir() else []
    paths = [path for folder in folders for path in (sorted(folder.iterdir()) if folder.is_dir() else [folder])]
    problems = []
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        for path, found in zip(batch, each(_rehash, batch), strict=True):
            name = path.parent.name + path.name
            if not _is_digest(name):
                problems.append(Problem("stray", path, "an object named by its digest", path.name, hint="remove it"))
            elif isinstance(found, OSError):
                problems.append(_problem("unreadable", path, name, str(found.strerror), needs.get(name, [])))
            elif found not in (name, None):
                problems.append(_problem("damaged", path, name, str(found), needs.get(name, [])))
        if progress is not None:
            progress(min(start + BATCH, len(paths)), len(paths))
    return problems


def _rehash(path: Path) -> str | OSError | None:
    """Digest of an object's bytes; the error that kept us from reading it; None when it was collected meanwhile."""
    try:
        return hash_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error


def _problem(kind: Kind, path: Path, expected: str, found: str, users: list[_Need]) -> Problem:
    keys = tuple(sorted({user.record.key for user in users}))
    stages = tuple(sorted({user.record.stage for user in users}))
    if kind == "missing" and found == "no file":
        hint = "the steps that made it run again"
    else:
        hint = "remove it: the steps that made it run again"
    return Problem(kind, path, expected, found, keys, stages, hint)


def _is_digest(name: str) -> bool:
    return len(name) == 64 and set(name) <= set(string.hexdigits.lower())

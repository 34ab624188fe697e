"""What lies at a ref of a lakeFS repository: entries, single ones, and differences, from raw list pages."""

from __future__ import annotations

import os.path
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mldlc.plan.versions import Change, ChangeKind, Entry, RefNotFound
from mldlc.store.durable import each
from mldlc.store.lakefs.client import ApiError, Query
from mldlc.store.lakefs.repository import PAGE, Repository
from mldlc.store.versions.digests import EntriesHasher

DIGEST_KEY = "mldlc-blake3"  # user metadata of every object that we write
PLAIN = "application/octet-stream"  # what an entry without a media type has on the server
FEW = 2  # paths up to which a stat each is cheaper than listing around them
SPARSE = 32  # rows of a list for each path that is wanted, above which a stat each is cheaper
_DIGEST = re.compile(r"[0-9a-f]{64}")


def iter_entries(repository: Repository, ref: str, prefix: str = "", after: str = "") -> Iterator[Entry]:
    """Entries by path, a thousand a request."""
    query: Query = {"prefix": prefix or None}
    for row in repository.rows("refs", ref, "objects", "ls", query=query, after=after):
        yield to_entry(row)


def to_entry(row: dict[str, Any]) -> Entry:
    """An object of the wire. Its digest is our BLAKE3 where it has one; an ETag depends on how it was uploaded."""
    ours = next((value for key, value in (row.get("metadata") or {}).items() if key.lower().endswith(DIGEST_KEY)), "")
    digest = ours if _DIGEST.fullmatch(ours) else "etag:" + str(row["checksum"]).strip('"')
    media = row.get("content_type") or ""
    return Entry(row["path"], digest, int(row.get("size_bytes") or 0), "" if media == PLAIN else media)


def find_entry(repository: Repository, ref: str, path: str) -> Entry | None:
    """One entry, None when there is none."""
    try:
        return to_entry(repository.get("refs", ref, "objects", "stat", query={"path": path}))
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def find_entries(repository: Repository, ref: str, paths: Sequence[str]) -> dict[str, Entry]:
    """Those of some sorted paths that exist. Lists where they lie close together, asks one by one where they do not."""
    found: dict[str, Entry] = {}
    rest = list(paths)
    if len(rest) > FEW:
        rest = _find_by_listing(repository, ref, rest, found)
    for entry in each(lambda path: find_entry(repository, ref, path), rest):
        if entry is not None:
            found[entry.path] = entry
    return found


def _find_by_listing(repository: Repository, ref: str, paths: list[str], found: dict[str, Entry]) -> list[str]:
    """Pages from the first path on, as long as they hold enough of what is wanted; the paths not reached."""
    wanted = set(paths)
    query: Query = {"prefix": os.path.commonprefix([paths[0], paths[-1]]) or None}  # noqa: RUF071 (of characters)
    last = ""
    amount = min(PAGE, SPARSE * len(paths))
    for rows in repository.pages("refs", ref, "objects", "ls", query=query, after=paths[0][:-1], amount=amount):
        hits = [to_entry(row) for row in rows if row["path"] in wanted]
        found.update((entry.path, entry) for entry in hits)
        last = rows[-1]["path"] if rows else ""
        if last >= paths[-1]:
            return []
        if len(hits) < len(rows) // SPARSE:
            return [path for path in paths if path > last]
    return []


def iter_changes(
    repository: Repository,
    left: str,
    right: str,
    prefix: str = "",
    *,
    three_dot: bool = False,
    depth: int | None = None,
) -> Iterator[Change]:
    """Changes between two commit ids; depth as `Versions.diff`, one list for each folder above it that changed.

    A new ETag or other metadata under equal bytes (our digests) is no change, though the server lists it; in a folder
    that stands for its files it counts.
    """
    query: Query = {
        "type": "three_dot" if three_dot else "two_dot",
        "prefix": prefix or None,
        "delimiter": None if depth is None else "/",
    }
    before = merge_base(repository, left, right) if three_dot else left
    for rows in repository.pages("refs", left, "diff", right, query=query):
        objects = [row for row in rows if row["path_type"] != "common_prefix"]
        olds = find_entries(repository, before, [row["path"] for row in objects if row["type"] != "added"])
        news = find_entries(repository, right, [row["path"] for row in objects if row["type"] != "removed"])
        for row in rows:
            path = row["path"]
            if row["path_type"] != "common_prefix":
                old, new = olds.get(path), news.get(path)
                if row["type"] == "conflict" or not _same(old, new):
                    yield Change(_kind(row["type"], old, new), path, old, new)
            elif depth is None or depth < 2:
                yield Change("prefix_changed", path)
            else:
                yield from iter_changes(repository, left, right, path, three_dot=three_dot, depth=depth - 1)


def _same(old: Entry | None, new: Entry | None) -> bool:
    return old == new and old is not None and not old.digest.startswith("etag:")


def _kind(type: str, old: Entry | None, new: Entry | None) -> ChangeKind:
    """By what is there on each side: a newer server may have names for a change that we do not know."""
    if type == "conflict":
        return "conflict"
    return "added" if old is None else "removed" if new is None else "changed"


def is_changed(repository: Repository, left: str, right: str, prefix: str = "", *, three_dot: bool = False) -> bool:
    """Whether the server sees any difference: one row. three_dot: whether merging `right` would change `left`."""
    query: Query = {"type": "three_dot" if three_dot else "two_dot", "prefix": prefix or None, "amount": 1}
    return bool(repository.get("refs", left, "diff", right, query=query)["results"])


def merge_conflicts(repository: Repository, source: str, into: str) -> list[str]:
    """Paths that both sides changed since their merge base, differently."""
    rows = repository.rows("refs", into, "diff", source, query={"type": "three_dot"})
    return [row["path"] for row in rows if row["type"] == "conflict"]


def revert_conflicts(repository: Repository, undone: str, parent: str, head: str) -> list[str]:
    """Paths that a commit changed and that were changed again since: undoing it is merging its parent over it."""
    later = {change.path: change.right for change in iter_changes(repository, undone, head)}
    back = iter_changes(repository, undone, parent)
    return [change.path for change in back if change.path in later and later[change.path] != change.right]


def digest_of(entries: Iterable[Entry]) -> str:
    """`digests.entries_digest` of entries in order, in flat memory."""
    hasher = EntriesHasher()
    for entry in entries:
        _add(hasher, entry)
    return hasher.digest()


def partition_digests(entries: Iterable[Entry], prefix: str) -> dict[str, str]:
    """`Versions.partitions` of the entries under a prefix, in order."""
    hashers: dict[str, EntriesHasher] = {}
    for entry in entries:
        folder, slash, _ = entry.path[len(prefix) :].partition("/")
        segment = folder + slash
        if segment not in hashers:
            hashers[segment] = EntriesHasher()
        _add(hashers[segment], entry)
    return {segment: hasher.digest() for segment, hasher in hashers.items()}


def _add(hasher: EntriesHasher, entry: Entry) -> None:
    hasher.columns(entry.path.encode() + b"\0", entry.digest.encode() + b"\0", struct.pack("<Q", entry.size))


def merge_base(repository: Repository, left: str, right: str) -> str:
    """The best common ancestor of two commit ids, `right` being on a branch or not. RefNotFound when there is none."""
    try:
        found = repository.get("refs", left, "merge", right).get("base_commit_id")
    except ApiError as error:
        if error.status not in (400, 404):
            raise
        found = ""
    if not found:
        raise RefNotFound(f"{left[:12]} and {right[:12]} have no common ancestor")
    return str(found)

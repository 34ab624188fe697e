"""Identity of source files: digests by a stat cache, and the token of a source as the plan sees it."""
# ruff: noqa: PTH116 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from mldlc.plan.codec import canonical
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail
from mldlc.plan.source import SourceRef
from mldlc.store.durable import temporary_name
from mldlc.store.hashing import hash_bytes, hash_file

FORMAT = 1
RACY_NS = 2_000_000_000  # coarsest timestamps (FAT): a later write within this time could leave the same mtime
LIMIT = 100_000  # entries kept in the file
ALWAYS = "always"  # token of a source without identity: the compiler plans such a step to run every time
Stamp = tuple[int, int, int, int]
LINKED = -1  # no file has this change time


class StatCache:
    """Remembers digests by (size, mtime_ns, ino, ctime_ns) in one JSON file. A pure cache: losing it costs a rehash.

    Entries whose mtime was within two seconds of hashing are not kept: a write right after could go unseen
    (the "racy" rule of git's index, https://git-scm.com/docs/racy-git).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, tuple[Stamp, str]] | None = None
        self._changed = False

    def known(self, path: str | Path, info: os.stat_result | None = None) -> str | None:
        """Digest of a file that has not changed since it was hashed; None when it must be read. OSError if absent.

        info: the file's stat, if it was taken already.
        """
        entry = self._load().get(os.fspath(path))
        return entry[1] if entry and entry[0] == _stamp(info or os.stat(path)) else None

    def file_digest(self, path: str | Path) -> str:
        """BLAKE3 of a file, from the cache or by reading it."""
        found = self.known(path)
        if found is None:
            before = os.stat(path)
            found = hash_file(path)
            self.remember(path, found, before)
        return found

    def remember(self, path: str | Path, digest: str, before: os.stat_result) -> None:
        """Keep a digest that was computed by reading the file after `before` was taken."""
        stamp = _stamp(before)
        if stamp == _stamp(os.stat(path)) and time.time_ns() - before.st_mtime_ns > RACY_NS:
            self._keep(path, stamp, digest)

    def linked(self, path: str | Path, info: os.stat_result) -> str | None:
        """Digest kept by `remember_linked` for a file that was not written since."""
        entry = self._load().get(os.fspath(path))
        return entry[1] if entry and entry[0] == (*_stamp(info)[:3], LINKED) else None

    def remember_linked(self, path: str | Path, digest: str) -> None:
        """Keep the digest of a read-only file that is an object now: fresh times do not make it racy, and its change
        time moves with every name it gets. Whoever asks for it checks that it still is that object.
        """
        self._keep(path, (*_stamp(os.stat(path))[:3], LINKED), digest)

    def _keep(self, path: str | Path, stamp: Stamp, digest: str) -> None:
        self._load()[os.fspath(path)] = (stamp, digest)
        self._changed = True

    def save(self) -> None:
        """Write the cache if it changed; does nothing where it may not write."""
        if not self._changed:
            return
        kept = list(self._load().items())[-LIMIT:]
        data = canonical({"format": FORMAT, "files": {path: [*stamp, digest] for path, (stamp, digest) in kept}})
        temporary = self.path.with_name(temporary_name(self.path.name))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._changed = False

    def _load(self) -> dict[str, tuple[Stamp, str]]:
        if self._entries is None:
            self._entries = {}
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                data = json.loads(self.path.read_bytes())
                if data["format"] == FORMAT:
                    for path, (size, mtime, ino, ctime, digest) in data["files"].items():
                        self._entries[path] = ((size, mtime, ino, ctime), str(digest))
        return self._entries


def source_token(ref: SourceRef, cache: StatCache, limit: int | None = None) -> str | None:
    """The first of `source_identity`."""
    return source_identity(ref, cache, limit)[0]


def source_identity(ref: SourceRef, cache: StatCache, limit: int | None = None) -> tuple[str | None, tuple[str, ...]]:
    """The identity of a source now, as it enters the key, and one digest a file (none for `version` and `always`).

    content: over names (below `ref.root`) and digests in order; None when more than `limit` bytes would have to be
    read. stat: over names, sizes and mtimes. version: the version itself. always, or a version that nobody knows:
    ALWAYS. DiagnosticError `missing_file` or `unreadable_file`.
    """
    match ref.identity:
        case "version":
            return ref.version or ALWAYS, ()
        case "always":
            return ALWAYS, ()
    if not ref.paths:
        raise fail("missing_file", f"source {ref.name!r} names no file", found=ref.uri)
    stats = [_stat(ref, path) for path in ref.paths]
    names = [os.path.relpath(path, ref.root) if ref.root else Path(path).name for path in ref.paths]
    if ref.identity == "stat":
        facts = [[name, s.st_size, s.st_mtime_ns] for name, s in zip(names, stats, strict=True)]
        return hash_bytes(canonical(["stat", facts])), tuple(hash_bytes(canonical(["stat", fact])) for fact in facts)
    unread = sum(s.st_size for path, s in zip(ref.paths, stats, strict=True) if cache.known(path) is None)
    if limit is not None and unread > limit:
        return None, ()
    try:
        digests = [cache.file_digest(path) for path in ref.paths]
    except OSError as error:
        raise _unreadable(ref, str(error.filename), error) from error
    token = hash_bytes(canonical(["content", [list(pair) for pair in zip(names, digests, strict=True)]]))
    return token, tuple(digests)


def _stat(ref: SourceRef, path: str) -> os.stat_result:
    try:
        info = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(ref, Path(path)) from None
    except OSError as error:
        raise _unreadable(ref, path, error) from error
    if not stat.S_ISREG(info.st_mode):
        raise fail("missing_file", f"source {ref.name!r} needs a file, and {path} is none", found=path)
    return info


def _stamp(info: os.stat_result) -> Stamp:
    return info.st_size, info.st_mtime_ns, info.st_ino, info.st_ctime_ns


def _missing(ref: SourceRef, path: Path) -> DiagnosticError:
    folder = path.parent
    message = f"source {ref.name!r}: there is no file {path}"
    if not folder.is_dir():
        there = next((parent for parent in folder.parents if parent.is_dir()), Path("/"))
        return fail("missing_file", message, found=str(path), hint=f"the path exists up to {there}")
    with suppress(OSError):
        near = did_you_mean(path.name, [entry.name for entry in folder.iterdir()])
        if near:
            return fail("missing_file", message, found=str(path), hint=near)
    return fail("missing_file", message, found=str(path), hint=f"its folder {folder} exists, without such a file")


def _unreadable(ref: SourceRef, path: str, error: OSError) -> DiagnosticError:
    return fail("unreadable_file", f"source {ref.name!r}: cannot read {path}: {error.strerror}", found=path)

"""Fetches files of a version: each hashed on its way, all beside their places before the first gets its name."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mldlc.cli.views.bar import Report, bar
from mldlc.plan.diagnostic import DiagnosticError, fail
from mldlc.plan.versions import Entry, PathNotFound, Versions, VersionsError

CHUNK = 1 << 20
WORKERS = 8
Open = Callable[[str], BinaryIO]


@dataclass(frozen=True)
class Copy:
    """One file to write. there: `target` has these bytes already."""

    entry: Entry
    target: Path
    there: bool = False


def opener(versions: Versions, commit: str, glob: str, count: int) -> Open:
    """How to open `count` files of a commit: many that lie on this machine without asking the store for each."""
    local: dict[str, str] = {}
    if count > 1 and "local-paths" in versions.caps:
        with suppress(PathNotFound):  # a name that reads as a glob
            source = versions.source(commit, glob)
            local = dict(zip(source.logical, source.paths, strict=True))

    def opened(path: str) -> BinaryIO:
        with suppress(KeyError, FileNotFoundError):
            return Path(local[path]).open("rb")
        return versions.open(commit, path)

    return opened


def write(opened: Open, copies: list[Copy]) -> None:
    """Fetch all into a folder beside their places, then rename each into its own: a failure before leaves nothing."""
    if not copies:
        return
    top = Path(os.path.commonpath([copy.target.absolute().parent for copy in copies]))
    beside = next(folder for folder in (top, *top.parents) if folder.exists())
    if not beside.is_dir():
        raise fail("in_the_way", f"{beside} is a file, where a folder should be", hint="choose another DEST")
    with tempfile.TemporaryDirectory(prefix=".mldlc-get-", dir=beside) as staging, bar("get", "bytes") as report:
        meter = _Meter(sum(copy.entry.size for copy in copies), report)
        _fetch_all([(copy.entry, Path(staging, str(number))) for number, copy in enumerate(copies)], opened, meter)
        for number, copy in enumerate(copies):
            _move(Path(staging, str(number)), copy.target)


class _Stopped(Exception):
    """Another file failed, or the command was interrupted."""


class _Meter:
    """Bytes written so far, by any thread. `stop`: whoever writes on gets an error, so that all threads end soon."""

    def __init__(self, total: int, report: Report) -> None:
        self._total, self._report = total, report
        self._done = 0
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def add(self, count: int) -> None:
        if self.stop.is_set():
            raise _Stopped
        with self._lock:
            self._done += count
            self._report(self._done, self._total)


def _fetch_all(items: list[tuple[Entry, Path]], opened: Open, meter: _Meter) -> None:
    """Several files at a time. When this returns or raises, also for Ctrl-C, no thread writes any more."""
    from concurrent.futures import ThreadPoolExecutor

    queue = deque(items)

    def drain() -> None:
        while not meter.stop.is_set():
            try:
                entry, target = queue.popleft()
            except IndexError:
                return
            try:
                with opened(entry.path) as source, target.open("xb") as out:
                    copy_checked(source, out, entry, meter.add)
            except _Stopped:
                return
            except BaseException:
                meter.stop.set()
                raise

    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        try:
            futures = [pool.submit(drain) for _ in range(min(WORKERS, len(items)))]
            for future in futures:
                future.result()
        finally:
            meter.stop.set()  # done, failed or interrupted: what still runs has nothing to do


def copy_checked(source: BinaryIO, out: BinaryIO, entry: Entry, wrote: Callable[[int], None]) -> None:
    """One file, hashed on its way. VersionsError when its bytes are not those that were committed."""
    from blake3 import blake3

    hasher = blake3()
    while data := source.read(CHUNK):
        hasher.update(data)
        out.write(data)
        wrote(len(data))
    if not entry.digest.startswith("etag:") and hasher.hexdigest() != entry.digest:
        raise VersionsError(f"{entry.path} is damaged: its bytes are not those that were committed; verify the store")


def _move(file: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise _in_the_way(error) from None


def _in_the_way(error: OSError) -> DiagnosticError:
    return fail("in_the_way", f"{error.filename}: {error.strerror}", hint="choose another DEST")

"""Leases where the file system has no flock: the holder is the highest numbered link, kept fresh by a heartbeat."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mldlc.plan.codec import canonical
from mldlc.store.durable import temporary_name

BEAT = 5.0  # seconds between heartbeats
STALE = 60.0  # a holder on another host counts as dead after this; one on this host as soon as its process is gone


class HeartbeatLock:
    """A held link `folder/<number>`. It is lost if this process stalls for longer than STALE: `intact` tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = path.stat().st_ino
        self._stop = threading.Event()
        threading.Thread(target=self._beat, name="mldlc-lease", daemon=True).start()

    def intact(self) -> bool:
        """Whether the link is still there and nobody has taken over."""
        with suppress(OSError):
            highest = _highest(self.path.parent)
            return highest is not None and highest == self.path and self.path.stat().st_ino == self._inode
        return False

    def release(self) -> None:
        """Remove the link if it is still ours."""
        self._stop.set()
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def drop(self) -> None:
        """In a forked child, where the heartbeat does not run: the parent keeps the lease."""

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):
                if self.path.stat().st_ino == self._inode:
                    os.utime(self.path)


def try_lock(folder: Path, owner: Mapping[str, Any]) -> HeartbeatLock | None:
    """Take the lock of a folder, or None while another holds it (or took it this very moment).

    link(2) of the next number is put-if-absent. Looking again afterwards, at the highest number and at the dead link
    that we stepped over, undoes the step of whoever acted on an old view; so two never both hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / temporary_name("new")
    fresh.write_bytes(canonical({"owner": dict(owner), "host": os.uname().nodename, **_process(os.getpid())}))
    try:
        dead = _highest(folder)
        seen = _identity(dead)
        if dead is not None and (seen is None or _alive(dead, fresh.stat().st_mtime)):
            return None
        mine = folder / f"{int(dead.name) + 1 if dead else 1:08d}"
        os.link(fresh, mine)
    except (FileExistsError, FileNotFoundError):
        return None
    finally:
        fresh.unlink(missing_ok=True)
    if _highest(folder) != mine or (dead is not None and _identity(dead) != seen):
        mine.unlink(missing_ok=True)
        return None
    if dead is not None:
        dead.unlink(missing_ok=True)
    return HeartbeatLock(mine)


def lock_owner(folder: Path) -> dict[str, Any] | None:
    """Owner of a held lock ({} when it cannot be read), or None."""
    highest = _highest(folder)
    if highest is None:
        return None
    with suppress(FileNotFoundError):
        if _alive(highest, time.time()):
            owner = _content(highest).get("owner")
            return owner if isinstance(owner, dict) else {}
    return None


def _highest(folder: Path) -> Path | None:
    names = [path.name for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return folder / max(names) if names else None


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        info = path.stat() if path else None
    except FileNotFoundError:
        return None
    return (info.st_ino, info.st_mtime_ns) if info else None


def _alive(path: Path, now: float) -> bool:
    """`now` is the mtime of a file just written, so that clocks of client and file server need not agree."""
    content = _content(path)
    if content.get("host") == os.uname().nodename and "pid" in content:
        return _process(int(content["pid"])).get("start") == content.get("start")
    return now - path.stat().st_mtime < STALE


def _content(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def _process(pid: int) -> dict[str, Any]:
    """A process by number and start time, which together are never used again; {} when it is dead (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return {}
        except PermissionError:
            pass
        return {"pid": pid, "start": ""} if not Path("/proc/self/stat").exists() else {}
    return {} if fields[0] in "ZX" else {"pid": pid, "start": fields[19]}

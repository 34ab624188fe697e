"""Leases of one process that share one locked file: each is a hard link to it, and costs neither an inode nor a block.

Who opens any of the names meets the lock of the one file behind them. A killed holder leaves names of a file that
nobody locks; `leases.try_acquire` takes such a name away and makes a file of its own.
"""
# ruff: noqa: PTH108, PTH116 (a call per step: strings cost a third of Path objects)

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mldlc.store import leases
from mldlc.store.layout import Store
from mldlc.store.leases import Lease


class LeaseGroup:
    """Gives leases as `leases.try_acquire` does, for a process that takes many: the inline steps of a run."""

    def __init__(self, store: Store, owner: Mapping[str, Any]) -> None:
        self.store, self.owner = store, owner
        self._shared: Lease | None = None
        self._file = ""
        self._inode = (0, 0)

    def try_acquire(self, key: str) -> Lease | None:
        """The lease of a key, or None while another holds it."""
        if not self._file:
            self._open()
        path = f"{self.store.leases}/{key}"
        try:
            os.link(self._file, path)
        except OSError:  # held, left by a killed process, no links here, or the shared file is gone
            return leases.try_acquire(self.store, key, self.owner)
        return Lease(key, _Name(path, self._inode))

    def close(self) -> None:
        """Let go of the shared file; the leases must have been given back before."""
        shared, self._shared, self._file = self._shared, None, ""
        if shared is not None:
            shared.release()

    def _open(self) -> None:
        """Lock the shared file. Where there is no flock its name stays one that no link can be made to."""
        name = f"group-{self.owner['run']}"
        self._file = f"{self.store.leases}/{name}"
        self._shared = leases.try_acquire(self.store, name, self.owner)
        with suppress(FileNotFoundError):
            info = os.stat(self._file)
            self._inode = info.st_dev, info.st_ino


class _Name:
    """One name of the shared file."""

    def __init__(self, path: str, inode: tuple[int, int]) -> None:
        self._path, self._inode = path, inode

    def intact(self) -> bool:
        try:
            info = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (info.st_dev, info.st_ino) == self._inode

    def release(self) -> None:
        with suppress(OSError):
            if self.intact():
                os.unlink(self._path)

    def drop(self) -> None:
        """A forked child holds nothing: the shared file's own lease closes its descriptor there."""

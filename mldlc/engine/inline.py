"""Inline steps: small built-ins that run in the scheduler, with their records written in groups."""
# ruff: noqa: PTH110 (a call per step: strings cost a third of Path objects)

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mldlc.engine.context import Say
from mldlc.engine.objects import Lease, LocalObjects, drop_scratch
from mldlc.engine.perform import Outcome, Surroundings, perform
from mldlc.engine.step_file import StepFile
from mldlc.plan.record import Output, Record
from mldlc.store.batch import Staged, write_group
from mldlc.store.layout import Store
from mldlc.store.lease_group import LeaseGroup

GROUP = 64  # records in a group at most
DELAY = 0.02  # seconds that the first record of a group waits; longer where the last write itself took longer


class GroupedObjects(LocalObjects):
    """An object port that keeps artifacts, records and leases until `flush`, which makes them durable in this order.

    Until then the files of an artifact lie in a staging folder, where the inline steps after it read them.
    """

    def __init__(self, store: Store, owner: Mapping[str, str]) -> None:
        super().__init__(store, owner)
        self.pending: dict[str, tuple[Record, Lease | None]] = {}
        self.known: dict[str, Record] = {}
        self._since = self._cost = 0.0
        self._stage = store.work / f"{owner['run']}-stage"
        self._out = self._stage / "out"
        self._staged: dict[str, Staged] = {}
        self._files: dict[str, Mapping[str, Path]] = {}
        self._count = 0
        self._leases = LeaseGroup(store, owner)

    def lease(self, key: str) -> Lease | None:
        return self._leases.try_acquire(key)

    def put(self, folder: Path, type: str, adopted: Mapping[str, str] | None = None) -> Output:
        assert not adopted, "the context of an inline step copies"
        self._count += 1
        staged = Staged(self.store, folder, type, f"{self._stage}/{self._count}")
        if staged.output.digest in self._staged:  # the same bytes twice in a group: the first ones stand for both
            staged.discard()
        else:
            self._staged[staged.output.digest] = staged
        return staged.output

    def folder(self) -> Path:
        """An empty folder; `put` takes all files out of it, so one serves for output after output."""
        if self._out.is_dir():
            if not os.listdir(self._out):  # noqa: PTH208
                return self._out
            self._count += 1  # the folder of another port, or with subfolders left in it
            self._out = self._stage / f"out-{self._count}"
        self._out.mkdir(parents=True)
        return self._out

    def fetch(self, digest: str) -> Mapping[str, Path]:
        if digest in self._staged:
            return self._staged[digest].paths()
        if digest not in self._files:
            self._files[digest] = super().fetch(digest)
        return self._files[digest]

    def find(self, key: str) -> Record | None:
        """As `LocalObjects.find`, but looked up once: garbage collection spares what was in use just now."""
        kept = self.pending.get(key)
        record = kept[0] if kept else self.known.get(key) or super().find(key)
        if record is not None and not kept:
            self.known[key] = record
        return record

    def commit(self, record: Record, lease: Lease | None) -> None:
        if not self.pending:
            self._since = time.monotonic()
        self.pending[record.key] = (record, lease)

    def due(self) -> bool:
        """Whether the group is large or old enough to be written."""
        old = time.monotonic() - self._since >= max(DELAY, 2 * self._cost)
        return len(self.pending) >= GROUP or (bool(self.pending) and old)

    def close(self) -> None:
        """Write what is left and remove the folders."""
        self.flush()
        self._leases.close()
        shutil.rmtree(self._stage, ignore_errors=True)

    def flush(self) -> None:
        """Write the group durably and give its leases back. OSError leaves none of the leases held."""
        group, self.pending = self.pending, {}
        staged, self._staged = self._staged, {}
        if not group and not staged:
            return
        start = time.monotonic()
        try:
            write_group(self.store, list(staged.values()), [record for record, _ in group.values()])
            for key in group:
                drop_scratch(self.store, key)
        finally:
            for _, lease in group.values():
                if lease is not None:
                    lease.release()
            self._cost = time.monotonic() - start


class _StepLog(logging.Handler):
    """Writes what one step after another logs into that step's file, made when there is something to write."""

    def __init__(self, place: Callable[[str], Path]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self.step = ""
        self._place = place

    def emit(self, record: logging.LogRecord) -> None:
        with self._place(self.step).open("a") as file:
            file.write(self.format(record) + "\n")


class Inline:
    """Executes inline steps one after another in the calling thread."""

    def __init__(self, store: Store, owner: Mapping[str, str], log: Callable[[str], Path]) -> None:
        self.port = GroupedObjects(store, owner)
        self._work = store.work / f"{owner['run']}-inline"
        self._handler = _StepLog(log)
        self._logger = logging.Logger("mldlc.step", logging.INFO)
        self._logger.addHandler(self._handler)

    def execute(self, file: StepFile, say: Say, cancelled: Callable[[], bool]) -> Outcome:
        """As in a worker, without a process around it."""
        self._handler.step = file.step
        around = Surroundings(self._work, say, cancelled, self._logger, False, self.port.folder)
        try:
            return perform(file, self.port, around)
        finally:
            if os.path.exists(self._work):
                shutil.rmtree(self._work, ignore_errors=True)

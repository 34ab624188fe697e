"""Inline steps: small built-ins that run in the scheduler, with their records written in groups."""

from __future__ import annotations

import logging
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

GROUP = 64  # records in a group at most
DELAY = 0.02  # seconds that the first record of a group waits; longer where the last write itself took longer


class GroupedObjects(LocalObjects):
    """An object port that keeps artifacts, records and leases until `flush`, which makes them durable in this order.

    Until then an artifact lies in a staging folder, where the inline steps after it read it.
    """

    def __init__(self, store: Store, owner: Mapping[str, str]) -> None:
        super().__init__(store, owner)
        self.pending: dict[str, tuple[Record, Lease | None]] = {}
        self.known: dict[str, Record] = {}
        self._since = self._cost = 0.0
        self._stage = store.work / f"{owner['run']}-stage"
        self._staged: dict[str, Staged] = {}
        self._free: list[Path] = []
        self._count = 0

    def put(self, folder: Path, type: str, adopted: Mapping[str, str] | None = None) -> Output:
        assert not adopted, "the context of an inline step copies"
        staged = Staged(self.store, folder, type)
        if staged.output.digest in self._staged:  # the same bytes twice in a group: the first ones stand for both
            for path in staged.paths().values():
                path.unlink()
            self._free.append(folder)
        else:
            self._staged[staged.output.digest] = staged
        return staged.output

    def folder(self) -> Path:
        """An empty folder. Folders are used again: making and removing one costs more than the files in it."""
        while self._free:
            folder = self._free.pop()
            if not any(folder.iterdir()):
                return folder
        self._count += 1
        folder = self._stage / str(self._count)
        folder.mkdir(parents=True)
        return folder

    def fetch(self, digest: str) -> Mapping[str, Path]:
        staged = self._staged.get(digest)
        return staged.paths() if staged else super().fetch(digest)

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
            self._free += [item.folder for item in staged.values()]
            self._cost = time.monotonic() - start


class Inline:
    """Executes inline steps one after another in the calling thread."""

    def __init__(self, store: Store, owner: Mapping[str, str], log: Callable[[str], Path]) -> None:
        self.port = GroupedObjects(store, owner)
        self._work = store.work / f"{owner['run']}-inline"
        self._log = log

    def execute(self, file: StepFile, say: Say, cancelled: Callable[[], bool]) -> Outcome:
        """As in a worker, without a process around it."""
        logger = logging.Logger("mldlc.step", logging.INFO)
        handler = logging.FileHandler(self._log(file.step), delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        around = Surroundings(self._work, say, cancelled, logger, False, self.port.folder)
        try:
            return perform(file, self.port, around)
        finally:
            handler.close()
            if self._work.exists():
                shutil.rmtree(self._work, ignore_errors=True)

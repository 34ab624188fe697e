"""`ctx.map`: one cached record an item; what is new becomes durable in groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mldlc.artifacts.handle import Artifact
from mldlc.engine.objects import ObjectPort
from mldlc.engine.step_file import StepFile
from mldlc.plan.keys import item_key
from mldlc.plan.record import Record

T = TypeVar("T")
GROUP = 64  # items in a group at most
DELAY = 1.0  # seconds after which a group is written: what a crash can cost


class Mapper:
    """The maps of one execution. `paths` remembers the digest of every file that a map gave."""

    def __init__(self, file: StepFile, port: ObjectPort, work: Path) -> None:
        self.paths: dict[Path, str] = {}
        self._file, self._port, self._work = file, port, work
        self._count = 0
        self._since = 0.0
        self._pending: dict[str, tuple[Path, Record]] = {}

    def run(
        self,
        items: Sequence[tuple[str, T]],
        fn: Callable[[str, T, Path], None],
        progress: Callable[[float, float, str], None],
    ) -> dict[str, Path]:
        """See `Context.map`. Items that are done stay done when a later one fails."""
        keys = [self._key(name, item, fn) for name, item in items]
        records: dict[str, Record] = {}
        try:
            for number, ((name, item), key) in enumerate(zip(items, keys, strict=True)):
                if key not in records and key not in self._pending:
                    found = self._port.find(key)
                    if found is None:
                        self._pending[key] = self._work_on(name, item, fn, key)
                    else:
                        self._port.touch(key)
                        records[key] = found
                if len(self._pending) >= GROUP or (self._pending and time.monotonic() - self._since > DELAY):
                    records |= self._flush()
                progress(number + 1, len(items), name)
        finally:
            records |= self._flush()
        views = {key: self._view(record) for key, record in records.items()}
        return {name: views[key] for (name, _), key in zip(items, keys, strict=True)}

    def _key(self, name: str, item: object, fn: Callable[..., None]) -> str:
        file = self._file
        try:
            return item_key(
                kind=file.kind, version=file.version, code=file.code, identity=file.identity, packages=file.packages,
                fn=fn.__qualname__, name=name, item=item,
            )  # fmt: skip
        except (TypeError, ValueError):
            raise TypeError(f"item {name!r} of ctx.map is neither JSON nor has a 'digest' entry") from None

    def _work_on(self, name: str, item: Any, fn: Callable[..., None], key: str) -> tuple[Path, Record]:
        self._count += 1
        folder = self._work / "map" / str(self._count)
        folder.mkdir(parents=True)
        started = time.time()
        fn(name, item, folder)
        if not self._pending:
            self._since = time.monotonic()
        file = self._file
        return folder, Record(
            key, file.recipe, file.kind, f"{file.stage}[{name}]", {}, run=file.setting.run, plan=file.setting.plan,
            started=started, seconds=time.time() - started,
        )  # fmt: skip

    def _flush(self) -> dict[str, Record]:
        made, self._pending = self._pending, {}
        return {record.key: record for record in self._port.keep(list(made.values()))} if made else {}

    def _view(self, record: Record) -> Path:
        """A folder with the item's own file names."""
        part = record.outputs["part"]
        view = Artifact("Any", part.digest, self._port.fetch(part.digest), self._work / "views")
        folder = view.path()
        folder.mkdir(parents=True, exist_ok=True)  # an item may have written nothing
        self.paths |= {folder / name: self._port.holds(path) for name, path in view.files.items()}
        return folder

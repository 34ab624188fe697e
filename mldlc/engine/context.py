"""The engine's side of a running step: the Context that `run(ctx, cfg, inputs)` gets."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mldlc.engine import approvals, versioned
from mldlc.engine.mapping import Mapper
from mldlc.engine.objects import ObjectPort
from mldlc.engine.step_file import StepFile, stamp
from mldlc.plan.versions import Source, Versions

T = TypeVar("T")
Say = Callable[[str, dict[str, Any]], None]
RATE = 0.2  # seconds between two progress events of one step


class StepContext:
    """A Context of one execution. `say(type, data)` carries events out; `cancelled` is asked of the process.

    folder: gives an empty folder for an output; by default they lie under `work`.
    """

    def __init__(
        self,
        file: StepFile,
        port: ObjectPort,
        work: Path,
        say: Say,
        cancelled: Callable[[], bool],
        log: logging.Logger,
        folder: Callable[[], Path] | None = None,
    ) -> None:
        self.stage, self.key, self.threads = file.stage, file.key, file.setting.threads
        self.run = file.setting.run
        self.sources: tuple[Mapping[str, Any], ...] = tuple(
            {
                "uri": s.uri, "name": s.name, "paths": s.paths, "identity": s.identity, "token": s.token,
                "commit": s.commit, "digests": tuple(file.contents[p] for p in s.paths if p in file.contents),
            }
            for s in file.sources
        )  # fmt: skip
        self.lineage: Sequence[Mapping[str, Any]] = file.lineage
        self.log = log
        self.rank, self.world = 0, 1
        self.outputs = Path(file.setting.outputs)
        self.facts: dict[str, Any] = {}
        self._file, self._port, self._work, self._say = file, port, work, say
        self._cancelled = cancelled
        self._folder = folder
        self._stamps = dict(zip((p for s in file.sources for p in s.paths), file.stamps, strict=False))
        self._outs: dict[str, Path] = {}
        self._adopted: dict[str, dict[str, str]] = {}
        self._mapper = Mapper(file, port, work)
        self._last = 0.0

    @property
    def scratch(self) -> Path:
        """Made on first use; the engine removes it when the key is committed."""
        path = self._port.scratch(self.key)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def temp(self) -> Path:
        path = self._work / "temp"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def out(self, port: str) -> Path:
        """KeyError when the step's kind declares no such output."""
        if port not in self._file.outputs:
            raise KeyError(f"{self._file.kind} has no output {port!r}: {sorted(self._file.outputs)}")
        if port not in self._outs:
            path = self._folder() if self._folder else self._work / "out" / port
            path.mkdir(parents=True, exist_ok=True)
            self._outs[port] = path
        return self._outs[port]

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        now = time.monotonic()
        if now - self._last < RATE and done != total:
            return
        self._last = now
        self._say("progress", {"done": done, "total": total, "text": text})

    def metric(self, name: str, value: float, step: int) -> None:
        self._say("metric", {"name": name, "value": value, "at": step})

    def summary(self, facts: Mapping[str, Any]) -> None:
        self.facts.update(facts)

    def intact(self, path: Path) -> bool:
        known = self._stamps.get(str(path))
        return known is None or stamp(str(path)) == known

    def cancelled(self) -> bool:
        return self._cancelled()

    def source(self, uri: str, *, local: bool = False) -> Source:
        commit = next((s.commit for s in self._file.sources if s.uri == uri), "")
        lakefs = self._file.setting.lakefs
        return versioned.read_source(uri, commit, self.outputs, self.temp if local else None, lakefs, self.progress)

    def versions(self, repository: str) -> Versions:
        return versioned.repository(repository, self.outputs, self._file.setting.lakefs, self.progress)

    @property
    def pins(self) -> Mapping[str, str]:
        return self._file.setting.pins

    @property
    def provenance(self) -> Mapping[str, str]:
        return self._file.setting.provenance

    def approval(self, digest: str) -> Mapping[str, Any] | None:
        return approvals.answer(self._file.setting.approvals, self.stage, digest)

    def map(self, items: Sequence[tuple[str, T]], fn: Callable[[str, T, Path], None]) -> dict[str, Path]:
        return self._mapper.run(items, fn, self.progress)

    def ranks(self, count: int, entry: str, preload: Sequence[str] = ()) -> None:
        from mldlc.engine import ranks, step_file

        path = self._work / "step.json"
        if not path.exists():
            step_file.write(self._file, path)
        told = ranks.launch(path, entry, preload, count, self._work, self._say, self._cancelled)
        self.facts.update(told["facts"])
        self._adopted.update(told["adopted"])

    def adopt(self, port: str, name: str, path: Path) -> None:
        target = self.out(port) / name
        digest = self._mapper.paths.get(path) or self._port.holds(path)
        if digest and self._folder is None:
            self._adopted.setdefault(port, {})[name] = digest
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def adopted(self, port: str) -> Mapping[str, str]:
        """Files of an output that are in the store already: name -> digest."""
        return self._adopted.get(port, {})

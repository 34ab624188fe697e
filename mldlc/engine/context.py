"""The engine's side of a running step: the Context that `run(ctx, cfg, inputs)` gets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mldlc.artifacts.handle import Artifact
from mldlc.engine import approvals, versioned
from mldlc.engine.objects import ObjectPort
from mldlc.engine.step_file import StepFile
from mldlc.plan.codec import digest
from mldlc.plan.record import Record
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
                "commit": s.commit,
            }
            for s in file.sources
        )  # fmt: skip
        self.lineage: Sequence[Mapping[str, Any]] = file.lineage
        self.log = log
        self.outputs = Path(file.setting.outputs)
        self.facts: dict[str, Any] = {}
        self._file, self._port, self._work, self._say = file, port, work, say
        self._cancelled = cancelled
        self._folder = folder
        self._outs: dict[str, Path] = {}
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

    def cancelled(self) -> bool:
        return self._cancelled()

    def source(self, uri: str, *, local: bool = False) -> Source:
        commit = next((s.commit for s in self._file.sources if s.uri == uri), "")
        return versioned.read_source(uri, commit, self.outputs, self.temp if local else None, self.progress)

    def versions(self, repository: str, config: Mapping[str, str]) -> Versions:
        return versioned.repository(repository, self.outputs, config)

    @property
    def pins(self) -> Mapping[str, str]:
        return self._file.setting.pins

    @property
    def provenance(self) -> Mapping[str, str]:
        return self._file.setting.provenance

    def approval(self, digest: str) -> Mapping[str, Any] | None:
        return approvals.answer(self._file.setting.approvals, self.stage, digest)

    def map(self, items: Sequence[tuple[str, T]], fn: Callable[[str, T, Path], None]) -> dict[str, Path]:
        """One cached record an item, kept also when the step itself fails later.

        An item is identified by its name and its canonical JSON, or by its `digest` entry where it is a mapping with
        one. The record also hangs on the step's kind, version, code, result config and packages and on the name of
        `fn`, and on nothing else: what `fn` reads besides (another input) must be part of the item.
        """
        done: dict[str, Path] = {}
        for number, (name, item) in enumerate(items):
            key = self._item_key(name, item, fn)
            record = self._port.find(key)
            if record is None:
                folder = self._work / "map" / str(number)
                folder.mkdir(parents=True)
                started = time.time()
                fn(name, item, folder)
                record = Record(
                    key, self._file.recipe, self._file.kind, f"{self.stage}[{name}]",
                    {"part": self._port.put(folder, "Any")},
                    run=self._file.setting.run, plan=self._file.setting.plan, started=started,
                    seconds=time.time() - started,
                )  # fmt: skip
                self._port.commit(record, None)
            part = record.outputs["part"]
            done[name] = Artifact("Any", part.digest, self._port.fetch(part.digest), self._work / "views").path()
            done[name].mkdir(parents=True, exist_ok=True)  # an item may have written nothing
            self.progress(number + 1, len(items), name)
        return done

    def _item_key(self, name: str, item: Any, fn: Callable[..., None]) -> str:
        identity = item["digest"] if isinstance(item, Mapping) and "digest" in item else item
        f = self._file
        what = [f.kind, f.version, f.code, f.identity, sorted(f.packages.items()), fn.__qualname__, name, identity]
        try:
            return digest(["map", 1, *what])
        except (TypeError, ValueError):
            raise TypeError(f"item {name!r} of ctx.map is neither JSON nor has a 'digest' entry") from None

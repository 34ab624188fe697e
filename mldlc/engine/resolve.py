"""What a step turns out to be once its inputs are known: its key, whether a record answers it, its step file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from mldlc.engine.step_file import Setting, StepFile, bind, order, stamp
from mldlc.plan.diagnostic import fail
from mldlc.plan.keys import action_key, lineage_digest
from mldlc.plan.plan import Plan
from mldlc.plan.step import Source, Step
from mldlc.store.statcache import StatCache, source_identity


class Resolver:
    """Knows the digests of finished steps and the tokens of sources; makes keys and step files from them."""

    def __init__(self, plan: Plan, setting: Setting) -> None:
        self.plan, self.setting = plan, setting
        self.steps = plan.by_id()
        self.digests: dict[str, dict[str, str]] = {}
        self.keys: dict[str, str] = {}
        self._tokens: dict[str, Future[str | None]] = {}
        self._stamps: dict[str, tuple[str, ...]] = {}
        self._contents: dict[str, dict[str, str]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._cache = StatCache(Path(setting.outputs) / "cache" / "stat.json")

    def hashing(self, step: Step) -> list[Future[str | None]]:
        """Hashes of the step's sources that are still being computed; starts what was not started.

        A source whose token the plan knows is looked at again too: the stat cache makes that cheap, and a file that
        changed since would otherwise poison the cache.
        """
        found = []
        for source in step.sources:
            if source.token is None or source.identity in ("content", "stat"):
                if source.uri not in self._tokens:
                    self._threads = self._threads or ThreadPoolExecutor(1, "hash")
                    self._tokens[source.uri] = self._threads.submit(self._hash, source)
                found.append(self._tokens[source.uri])
        return [future for future in found if not future.done()]

    def _hash(self, source: Source) -> str | None:
        self._stamps[source.uri] = tuple(stamp(path) for path in source.paths)
        token, digests = source_identity(source.ref(), self._cache, None)
        self._contents[source.uri] = dict(zip(source.paths, digests, strict=False))
        self._cache.save()
        if source.token is not None and token != source.token:
            raise fail("stale_plan", f"source {source.name} changed after the plan was made", hint="plan again")
        return token

    def file(self, step: Step) -> StepFile:
        """The step file; its inputs must be done and its sources hashed. KeyError (step, port): an input has no bytes.

        Whatever the hashing of a source raised comes out here.
        """
        inputs = bind(self.steps, step, self.digests)
        sources = tuple(
            replace(source, token=self._tokens[source.uri].result()) if source.uri in self._tokens else source
            for source in step.sources
        )
        labelled = {port: [(item.label, item.digest) for item in bound.items] for port, bound in inputs.items()}
        key = action_key(step, labelled, [s.token or "" for s in sources], lineage_digest(self.steps, step))
        self.keys[step.id] = key
        file = order(self.plan, step, key, inputs, sources, self._lineage(step), self.setting)
        stamps = tuple(item for source in sources for item in self._stamps.get(source.uri, ()))
        if not stamps:
            return file
        contents = {path: digest for source in sources for path, digest in self._contents.get(source.uri, {}).items()}
        return replace(file, stamps=stamps, contents=contents)

    def _lineage(self, step: Step) -> tuple[dict[str, Any], ...]:
        if not step.lineage:
            return ()
        above = ancestors(self.steps, step)
        return tuple(self._told(s, self.plan) for s in self.plan.steps if s.id in above)

    def _told(self, step: Step, plan: Plan) -> dict[str, Any]:
        return {
            "id": step.id, "stage": step.stage, "kind": step.kind, "recipe": step.recipe,
            "key": self.keys.get(step.id, step.key), "config": plan.blobs.get(step.identity) or {},
            "inputs": {
                port: [{"step": r.step, "port": r.port, "digest": self.digests[r.step][r.port]} for r in item.refs]
                for port, item in step.inputs.items()
            },
            "outputs": dict(self.digests.get(step.id, {})),
        }  # fmt: skip

    def close(self) -> None:
        """Give up what is still being hashed."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def ancestors(steps: Mapping[str, Step], step: Step) -> set[str]:
    """Ids of everything upstream."""
    seen: set[str] = set()
    stack: list[Iterable[str]] = [step.upstream()]
    while stack:
        for id in stack.pop():
            if id not in seen:
                seen.add(id)
                stack.append(steps[id].upstream())
    return seen

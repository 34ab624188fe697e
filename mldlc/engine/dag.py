"""The walk over the steps as a pure state machine: what is ready, what fits into the free slots, who is skipped."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mldlc.plan.step import Step

LOOK = 64  # how far the queue is searched for a step that fits
PATIENCE = 16  # how often smaller steps may pass a large one before slots are kept free for it


Order = tuple[bool, float, int]  # whether its points are still to begin, its longest path, its place in the plan


@dataclass(frozen=True)
class Slots:
    """What the machine has, or what one step takes. memory in bytes; jobs: worker processes."""

    jobs: int
    cpu: int
    gpu: int
    memory: int


def priorities(steps: Sequence[Step]) -> dict[str, float]:
    """Length of the longest path from each step to an end: predicted seconds where known, else 1 a step."""
    below: dict[str, float] = {}
    for step in reversed(steps):
        known = step.cost.seconds if step.cost else None
        length = below.get(step.id, 0.0) + (1.0 if known is None else known)
        below[step.id] = length
        for parent in step.upstream():
            below[parent] = max(below.get(parent, 0.0), length)
    return below


def begun(steps: Sequence[Step]) -> set[str]:
    """Steps of some points of a sweep that are ready only when another step of just these points is done.

    They go first: a sweep that is stopped halfway then has scores of what it trained, not trainings alone.
    """
    points = {step.id: step.points for step in steps}
    whole = len(set().union(*points.values()))
    return {
        step.id
        for step in steps
        if len(step.points) < whole and any(points[parent] == step.points for parent in step.upstream())
    }


class Dag:
    """States of the steps: blocked -> ready -> queued -> running -> done; or skipped. Steps come in execution order."""

    def __init__(self, steps: Sequence[Step], capacity: Slots) -> None:
        rank, first = priorities(steps), begun(steps)
        self._order = {s.id: (s.id not in first, -rank[s.id], number) for number, s in enumerate(steps)}
        self._needs = {step.id: self._clamped(step, capacity) for step in steps}
        self._free = capacity
        self._missing = {step.id: len(step.upstream()) for step in steps}
        self._below: dict[str, list[str]] = {step.id: [] for step in steps}
        for step in steps:
            for parent in step.upstream():
                self._below[parent].append(step.id)
        self._spared = {step.id: _spared(step) for step in steps if step.partial}
        self._given = dict.fromkeys(self._spared, 0)
        self._ready = [(self._order[i], i) for i, n in self._missing.items() if n == 0]
        heapq.heapify(self._ready)
        self._queue: list[tuple[Order, str]] = []
        self._passed: dict[str, int] = {}
        self._open = set(self._missing)
        self.running: set[str] = set()

    @staticmethod
    def _clamped(step: Step, capacity: Slots) -> Slots:
        """A step that asks for more than there is gets all of it, so it can start at all."""
        n = step.needs
        return Slots(1, min(n.cpu, capacity.cpu), min(n.gpu, capacity.gpu), min(n.memory or 0, capacity.memory))

    @property
    def open(self) -> int:
        """Number of steps without an end."""
        return len(self._open)

    def left(self) -> Iterable[str]:
        """Ids of the steps without an end, in no order."""
        return tuple(self._open)

    def ready(self) -> str | None:
        """Take the ready step that goes on with its points, or the one of the longest remaining path; or None."""
        return heapq.heappop(self._ready)[1] if self._ready else None

    def queue(self, id: str) -> None:
        """A ready step must execute: it waits for slots."""
        heapq.heappush(self._queue, (self._order[id], id))

    def queued(self) -> int:
        """Number of steps that wait for slots."""
        return len(self._queue)

    def take(self) -> str | None:
        """The first queued step that fits into the free slots; it becomes running and occupies them."""
        skipped: list[tuple[Order, str]] = []
        found = None
        while self._queue and len(skipped) < LOOK:
            entry = heapq.heappop(self._queue)
            if self._fits(self._needs[entry[1]]):
                found = entry[1]
                break
            skipped.append(entry)
            if self._passed.get(entry[1], 0) >= PATIENCE:
                break
        if found is not None:
            for _, id in skipped:
                self._passed[id] = self._passed.get(id, 0) + 1
            self._occupy(self._needs[found], 1)
            self.running.add(found)
        for entry in skipped:
            heapq.heappush(self._queue, entry)
        return found

    def release(self, id: str) -> None:
        """A running step gives its slots back (it ended, or it will be queued again)."""
        self.running.discard(id)
        self._occupy(self._needs[id], -1)

    def done(self, id: str) -> None:
        """The step has its outputs; its dependents may become ready."""
        self._open.discard(id)
        for child in self._below[id]:
            self._missing[child] -= 1
            if child in self._given:
                self._given[child] += 1
            if self._missing[child] == 0:
                heapq.heappush(self._ready, (self._order[child], child))

    def fail(self, id: str) -> list[str]:
        """The step has no outputs: every open step downstream is skipped; their ids come back in execution order.

        A partial step goes on with what is left on its `many` and `optional` ports, as long as something is.
        """
        self._open.discard(id)
        lost, stack = set(), [id]
        while stack:
            parent = stack.pop()
            for child in self._below[parent]:
                if child in self._open:
                    if parent in self._spared.get(child, ()) and self._does_without(child):
                        continue
                    self._open.discard(child)
                    lost.add(child)
                    stack.append(child)
        return sorted(lost, key=lambda i: self._order[i][-1])

    def _does_without(self, child: str) -> bool:
        """One of a partial step's inputs will not come; False when that was the last hope."""
        self._missing[child] -= 1
        if self._missing[child] == 0 and self._given[child]:
            heapq.heappush(self._ready, (self._order[child], child))
        return self._missing[child] > 0 or self._given[child] > 0

    def drain(self) -> list[str]:
        """Start nothing more: open steps that do not run are closed; their ids come back in execution order."""
        lost = [id for id in self._open if id not in self.running]
        self._open -= set(lost)
        self._ready, self._queue = [], []
        return sorted(lost, key=lambda i: self._order[i][-1])

    def _fits(self, n: Slots) -> bool:
        f = self._free
        return n.jobs <= f.jobs and n.cpu <= f.cpu and n.gpu <= f.gpu and n.memory <= f.memory

    def _occupy(self, n: Slots, sign: int) -> None:
        f = self._free
        self._free = Slots(
            f.jobs - sign * n.jobs, f.cpu - sign * n.cpu, f.gpu - sign * n.gpu, f.memory - sign * n.memory
        )


def _spared(step: Step) -> set[str]:
    """Ids of the steps that only its `many` and `optional` ports take from."""
    needed = {ref.step for item in step.inputs.values() if item.arity == "one" for ref in item.refs}
    return set(step.upstream()) - needed


def capacity(jobs: int | None, settings: Mapping[str, object], cpus: int, memory: int) -> Slots:
    """Slots of this machine; `executor.cpus|gpus|memory` of the settings override what was found."""

    def number(name: str, found: int) -> int:
        value = settings.get(name)
        return value if isinstance(value, int) else found

    cpu = number("cpus", max(cpus, jobs or 1))
    return Slots(jobs or cpu, cpu, number("gpus", 0), number("memory", memory))

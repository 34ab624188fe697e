"""Whether a checkpoint is due, and whether the run was asked to stop: seen after batches, by all ranks alike."""

from __future__ import annotations

import time

import torch

from mldlc.plan.context import Context
from mldlc.training.ranks import Ranks

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 5.0  # a run that was asked to stop waits so long for a step after which the place is exact


class Wishes:
    """What is wanted of a training besides its steps.

    due: a checkpoint is, after `seconds` without one. stopping: the run was asked to stop. late: it was, and nothing
    could be saved for PATIENCE_SECONDS. Ranks see time and requests at different moments, so they compare.
    """

    def __init__(self, ctx: Context, ranks: Ranks, seconds: float) -> None:
        self.ctx, self.ranks, self.seconds = ctx, ranks, seconds
        self.due = self.stopping = self.late = False
        self._next = time.monotonic() + seconds
        self._give_up = float("inf")
        self._batches = self._look_at = self._looked_at = 0
        self._looked = 0.0

    def look(self, device: torch.device) -> None:
        """After a batch, not after every one: ask, and agree with the other ranks (a collective)."""
        now, self._batches = time.monotonic(), self._batches + 1
        waits = self._batches < self._look_at if self.ranks.world > 1 else now < self._looked + LOOK_SECONDS
        if waits and not self.stopping:
            return
        pace = (now - self._looked) / max(1, self._batches - self._looked_at) if self._looked else LOOK_SECONDS
        seen = [float(self.ctx.cancelled()), float(now >= self._next), float(now >= self._give_up), pace]
        stop, due, late, pace = self.ranks.most(seen, device)
        if stop and not self.stopping:
            self.stopping, self._give_up = True, now + PATIENCE_SECONDS
        self.due, self.late = self.due or bool(due), bool(late)
        self._looked, self._looked_at = now, self._batches
        self._look_at = self._batches + max(1, min(1000, int(LOOK_SECONDS / max(pace, 1e-6))))

    def hurry(self) -> None:
        """Look after the very next batch, where no other rank has to."""
        self._looked = 0.0

    def new_pace(self) -> None:
        """The next batches may take another time than the last ones did: look after the first of them."""
        self._looked, self._looked_at, self._look_at = time.monotonic(), self._batches, 0

    def saved(self) -> None:
        """A checkpoint was written."""
        self.due, self._next = False, time.monotonic() + self.seconds

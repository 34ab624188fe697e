"""The processes of one training among each other: what they exchange, and which part of the data each takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mldlc.training.loader import Shard

SEED_STEP = 1_000_003  # between the seeds of two ranks: their dropout masks differ


@dataclass(frozen=True)
class Ranks:
    """`rank` of `world` processes. copies: neighbours that work on the same rows (tensor parallelism, a pipeline).

    Everything but `shard` is a collective: all ranks must call it, in the same order.
    """

    rank: int = 0
    world: int = 1
    copies: int = 1

    @property
    def shard(self) -> Shard:
        """The own part of every batch."""
        return Shard(self.rank // self.copies, self.world // self.copies)

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def parts(self, value: Any) -> list[Any]:
        """The values of the ranks with different rows: of the last one of each group, where a pipeline ends."""
        return self.gather(value)[self.copies - 1 :: self.copies]

    def mean(self, values: Tensor) -> Tensor:
        """Element-wise mean over the ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def most(self, values: list[float], device: torch.device) -> list[float]:
        """Element-wise maximum over the ranks."""
        if self.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float32, device=device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.tolist()

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            dist.barrier()

    def seed(self, seed: int) -> None:
        """Give ranks that work on different rows random numbers of their own; the first keeps what it has."""
        if self.shard.rank:
            torch.manual_seed(seed + SEED_STEP * self.shard.rank)

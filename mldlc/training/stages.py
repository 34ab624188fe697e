"""One rank's part of a network that is cut between its blocks, and how a batch runs along all parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from mldlc.training.models.chain import Chain
from mldlc.training.module import TabularModule
from mldlc.training.sharding import clip_norm, squared_norm

Context = Callable[[], AbstractContextManager[Any]]


def cut(net: Chain, number: int, count: int) -> list[nn.Module]:
    """Drop in place what stage `number` of `count` does not compute, and give its blocks: nearly equally many a stage.

    Names stay as they are, so the stages' weights together are those of the network.
    """
    blocks = getattr(net, net.sequence)
    first, last = (-(-edge * len(blocks) // count) for edge in (number, number + 1))
    for index in set(range(len(blocks))) - set(range(first, last)):
        setattr(blocks, str(index), None)
    kept = (net.entry if number == 0 else ()) + (net.exit if number == count - 1 else ())
    for name in {*net.entry, *net.exit} - {*kept}:
        setattr(net, name, None)
    return [blocks[index] for index in range(first, last)]


class Stage(nn.Module):
    """What a rank computes of a micro-batch: its blocks; on the first rank also the entry, on the last the exit."""

    def __init__(self, net: Chain, number: int, count: int, context: Context) -> None:
        super().__init__()
        self.blocks = cut(net, number, count)
        self.net, self.first, self.last, self.context = net, number == 0, number == count - 1, context

    def forward(self, *x: Tensor) -> Tensor:
        with self.context():
            y = self.net.through(self.net.enter(*x) if self.first else x[0], self.blocks)
            return self.net.leave(y) if self.last else y


class Line:
    """All stages, as one rank sees them; every method is a collective.

    A batch is cut into `parts` micro-batches of equally many rows; where rows are missing, its last one stands in and
    counts nothing. Gradients of a member that both ends have are added up, so it stays equal on both.
    """

    def __init__(self, module: TabularModule, parts: int, device: torch.device, context: Context) -> None:
        assert isinstance(module.net, Chain)
        self.module, self.parts, self.device, self.context = module, parts, device, context
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        twice = tuple(f"net.{name}." for name in module.net.entry if name in module.net.exit)
        self.stage = Stage(module.net, self.number, self.count, context)
        both = self.count > 1 and (self.stage.first or self.stage.last)
        self.shared = [p for name, p in module.named_parameters() if both and twice and name.startswith(twice)]
        self.ends = dist.new_group([0, self.count - 1]) if self.count > 1 else None
        self.schedules: dict[tuple[int, bool], Any] = {}
        self.batch: tuple[Tensor, ...] = ()
        self.share = self.scale = 1.0
        module.share, module.clip = lambda: self.share, self.clip

    def learn(self, batch: tuple[Tensor, ...], scale: float) -> Tensor:
        """Add the gradients of `scale` times the loss of a batch to the own parameters; the loss, on every rank."""
        self.batch, self.scale = batch, scale
        losses: list[Tensor] = []
        target = torch.arange(self._rows * self.parts) if self.stage.last else None
        schedule = self._schedule(learns=True)
        schedule.step(*self._inputs(), target=target, losses=losses, return_outputs=False)
        loss = torch.stack(losses).sum().detach() if losses else torch.zeros((), device=self.device)
        self.batch = ()
        if self.count > 1:
            loss = loss.float()
            dist.broadcast(loss, self.count - 1)
        return loss / scale

    def tell(self, batch: tuple[Tensor, ...]) -> Tensor | None:
        """Outputs of the network for a batch, on the last rank only."""
        self.batch = batch
        out = self._schedule(learns=False).step(*self._inputs())
        self.batch = ()
        return None if out is None else out[: len(batch[0])]

    def add_shared(self) -> None:
        """Give both ends the whole gradient of what they share."""
        for parameter in self.shared:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad, group=self.ends)

    def clip(self, largest: float) -> None:
        """Scale the gradients so that their norm over all stages is at most `largest`."""
        own = list(self.module.parameters())
        again = {id(p) for p in self.shared} if self.stage.last and self.count > 1 else set()
        squares = squared_norm(p for p in own if id(p) not in again).to(self.device)
        dist.all_reduce(squares)
        clip_norm(own, squares, largest)

    @property
    def _rows(self) -> int:
        """Rows of a micro-batch of the present batch."""
        return -(-len(self.batch[0]) // self.parts)

    def _schedule(self, learns: bool) -> Any:
        """torch's schedule for the present number of rows: it cannot change within one."""
        key = (self._rows, learns)
        if key not in self.schedules:
            stage = PipelineStage(self.stage, self.number, self.count, self.device)
            self.schedules[key] = (
                Schedule1F1B(stage, self.parts, loss_fn=self._loss, scale_grads=False)
                if learns
                else ScheduleGPipe(stage, self.parts)
            )
        return self.schedules[key]

    def _inputs(self) -> tuple[Tensor, ...]:
        """What the first stage is given: equally many rows for each micro-batch."""
        if not self.stage.first:
            return ()
        found, rows = self.module.inputs(self.batch), len(self.batch[0])
        if rows == self._rows * self.parts:
            return found
        index = torch.arange(self._rows * self.parts, device=self.device).clamp(max=rows - 1)
        return tuple(tensor[index] for tensor in found)

    def _loss(self, out: Tensor, rows: Tensor) -> Tensor:
        """What some rows add to the batch's mean loss. rows: their numbers, also of those that stand in."""
        first, total = int(rows[0]), len(self.batch[0])
        last = min(first + len(rows), total)
        if first >= last:
            return out.sum() * 0.0
        part, weight = tuple(t[first:last] for t in self.batch), self.module.weight(self.batch)
        self.share = (last - first) / total
        if weight is not None:
            whole = float(weight.sum())
            self.share = float(weight[first:last].sum()) / whole if whole else 0.0
        with self.context():
            loss = self.module.scored(self.module.shaped(out[: last - first]), part)
        return loss * self.scale

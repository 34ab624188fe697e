"""A network that ships as a sequence of blocks, so that pipeline parallelism can cut it between them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


class Chain(nn.Module):
    """Its forward is `leave(through(enter(inputs), blocks))`.

    entry, exit: names of the members that only `enter` and `leave` use; one that both use is shared by the two ends.
    sequence: name of the list of blocks. Members of other stages are None: `through` uses only the blocks it is given.
    """

    entry: tuple[str, ...] = ()
    sequence: str = ""
    exit: tuple[str, ...] = ()

    def enter(self, *inputs: Tensor) -> Tensor:
        """What the first block is given."""
        raise NotImplementedError

    def through(self, x: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        """The output of some blocks, one after the other; of the shape of what came in, but for the last axis."""
        for block in blocks:
            x = block(x)
        return x

    def leave(self, x: Tensor) -> Tensor:
        """The output of the network."""
        raise NotImplementedError

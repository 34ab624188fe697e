"""`trainer.activation_checkpointing`: blocks keep their input alone, and compute the rest again in the backward pass.

After Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost" (2016), by torch's own checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mldlc.plan.context import StepError


def repeated(net: nn.Module) -> list[nn.Module]:
    """The blocks of a network that names the list of them in `sequence`; else none."""
    return list(getattr(net, getattr(net, "sequence", "") or "", ()))


def recompute(net: nn.Module) -> None:
    """Have the blocks of a network keep less, in place; StepError for one without blocks.

    Values stay bit for bit what they were: dropout draws the same numbers again, and batch norm counts a batch once.
    """
    blocks = repeated(net)
    if not blocks:
        raise StepError(
            f"{type(net).__name__} names no blocks whose activations could be computed again",
            where="trainer.activation_checkpointing",
            hint="name its list of blocks in an attribute `sequence`, or set it to false",
        )  # fmt: skip
    for block in blocks:
        block.forward = _again(block, block.forward)


def _again(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    norms = [part for part in block.modules() if isinstance(part, _BatchNorm)]

    @wraps(forward)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        contexts = {"context_fn": lambda: (nullcontext(), _uncounted(norms))} if norms else {}
        return checkpoint(forward, *args, use_reentrant=False, **contexts, **kwargs)

    return checkpointed


@contextmanager
def _uncounted(norms: list[_BatchNorm]) -> Iterator[None]:
    """Leave running means, deviations and counts as they are: the first pass has taken the batch into them."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count

"""What optimizing takes when some weights lie whole on a rank and others in shards, of one mesh or several."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_shard(tensor: object) -> TypeGuard[DTensor]:
    """Whether it is a DTensor. Where nothing shards, torch's modules for that stay unimported: 700 of them."""
    return "torch.distributed.tensor" in sys.modules and isinstance(tensor, torch.distributed.tensor.DTensor)


def meshes(net: nn.Module) -> set[Any]:
    """The meshes over which parameters are sharded; None for those that are whole."""
    return {getattr(parameter, "device_mesh", None) for parameter in net.parameters()}


def by_mesh(groups: Sequence[Any]) -> list[Any]:
    """Parameters, or groups of them, so that torch's kernels for many at once meet one mesh at a time."""
    grouped = groups if groups and isinstance(groups[0], dict) else [{"params": list(groups)}]
    found = []
    for group in grouped:
        kinds: dict[Any, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            kinds.setdefault(getattr(parameter, "device_mesh", None), []).append(parameter)
        found += [group | {"params": members} for members in kinds.values()]
    return found if len(found) > len(grouped) else list(groups)


def squared_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Sum of the squares of all gradients, a scalar; a collective where some are sharded."""
    norms = [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]
    whole = [norm.full_tensor() if is_shard(norm) else norm for norm in norms]
    return torch.stack(whole).square().sum() if whole else torch.zeros(())


@torch.no_grad()
def clip_norm(parameters: Sequence[nn.Parameter], squares: Tensor, largest: float) -> None:
    """torch's `clip_grad_norm_` where `squares`, the squared norm of all gradients, is not of `parameters` alone."""
    factor = min(1.0, largest / (float(squares.sqrt()) + 1e-6))
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)

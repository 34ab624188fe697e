"""What optimizing takes when some weights lie whole on a rank and others in shards, of one mesh or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


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


@torch.no_grad()
def clip_norm(parameters: Sequence[nn.Parameter], largest: float) -> None:
    """torch's `clip_grad_norm_`, for gradients of several meshes; a collective."""
    squares = []
    for parameter in parameters:
        if parameter.grad is not None:
            norm: Tensor = torch.linalg.vector_norm(parameter.grad)
            squares.append((norm.full_tensor() if isinstance(norm, DTensor) else norm) ** 2)
    if not squares:
        return
    factor = min(1.0, largest / (float(torch.stack(squares).sum().sqrt()) + 1e-6))
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)

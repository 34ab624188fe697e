"""Which parts of a network the strategies share out, from its layers alone: imports nothing of torch.distributed."""

from __future__ import annotations

from typing import Literal

from torch import nn

# by its outputs, as the first of a pair; by its inputs, as the second; by its outputs, which all ranks then get
Cut = Literal["outputs", "inputs", "gathered"]
BUCKET = 200_000_000  # elements that are reduced or gathered together, at most
GOES = 8  # in which a model is reduced or gathered, at least: a bucket of all of it would undo what sharding saves
ALIGNED = 4096  # what DeepSpeed wants a multiple of, on any number of ranks


def blocks(net: nn.Module) -> list[nn.Module]:
    """Members of the network's lists of layers that have parameters: fully_shard takes each by itself."""
    lists = [part for part in net.modules() if isinstance(part, nn.Sequential | nn.ModuleList)]
    inner = {id(part) for group in lists for member in group for part in member.modules()}
    outer = [group for group in lists if id(group) not in inner]
    return [member for group in outer for member in group if any(True for _ in member.parameters())]


def cuts(net: nn.Module, size: int) -> dict[str, Cut]:
    """How tensor parallelism cuts each linear layer that `size` divides, by its name."""
    found: dict[str, Cut] = {}
    for name, part in net.named_modules():
        for first, second in getattr(part, "pairs", ()):
            if getattr(part, first).out_features % size == 0:
                prefix = f"{name}." if name else ""
                found[prefix + first], found[prefix + second] = "outputs", "inputs"
    for name, part in net.named_modules():
        if isinstance(part, nn.Linear) and name not in found and part.out_features % size == 0:
            found[name] = "gathered"
    return found


def bucket_of(count: int) -> int:
    """Elements of a bucket of DeepSpeed's for a model of so many."""
    return min(BUCKET, -(-count // GOES // ALIGNED) * ALIGNED)

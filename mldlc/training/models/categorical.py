"""All categorical columns of a table in one embedding: where the rows of each column begin in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


def offsets(cardinalities: Sequence[int]) -> Tensor:
    """(K,) int32: the categories of all columns before each. From plain numbers, so that meta tensors will do, too."""
    return torch.tensor([0, *accumulate(cardinalities)][:-1], dtype=torch.int32)

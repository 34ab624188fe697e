"""Gradient attribution of a model's raw output to its inputs: numbers, and categories through their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.model import LoadedModel, joined, squeezed
from mldlc.evaluation.lookups import Lookups, owners

_BATCH = 8192
_TRIED = 64  # rows on which it is found out where a category goes


@dataclass(frozen=True)
class Attributions:
    """numeric (n, F) and categorical (n, K) attributions; gap: by how much they miss the change of the output.

    untold: categorical columns that reach the output by no embedding of their own; they have no attribution.
    """

    numeric: np.ndarray
    categorical: np.ndarray
    gap: float | None
    untold: tuple[int, ...]


def attributions(
    model: LoadedModel,
    numeric: np.ndarray,
    categorical: np.ndarray,
    base: tuple[np.ndarray, np.ndarray],
    cardinalities: Sequence[int],
    method: str,
    steps: int,
) -> Attributions:
    """Attribution of every row and input to the way from the row `base` (numbers, codes) to it.

    `integrated`: integrated gradients by the midpoint rule with `steps` points (Sundararajan, Taly, Yan, 2017), for
    categories along the line between the embeddings of the two codes; the gap is the mean absolute difference to the
    change of the output. `gradient_x_input`: the difference of the inputs (or embeddings) times the gradient at the
    row; it promises no sum, so the gap is None. Untold categories stay as they are.
    """
    teller = _Teller(model, numeric[:_TRIED], categorical[:_TRIED], cardinalities)
    points = [1.0] if method == "gradient_x_input" else [(i + 0.5) / steps for i in range(steps)]
    numbers, categories, gaps = [], [], []
    for start in range(0, len(numeric), _BATCH):
        rows = slice(start, start + _BATCH)
        one, two, missed = teller.batch(numeric[rows], categorical[rows], base, points)
        numbers.append(one)
        categories.append(two)
        gaps.append(missed)
    gap = float(np.concatenate(gaps).mean()) if method == "integrated" else None
    return Attributions(np.concatenate(numbers), np.concatenate(categories), gap, tuple(teller.untold))


class _Teller:
    """A model, and which of its lookups belong to which category."""

    def __init__(
        self, model: LoadedModel, numeric: np.ndarray, categorical: np.ndarray, cardinalities: Sequence[int]
    ) -> None:
        self.model = model
        self.lookups = Lookups(model.module)
        self.dtype = next((p.dtype for p in model.module.parameters() if p.is_floating_point()), torch.float32)
        x, codes = self._tensors(numeric, categorical)
        self.columns, self.untold = owners(self.lookups, self._raw, x, codes, cardinalities)

    def batch(
        self, numeric: np.ndarray, categorical: np.ndarray, base: tuple[np.ndarray, np.ndarray], points: list[float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Attributions of some rows, (n, F) and (n, K), and how far their sum is from the change of output."""
        x, codes = self._tensors(numeric, categorical)
        origin = torch.from_numpy(base[0].astype(np.float32)).to(self.dtype).expand_as(x)
        start = torch.from_numpy(base[1].astype(np.int32)).expand_as(codes).clone()
        start[:, self.untold] = codes[:, self.untold]
        there = self.lookups.told(self._raw, x, codes)
        ways = []
        for columns, here, before in zip(self.columns, there, self.lookups.told(self._raw, origin, start), strict=True):
            free = torch.tensor([column >= 0 for column in columns])[None, :, None]
            ways.append((here.rows, torch.where(free, here.rows - before.rows, 0)))
        with torch.no_grad():
            chosen = self._chosen(self._raw(x, codes))
        slope, slopes = torch.zeros_like(x), [torch.zeros_like(way) for _, way in ways]
        for point in points:
            inputs = [origin + (x - origin) * point, *(end - way * (1 - point) for end, way in ways)]
            first, *rest = self._gradients(inputs, codes, chosen)
            slope += first / len(points)
            slopes = [sum_ + more / len(points) for sum_, more in zip(slopes, rest, strict=True)]
        numbers = (x - origin) * slope
        categories = torch.zeros(codes.shape, dtype=self.dtype)
        for columns, (_, way), steep in zip(self.columns, ways, slopes, strict=True):
            parts = (way * steep).sum(2)
            for position, column in enumerate(columns):
                if column >= 0:
                    categories[:, column] += parts[:, position]
        with torch.no_grad():
            change = _told(self._raw(x, codes), chosen) - _told(self._raw(origin, start), chosen)
        missed = (numbers.sum(1) + categories.sum(1) - change).abs()
        return numbers.float().numpy(), categories.float().numpy(), missed.float().numpy()

    def _tensors(self, numeric: np.ndarray, categorical: np.ndarray) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(np.ascontiguousarray(numeric, np.float32)).to(self.dtype)
        return x, torch.from_numpy(np.ascontiguousarray(categorical))

    def _raw(self, x: Tensor, codes: Tensor) -> Tensor:
        module = self.model.module
        raw = module(numeric=x, categorical=codes) if self.model.columns else module(joined(x, codes))
        return squeezed(raw.to(torch.float32))

    def _chosen(self, raw: Tensor) -> Tensor | None:
        """The class whose output is explained: the predicted one of several; None where there is one number."""
        return None if raw.ndim == 1 or self.model.kind == "binary" else raw.argmax(1)

    def _gradients(self, inputs: list[Tensor], codes: Tensor, chosen: Tensor | None) -> list[Tensor]:
        with torch.enable_grad():
            leaves = [item.detach().clone().requires_grad_(True) for item in inputs]
            raw = self.lookups.replaced(self._raw, leaves[0], codes, leaves[1:])
            found = torch.autograd.grad(_told(raw, chosen).sum(), leaves, allow_unused=True)
        return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, found, strict=True)]


def _told(raw: Tensor, chosen: Tensor | None) -> Tensor:
    """One number a row: the output that is explained."""
    if raw.ndim == 1:
        return raw
    return raw[:, 1] - raw[:, 0] if chosen is None else raw.gather(1, chosen[:, None]).squeeze(1)

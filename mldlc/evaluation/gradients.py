"""Gradient attribution of a model's raw output to its numeric inputs, by autograd."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.model import LoadedModel, joined, squeezed

_BATCH = 8192


def attributions(
    model: LoadedModel, numeric: np.ndarray, categorical: np.ndarray, base: np.ndarray, method: str, steps: int
) -> tuple[np.ndarray, float | None]:
    """Attribution of every row and numeric input, (n, F), and how far they miss to sum to the change of output.

    `integrated`: integrated gradients from the row `base`, by the midpoint rule with `steps` points (Sundararajan,
    Taly, Yan, 2017); the gap is the mean absolute difference to f(x) - f(base). `gradient_x_input`: (x - base) times
    the gradient at x; it promises no sum, so the gap is None. Categorical inputs stay as they are.
    """
    found, gaps = [], []
    for start in range(0, len(numeric), _BATCH):
        x = torch.from_numpy(np.ascontiguousarray(numeric[start : start + _BATCH], np.float32))
        codes = torch.from_numpy(np.ascontiguousarray(categorical[start : start + _BATCH]))
        origin = torch.from_numpy(base.astype(np.float32)).expand_as(x)
        with torch.no_grad():
            chosen = _chosen(model, x, codes)
        points = [1.0] if method == "gradient_x_input" else [(i + 0.5) / steps for i in range(steps)]
        slope = sum(_gradient(model, origin + (x - origin) * point, codes, chosen) for point in points) / len(points)
        part = (x - origin) * slope
        found.append(part.numpy())
        if method == "integrated":
            with torch.no_grad():
                change = _output(model, x, codes, chosen) - _output(model, origin, codes, chosen)
            gaps.append((part.sum(1) - change).abs().numpy())
    return np.concatenate(found), float(np.concatenate(gaps).mean()) if gaps else None


def _raw(model: LoadedModel, x: Tensor, codes: Tensor) -> Tensor:
    dtype = next((p.dtype for p in model.module.parameters() if p.is_floating_point()), torch.float32)
    x = x.to(dtype)
    raw = model.module(numeric=x, categorical=codes) if model.columns else model.module(joined(x, codes))
    return squeezed(raw.to(torch.float32))


def _chosen(model: LoadedModel, x: Tensor, codes: Tensor) -> Tensor | None:
    """The class whose output is explained: the predicted one of several; None where there is one number."""
    raw = _raw(model, x, codes)
    return None if raw.ndim == 1 or model.kind == "binary" else raw.argmax(1)


def _output(model: LoadedModel, x: Tensor, codes: Tensor, chosen: Tensor | None) -> Tensor:
    raw = _raw(model, x, codes)
    if raw.ndim == 1:
        return raw
    return raw[:, 1] - raw[:, 0] if chosen is None else raw.gather(1, chosen[:, None]).squeeze(1)


def _gradient(model: LoadedModel, x: Tensor, codes: Tensor, chosen: Tensor | None) -> Tensor:
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(_output(model, x, codes, chosen).sum(), x, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope

"""Models: weights as safetensors and a JSON card that says how to rebuild the module and read its output. No pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json
from mldlc.artifacts.target import construct, parameters
from mldlc.plan.context import StepError

FORMAT = "mldlc.model/1"


def takes_columns(module: nn.Module, where: str = "model.target") -> bool:
    """Whether `forward` names `numeric` and `categorical`; otherwise it must take exactly one tensor (B, F + K).

    Raises StepError when the signature fits neither.
    """
    known = parameters(module.forward)
    if {"numeric", "categorical"} <= set(known):
        return True
    required = [p.name for p in known.values() if p.default is p.empty and p.kind in (0, 1, 3)]
    positional = [p for p in known.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if positional and len(required) <= 1:
        return False
    raise StepError(
        f"{type(module).__name__}.forward({', '.join(known)}) does not fit a table",
        where=where, hint="take `numeric` and `categorical`, or one tensor of all columns",
    )  # fmt: skip


def joined(numeric: Tensor, categorical: Tensor) -> Tensor:
    """One float32 tensor (B, F + K): numeric columns, then the codes of the categorical ones."""
    return torch.cat([numeric, categorical.to(numeric.dtype)], dim=1) if categorical.shape[1] else numeric


def squeezed(raw: Tensor) -> Tensor:
    """Raw outputs (B, 1) as (B,)."""
    return raw.squeeze(1) if raw.ndim == 2 and raw.shape[1] == 1 else raw


def predictions(raw: Tensor, objective: Mapping[str, Any]) -> Tensor:
    """What raw outputs mean. objective: the card's {"kind", ...}.

    binary: probability of the second class (n,), from one logit or two. multiclass: probabilities (n, k).
    regression: raw * std + mean, then exp(.) - 1 for a log target, in the label's own unit (n,).
    """
    raw = squeezed(raw.to(torch.float64))
    match objective["kind"]:
        case "binary":
            return torch.softmax(raw, dim=1)[:, 1] if raw.ndim == 2 else torch.sigmoid(raw)
        case "multiclass":
            return torch.softmax(raw, dim=1)
    value = raw * objective["std"] + objective["mean"]
    return torch.expm1(value) if objective["log_target"] else value


def write_model(
    out: Path,
    module: nn.Module,
    *,
    target: str,
    args: Mapping[str, Any],
    objective: Mapping[str, Any],
    features: Mapping[str, Any],
    learnt: Mapping[str, Any] | None = None,
) -> int:
    """Write a Model artifact into `out` and give the number of parameters. Equal weights give equal bytes.

    learnt: what it has learnt along a stream, see `mldlc.artifacts.told`.
    """
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
    save_file(weights, out / "model.safetensors")
    count = sum(p.numel() for p in module.parameters())
    card = {"format": FORMAT, "target": target, "args": dict(args), "objective": dict(objective)}
    card |= {"features": dict(features), "parameters": count}
    write_json(out / "model.json", card | ({"learnt": dict(learnt)} if learnt else {}))
    return count


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict. card: the artifact's `model.json`."""

    module: nn.Module
    card: Mapping[str, Any]
    columns: bool

    @property
    def kind(self) -> str:
        """`binary`, `multiclass` or `regression`."""
        return str(self.card["objective"]["kind"])

    @property
    def classes(self) -> list[Any]:
        """The label's values in the order of the probabilities; empty for regression."""
        return list(self.card["objective"].get("classes", ()))

    @torch.inference_mode()
    def predict(self, numeric: np.ndarray, categorical: np.ndarray, batch_size: int = 65536) -> np.ndarray:
        """Predictions of rows, float64: (n,) for binary (probability of the second class) and regression, else (n, k).

        numeric (n, F) float32, categorical (n, K) int32; F or K may be 0.
        """
        return torch.cat([self.meaning(raw) for raw in self.raws(numeric, categorical, batch_size)]).numpy()

    def meaning(self, raw: Tensor) -> Tensor:
        """Predictions of raw outputs, see `predictions`."""
        return predictions(raw, self.card["objective"])

    @torch.inference_mode()
    def raws(self, numeric: np.ndarray, categorical: np.ndarray, batch_size: int = 65536) -> Iterator[Tensor]:
        """Raw outputs of rows as the module gives them, a batch at a time."""
        first = next((p for p in self.module.parameters() if p.is_floating_point()), torch.zeros(1))
        for start in range(0, max(len(numeric), 1), batch_size):
            x = torch.from_numpy(np.ascontiguousarray(numeric[start : start + batch_size])).to(first.dtype)
            codes = torch.from_numpy(np.ascontiguousarray(categorical[start : start + batch_size]))
            yield self.module(numeric=x, categorical=codes) if self.columns else self.module(joined(x, codes))


def load_model(artifact: Artifact) -> LoadedModel:
    """Rebuild the module from its card and weights; a user's class is imported from the code roots on sys.path."""
    card = artifact.json("model.json")
    if card.get("format") != FORMAT:
        raise StepError(f"this is no {FORMAT} but {card.get('format')!r}", where="model.json")
    module = construct(card["target"], card["args"], "model.target")
    weights = load_file(artifact.file("model.safetensors"))
    floats = {w.dtype for w in weights.values() if w.is_floating_point()}
    if len(floats) == 1:
        module = module.to(floats.pop())
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise StepError(
            f"the weights do not fit '{card['target']}': {error}", where="model.target",
            hint="the class has changed since the model was trained",
        ) from error  # fmt: skip
    return LoadedModel(module.eval(), card, takes_columns(module))


def members(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The models under a port of many by name: an artifact of several recalled models is taken apart."""
    found = {}
    for label, artifact in artifacts.items():
        folders = sorted({name.partition("/")[0] for name in artifact.files if "/" in name})
        for folder in folders:
            files = {name.partition("/")[2]: p for name, p in artifact.files.items() if name.startswith(f"{folder}/")}
            found[f"{label} {int(folder) + 1}"] = replace(artifact, files=files)
        if not folders:
            found[label] = artifact
    return found

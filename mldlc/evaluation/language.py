"""The evaluate step of language models: nats a token and a character on every part, beside counted frequencies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mldlc.artifacts.model import load_model
from mldlc.artifacts.tokens import Range, Tokens
from mldlc.evaluation.config import LanguageEvaluate
from mldlc.evaluation.metrics.names import LANGUAGE as BETTER
from mldlc.evaluation.rounding import write_report
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean

FORMAT = "mldlc.metrics/1"


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write metrics.json; the summary carries the metrics of every part."""
    settings: LanguageEvaluate = cfg.evaluate
    tokens: Tokens = inputs["tokens"]
    model = load_model(inputs["model"])
    context = getattr(model.module, "context", None)
    if model.kind != "language_model" or not isinstance(context, int):
        raise StepError(f"a model of objective '{model.kind}' tells no tokens", where="lifecycle.stages")
    counts = np.bincount(tokens.part(_fitted(tokens)), minlength=tokens.vocabulary).astype(np.float64) + 1
    frequency = -np.log(counts / counts.sum())
    parts, baseline = {}, {}
    for name in _parts(settings, tokens):
        part, text = tokens.parts[name], tokens.part(name)[: settings.max_tokens].astype(np.int64)
        loss = nats(model.module, torch.from_numpy(text), context, settings.stride or context, settings.batch_size)
        parts[name] = _measures(loss, part, len(text))
        baseline[name] = _measures(float(frequency[text[1:]].mean()), part, len(text))
        ctx.progress(len(parts), None, name)
    report = {
        "format": FORMAT, "task": "language", "classes": [], "better": BETTER, "primary": "nats_per_character",
        "parts": parts, "baseline": {"kind": "token frequencies", "parts": baseline}, "curves": {}, "slices": [],
    }  # fmt: skip
    written = write_report(ctx.out("metrics") / "metrics.json", report)
    ctx.summary({"metrics": written["parts"]})


@torch.inference_mode()
def nats(net: nn.Module, text: Tensor, context: int, stride: int, batch_size: int) -> float:
    """Mean loss in nats of every token but the first. Windows of `context` begin `stride` apart.

    text: (n,) int64, n >= 2. Of a window only the tokens count that no earlier window had.
    """
    stride, count = min(stride, context), len(text) - 1
    full = text.unfold(0, context + 1, stride) if len(text) > context else text.new_empty(0, context + 1)
    total = 0.0
    for start in range(0, len(full), batch_size):
        losses = _losses(net, full[start : start + batch_size])
        total += float(losses[:, context - stride :].sum())
        if start == 0:
            total += float(losses[0, : context - stride].sum())
    done = (len(full) - 1) * stride + context if len(full) else 0
    if done < count:
        first = max(0, count - context)
        total += float(_losses(net, text[None, first:])[0, done - first :].sum())
    return total / count


def _losses(net: nn.Module, windows: Tensor) -> Tensor:
    """Loss of each token told, (windows, T) float64."""
    raw, target = net(windows[:, :-1]), windows[:, 1:]
    losses = F.cross_entropy(raw.flatten(0, 1).float(), target.flatten(), reduction="none")
    return losses.view(target.shape).double()


def _measures(loss: float, part: Range, tokens: int) -> dict[str, Any]:
    """The same loss a token and a character; a token stands for as many characters as in the whole part."""
    per_character = loss * len(part) / part.characters
    return {
        "n": tokens,
        "nats_per_character": per_character,
        "bits_per_character": per_character / math.log(2),
        "nats_per_token": loss,
        "perplexity": math.exp(loss) if loss < 700 else None,
    }


def _fitted(tokens: Tokens) -> str:
    return "train" if "train" in tokens.parts else str(tokens.info["fitted"])


def _parts(settings: LanguageEvaluate, tokens: Tokens) -> list[str]:
    """The evaluated parts, in the text's order."""
    wanted = list(tokens.parts) if settings.parts == "all" else settings.parts
    for name in wanted:
        if name not in tokens.parts:
            hint = did_you_mean(name, tokens.parts) or f"parts: {', '.join(tokens.parts)}"
            raise StepError(f"the text has no part '{name}'", where="evaluate.parts", hint=hint)
        if len(tokens.parts[name]) < 2:
            raise StepError(f"part '{name}' has fewer than two tokens", where="evaluate.parts")
    return [name for name in tokens.parts if name in wanted]

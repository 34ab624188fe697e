"""What a training needs of a text in tokens: windows of it, the network, and the loss of the next token.

A window is a row of an overlapping view of the tokens, so that the loader of tables serves windows as well, with its
permutations, its shares for ranks and its exact resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mldlc.artifacts.target import construct
from mldlc.artifacts.tokens import Tokens
from mldlc.plan.context import Context, StepError
from mldlc.training.job import Job, component, steps_of
from mldlc.training.loader import BatchLoader, Shard
from mldlc.training.module import TabularModule
from mldlc.training.ranks import Ranks


class LanguageModule(TabularModule):
    """Trains `net` on batches (window,): every token of a window is to be told from those before it."""

    def inputs(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (batch[0][:, :-1],)

    def shaped(self, out: Tensor) -> Tensor:
        return out

    def weight(self, batch: tuple[Tensor, ...]) -> Tensor | None:
        return None

    def scored(self, raw: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        return self._mean(raw, batch[0]) * self.share()

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        return self.scored(self.net(*self.inputs(batch)), batch)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.keep(self.net(*self.inputs(batch)), batch)

    def keep(self, raw: Tensor, batch: tuple[Tensor, ...]) -> None:
        # one mean a window: their logits would not fit into memory
        self._outputs.append((self._mean(raw, batch[0]).expand(len(batch[0])),))

    def _mean(self, raw: Tensor, window: Tensor) -> Tensor:
        """Mean loss of the tokens of some windows by their logits, a scalar."""
        return self.objective.loss(raw.flatten(0, 1), window[:, 1:].flatten().long())

    def validated(self, outputs: tuple[Tensor, ...]) -> dict[str, float]:
        return {"loss": float(outputs[0].double().mean())}


def job(ctx: Context, cfg: Any, inputs: Mapping[str, Any], ranks: Ranks) -> Job:
    """The training of a text in tokens."""
    tokens: Tokens = inputs["table"]
    _check_kinds(cfg)
    label = {"kind": "token", "name": "token", "vocabulary": tokens.vocabulary}
    part = tokens.parts.get("train")
    if part is None or not len(part):
        raise StepError("the text has no part 'train'", where="split")
    objective = component("objective", cfg).build(cfg.objective, label, tokens.part("train"))
    target, args = component("model", cfg).describe(cfg.model, {"vocabulary": tokens.vocabulary})
    net = construct(target, args, "model")
    train, val = _loaders(cfg, tokens, context_of(net), ranks.shard)
    steps, total = steps_of(cfg, train)
    module = LanguageModule(net, objective, cfg.optimizer, steps, total)
    module.ranks, module.share = ranks, lambda: train.share
    _check(module, train)
    features = {"tokens": {"vocabulary": tokens.vocabulary, **tokens.info}}
    return Job(module, train, val, total, target, args, objective.card, features)


def _check_kinds(cfg: Any) -> None:
    """StepError for a model, an objective or a way of feeding that needs the columns of a table."""
    hint = "use lifecycle=default for a table"
    if cfg.model.kind not in ("gpt", "custom"):
        raise StepError(
            f"model '{cfg.model.kind}' reads a table, but the stage is given tokens", where="model.kind",
            hint=f"use model=gpt_small; {hint}",
        )  # fmt: skip
    if cfg.ingest.kind == "streaming":
        raise StepError(
            "streaming reads the rows of a table, but the stage is given tokens", where="ingest.kind",
            hint="use ingest=in_core: tokens take two bytes each",
        )  # fmt: skip
    if cfg.objective.kind not in ("auto", "language_model"):
        raise StepError(
            f"objective '{cfg.objective.kind}' needs a table, but the stage is given tokens", where="objective.kind",
            hint=f"use objective=language_model; {hint}",
        )  # fmt: skip


def context_of(net: nn.Module) -> int:
    """How many tokens the network sees; StepError when it does not say."""
    context = getattr(net, "context", None)
    if not isinstance(context, int) or context < 1:
        raise StepError(
            f"{type(net).__name__} does not say how many tokens it sees", where="model.target",
            hint="give it an int attribute `context`",
        )  # fmt: skip
    return context


def _loaders(cfg: Any, tokens: Tokens, context: int, shard: Shard) -> tuple[BatchLoader, BatchLoader | None]:
    """Windows that begin anywhere in the train part, and windows side by side in the val part."""
    ingest = cfg.ingest
    array = torch.from_numpy(tokens.array().astype("int32"))
    if len(array) <= context:
        raise StepError(f"a text of {len(array)} tokens has no window of {context + 1}", where="model.context")
    windows = array.unfold(0, context + 1, 1)
    part = tokens.parts["train"]
    if len(part) <= context:
        raise StepError(
            f"part 'train' has {len(part)} tokens, and no window of {context + 1}", where="model.context",
            hint="lower it, or give `split` a larger share for train",
        )  # fmt: skip
    train = BatchLoader(
        [windows], torch.arange(part.start, part.stop - context), ingest.batch_size,
        shuffle=ingest.shuffle and not cfg.trainer.overfit_batches, drop_last=ingest.drop_last, seed=cfg.trainer.seed,
        shard=shard,
    )  # fmt: skip
    held = tokens.parts.get("val")
    rows = torch.arange(held.start, held.stop - context, context) if held is not None else torch.empty(0)
    if not len(rows) and (cfg.callbacks.early_stopping or cfg.callbacks.checkpoint):
        raise StepError(
            f"callbacks watch the validation, but part 'val' has no window of {context + 1} tokens", where="callbacks",
            hint="give `split` a larger share for val, or use callbacks=none",
        )  # fmt: skip
    if not len(rows):
        return train, None
    return train, BatchLoader([windows], rows, ingest.eval_batch_size, shard=shard, even=shard.world > 1)


@torch.no_grad()
def _check(module: LanguageModule, train: BatchLoader) -> None:
    """One forward pass of a window: StepError when it fails or its output has the wrong shape."""
    window = train.first(1)[0][:, :-1]
    wanted, name = (*window.shape, module.objective.out_features), type(module.net).__name__
    module.eval()
    try:
        out = module.net(window)
    except Exception as error:
        raise StepError(
            f"{name}.forward failed on tokens {tuple(window.shape)}: {type(error).__name__}: {error}", where="model"
        ) from error
    module.train()
    if not isinstance(out, Tensor) or tuple(out.shape) != wanted:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise StepError(f"{name}.forward gave {found} for tokens {tuple(window.shape)}, wanted {wanted}", where="model")

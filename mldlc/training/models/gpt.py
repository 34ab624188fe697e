"""`model: gpt`: a decoder-only transformer over tokens, of nanoGPT's class, with embeddings shared by input and output.

After Radford et al., "Language Models are Unsupervised Multitask Learners" (2019); rotary positions after Su et al.,
"RoFormer" (2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mldlc.plan.context import StepError
from mldlc.training.config import Gpt
from mldlc.training.models.chain import Chain

DEVIATION = 0.02


class Attention(nn.Module):
    """Causal self-attention, (B, T, dim) -> (B, T, dim); rotated: cosines and sines of the positions, or None."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, rotated: tuple[Tensor, Tensor] | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if rotated is not None:
            q, k = rotate(q, *rotated), rotate(k, *rotated)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x[i], x[i + half]) of the last axis by the angle of their position. x: (B, heads, T, width)."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Block(nn.Module):
    """Norm, attention, norm, feed-forward (GELU), each added to what came in."""

    pairs = (("up", "down"),)  # may be cut over ranks together: nothing but element by element happens between them

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.attention = Attention(dim, heads, dropout)
        self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotated: tuple[Tensor, Tensor] | None) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), rotated))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))


class GPT(Chain):
    """Logits of the next token: tokens (B, T) integers below `vocabulary`, T <= context -> (B, T, vocabulary)."""

    entry, sequence, exit = ("embedding", "position", "drop"), "blocks", ("norm", "embedding")

    def __init__(
        self,
        vocabulary: int,
        context: int = 64,
        layers: int = 4,
        heads: int = 4,
        dim: int = 128,
        dropout: float = 0.0,
        positions: str = "rotary",
    ) -> None:
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, dim)
        self.position = nn.Embedding(context, dim) if positions == "learned" else None
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=False)
        self.rotary = self.position is None
        if self.rotary:
            width = dim // heads
            speed = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
            angle = torch.arange(context, dtype=torch.float32)[:, None] * speed
            self.register_buffer("cos", angle.cos(), persistent=False)
            self.register_buffer("sin", angle.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))  # what is added up over the layers starts smaller
                nn.init.normal_(weight, std=DEVIATION / math.sqrt(2 * layers) if last else DEVIATION)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.leave(self.through(self.enter(tokens), self.blocks))

    def enter(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.position is not None:
            x = x + self.position.weight[: tokens.shape[1]]
        return self.drop(x)

    def through(self, x: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        rotated = (self.cos[: x.shape[1]], self.sin[: x.shape[1]]) if self.rotary else None
        for block in blocks:
            x = block(x, rotated)
        return x

    def leave(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x), self.embedding.weight)


def describe(cfg: Gpt, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments of the model. sizes: vocabulary."""
    if "vocabulary" not in sizes:
        raise StepError(
            "model 'gpt' reads tokens, but the stage is given a table", where="model.kind",
            hint="use lifecycle=text, or another model",
        )  # fmt: skip
    return f"{__name__}:{GPT.__name__}", {"vocabulary": sizes["vocabulary"]} | cfg.model_dump(exclude={"kind"})

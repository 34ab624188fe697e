"""Deterministic KLL and frequent-items sketches in the byte layouts that whylogs_sketching 3.4 reads.

The library's own KLL update compacts with random bits; here the bytes are a pure function of the weighted values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import whylogs_sketching as ds

KLL_M = 8  # smallest capacity of a level, as in the library
ITEMS_LOAD = 0.75  # load factor of the frequent-items hash map


def level_capacity(k: int, levels: int, level: int) -> int:
    """Items that a level of a KLL sketch may hold: k (2/3)^depth, rounded as Apache DataSketches' `kll_helper` does."""
    depth = levels - level - 1

    def shrink(size: int, steps: int) -> int:
        return (((size << 1) << steps) // 3**steps + 1) >> 1

    size = shrink(k, depth) if depth <= 30 else shrink(shrink(k, depth // 2), depth - depth // 2)
    return max(KLL_M, size)


def _capacity(k: int, levels: int) -> int:
    return sum(level_capacity(k, levels, level) for level in range(levels))


def kll_sketch(values: np.ndarray, weights: np.ndarray, k: int) -> ds.kll_doubles_sketch:
    """A KLL sketch of weighted values.

    values: float64, sorted, distinct, without NaN, shape (m,). weights: int64 > 0, shape (m,). An item on level h of a
    KLL sketch weighs 2^h, so counts are written in binary over the levels; where that does not fit, the values are
    cut into blocks of 2^h and each block is stood for by its median (rank error at most half a block, about n / 4k).
    """
    n = int(weights.sum())
    sketch = ds.kll_doubles_sketch(k)
    if n <= 1:  # nothing, or one item, has a shorter form of its own
        if n:
            sketch.update(float(values[0]))
        return sketch
    levels = _binary_levels(values, weights, k) or _block_levels(values, weights, k)
    held = [len(items) for items in levels]
    first = _capacity(k, len(levels)) - sum(held)
    offsets = np.cumsum([first, *held[:-1]]).astype("<u4")
    head = struct.pack("<BBBBHBBQHBBI", 6, 1, 15, 0, k, KLL_M, 0, n, k, len(levels), 0, 0)
    body = struct.pack("<dd", values[0], values[-1]) + np.concatenate(levels).astype("<f8").tobytes()
    return ds.kll_doubles_sketch.deserialize(head + offsets.tobytes() + body)


def _binary_levels(values: np.ndarray, weights: np.ndarray, k: int) -> list[np.ndarray] | None:
    """Levels that hold every count exactly, or None when they do not fit.

    No entry weighs more than about n / k: a heavier one would break the sketch's exclusive quantiles.
    """
    n = int(weights.sum())
    top = max(0, math.ceil(math.log2(n / k)))
    if int((weights >> top).sum()) + int(np.bitwise_count(weights & ((1 << top) - 1)).sum()) > _capacity(k, top + 1):
        return None
    return [values[(weights >> h) & 1 == 1] for h in range(top)] + [np.repeat(values, weights >> top)]


def _block_levels(values: np.ndarray, weights: np.ndarray, k: int) -> list[np.ndarray]:
    """Levels of block medians: as many whole blocks as fit on the top level, the rest of n in smaller blocks."""
    n = int(weights.sum())
    top = 0
    while (n >> top) + (n & ((1 << top) - 1)).bit_count() > _capacity(k, top + 1):
        top += 1
    ends = np.cumsum(weights)
    whole = n >> top
    ranks = [np.arange(whole, dtype=np.int64) * (1 << top) + (1 << top) // 2]
    start = whole << top
    for h in range(top - 1, -1, -1):
        size = 1 << h
        ranks.append(np.array([start + size // 2] if n & size else [], dtype=np.int64))
        start += n & size
    return [values[np.searchsorted(ends, rank, side="right")] for rank in reversed(ranks)]


def items_sketch(
    items: Sequence[str], weights: Sequence[int], total: int, offset: int, lg_max: int
) -> ds.frequent_strings_sketch:
    """A frequent-items sketch of exact counts.

    weights: count - offset of each item, > 0; every item left out has a true count of at most `offset`. total: the
    rows counted. Estimate = weight + offset, lower bound = weight. At most 0.75 * 2^lg_max items.
    """
    if not items:
        return ds.frequent_strings_sketch(lg_max)
    lg = max(3, math.ceil(math.log2(len(items) / ITEMS_LOAD)))
    head = struct.pack("<BBBBBBHIIQQ", 4, 1, 10, lg_max, lg, 0, 0, len(items), 0, total, offset)
    texts = [item.encode() for item in items]
    body = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return ds.frequent_strings_sketch.deserialize(head + np.asarray(weights, "<u8").tobytes() + body)

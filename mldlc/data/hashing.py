"""A published 64-bit hash of rows: equal on every machine, version, batch size and number of threads.

A value becomes a 64-bit word (integers and booleans as two's complement, floats as the bits of their double with one
zero and one NaN, text and bytes as the first 8 bytes, little endian, of its BLAKE2b-64 digest, null as a constant), and
words are mixed in column order by the SplitMix64 finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
number generators", OOPSLA). Not cryptographic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

GAMMA = np.uint64(0x9E3779B97F4A7C15)
NULL = np.uint64(0x6E756C6C6E756C6C)
BLOCK = 1 << 14


def mix(words: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64 words: a bijection that spreads every bit."""
    z = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def seeded(hashes: np.ndarray, seed: int, salt: str = "") -> np.ndarray:
    """Another hash of the same rows for each seed (and salt)."""
    word = hashlib.blake2b(f"{salt}:{seed}".encode(), digest_size=8).digest()
    return mix(hashes ^ np.frombuffer(word, "<u8")[0])


def hash_rows(columns: Sequence[pl.Series]) -> np.ndarray:
    """uint64 hash of each row over the columns in their order, shape (rows,)."""
    words = [_words(column) for column in columns]
    rows = len(columns[0]) if columns else 0
    state = np.zeros(rows, np.uint64)
    for start in range(0, rows, BLOCK):  # blocks that stay in the processor's cache
        block = state[start : start + BLOCK]
        for word in words:
            block[:] = mix((block + GAMMA) ^ word[start : start + BLOCK])
    return state


def offsets(name: str, rows: int) -> np.ndarray:
    """uint64 hash of (partition name, offset), shape (rows,)."""
    word = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u8")[0]
    return mix(mix(np.arange(rows, dtype=np.uint64) + GAMMA) ^ word)


def _words(column: pl.Series) -> np.ndarray:
    dtype = column.dtype
    if dtype.is_temporal():
        unit = {"ms": 1000, "us": 1, "ns": 1}[getattr(dtype, "time_unit", None) or "us"]
        column = column.to_physical().cast(pl.Int64) * unit
        dtype = column.dtype
    if dtype == pl.String or dtype == pl.Binary:
        return _text_words(column)
    nulls = column.is_null().to_numpy() if column.null_count() else None
    if dtype.is_float():
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0  # -0.0 + 0.0 is 0.0
        values[np.isnan(values)] = np.nan
        words = values.view(np.uint64)
    elif dtype == pl.UInt64:
        words = column.fill_null(0).to_numpy()
    elif dtype.is_integer() or dtype == pl.Boolean:
        words = column.cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    elif dtype == pl.Null:
        return np.full(len(column), NULL)
    else:
        return _text_words(column.cast(pl.String))
    return words if nulls is None else np.where(nulls, NULL, words)


def _text_words(column: pl.Series) -> np.ndarray:
    """Each distinct text is hashed once; rows take their word by the code of the text."""
    distinct = column.unique(maintain_order=False).drop_nulls()
    words = np.empty(len(distinct) + 1, np.uint64)
    words[-1] = NULL
    for index, value in enumerate(distinct):
        raw = value if isinstance(value, bytes) else value.encode()
        words[index] = int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
    codes = column.replace_strict(
        distinct, np.arange(len(distinct), dtype=np.uint32), default=None, return_dtype=pl.UInt32
    )
    return words[codes.fill_null(len(distinct)).to_numpy()]

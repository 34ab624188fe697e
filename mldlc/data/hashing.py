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
NAN = np.uint64(0x7FF8000000000000)
BLOCK = 1 << 13


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
    rows = len(columns[0]) if columns else 0
    state = np.zeros(rows, np.uint64)
    whole = [_text_words(column) if _is_text(column.dtype) else None for column in columns]
    for start in range(0, rows, BLOCK):  # blocks that stay in the processor's cache
        block = state[start : start + BLOCK]
        for column, words in zip(columns, whole, strict=True):
            word = _words(column.slice(start, BLOCK)) if words is None else words[start : start + BLOCK]
            block += GAMMA
            block ^= word
            block[:] = mix(block)
    return state


def offsets(name: str, rows: int) -> np.ndarray:
    """uint64 hash of (partition name, offset), shape (rows,)."""
    word = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u8")[0]
    return mix(mix(np.arange(rows, dtype=np.uint64) + GAMMA) ^ word)


def _is_text(dtype: pl.DataType) -> bool:
    return not (dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.Null)) or dtype.is_decimal()


def _words(column: pl.Series) -> np.ndarray:
    dtype = column.dtype
    if dtype == pl.Null:
        return np.full(len(column), NULL)
    nulls = column.is_null().to_numpy() if column.null_count() else None
    if dtype.is_temporal():
        unit = 1000 if getattr(dtype, "time_unit", None) == "ms" else 1
        column = column.to_physical().cast(pl.Int64) * unit
    if nulls is not None:
        column = column.fill_null(False if dtype == pl.Boolean else 0)
    if dtype.is_float():
        values = column.to_numpy().astype(np.float64)
        values += 0.0  # one zero
        words = values.view(np.uint64)
        bad = np.isnan(values)
        if bad.any():
            words[bad] = NAN
    elif dtype == pl.UInt64:
        words = column.to_numpy()
    else:
        words = column.to_numpy().astype(np.int64).view(np.uint64)
    return words if nulls is None else np.where(nulls, NULL, words)


def _text_words(column: pl.Series) -> np.ndarray:
    """Each distinct text is hashed once; rows take their word by the code of the text."""
    if column.dtype not in (pl.String, pl.Binary):
        column = column.cast(pl.String)
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

"""Column states as bytes: what is kept of a partition, so that it need not be profiled again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import whylogs_sketching as ds

from mldlc.profile.column import ColumnState, Moments
from mldlc.profile.heavy import Items
from mldlc.profile.ranks import Ranks

PLAIN = ("name", "dtype", "family", "n", "null", "nan", "plus_inf", "minus_inf", "true", "low", "high", "first")
UNSIGNED = ("|u1", "<u2", "<u4")
NUMBERS = {"Int64": "<i8", "UInt64": "<u8"}


def dump(states: Sequence[ColumnState]) -> bytes:
    """Length and JSON of the heads, then the arrays and sketches that they count in bytes. Histograms are left out."""
    heads, blobs = [], []

    def keep(data: bytes) -> int:
        blobs.append(data)
        return len(data)

    for state in states:
        head: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
        head["moments"] = [state.moments.n, state.moments.mean, state.moments.m2]
        if state.ranks is not None:
            values, weights = _narrow(state.ranks.values, ("<f4",)), _narrow(state.ranks.weights, UNSIGNED)
            sizes = keep(values.tobytes()), keep(weights.tobytes())
            head["ranks"] = [values.dtype.str, weights.dtype.str, *sizes, state.ranks.exact]
        if state.items is not None:
            values, kind = state.items.frame["value"], str(state.items.frame["value"].dtype)
            if kind in NUMBERS:
                data = values.to_numpy().astype(NUMBERS[kind]).tobytes()
            else:
                data = json.dumps(values.to_list(), ensure_ascii=False).encode()
            sizes = keep(data), keep(state.items.frame["count"].to_numpy().astype("<i8").tobytes())
            head["items"] = [kind, *sizes, state.items.offset, state.items.complete]
        if state.hll is not None:
            head["hll"] = keep(bytes(state.hll.serialize_compact()))
        heads.append(head)
    text = json.dumps(heads, ensure_ascii=False).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *blobs])


def _narrow(values: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """The array in the first of the types that holds it without loss, else as it is."""
    for kind in kinds:
        with np.errstate(over="ignore"):
            small = values.astype(kind)
        if np.array_equal(small.astype(values.dtype), values):
            return small
    return values


def load(data: bytes) -> list[ColumnState]:
    """What `dump` kept; without histograms."""
    start = 8 + int.from_bytes(data[:8], "little")
    view = memoryview(data)
    states = []

    def take(size: int) -> memoryview:
        nonlocal start
        start += size
        return view[start - size : start]

    for head in json.loads(data[8:start]):
        facts: dict[str, Any] = {name: head[name] for name in PLAIN}
        facts["moments"] = Moments(*head["moments"])
        if "ranks" in head:
            floats, whole, values, weights, exact = head["ranks"]
            order = np.frombuffer(take(values), floats).astype(np.float64)
            facts["ranks"] = Ranks(order, np.frombuffer(take(weights), whole).astype(np.int64), exact)
        if "items" in head:
            kind, values, counts, offset, complete = head["items"]
            held = take(values)
            column: Any = np.frombuffer(held, NUMBERS[kind]) if kind in NUMBERS else json.loads(bytes(held))
            schema = {"value": getattr(pl, kind), "count": pl.Int64}
            frame = pl.DataFrame({"value": column, "count": np.frombuffer(take(counts), "<i8")}, schema=schema)
            facts["items"] = Items(frame, offset, complete)
        if "hll" in head:
            facts["hll"] = ds.hll_sketch.deserialize(bytes(take(head["hll"])))
        states.append(ColumnState(**facts))
    return states

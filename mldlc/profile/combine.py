"""The states of many partitions as one: each is kept small, and all are merged at once, so errors do not add up.

In a small table a partition keeps all ranks and heavy values of a column that `ranks` and `heavy` keep; in a large one
LEAN of them: a rank of the whole, and a border of its histogram, then moves by at most n / LEAN:
half a block of rows, or a whole one at the ends, where the extremes stand for their blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import polars as pl
import whylogs_sketching as ds

from mldlc.profile import heavy, ranks
from mldlc.profile.column import ColumnState, Moments, hll_of
from mldlc.profile.histogram import edges_of
from mldlc.profile.observe import Settings

LEAN = 1 << 11
SMALL = 1 << 18  # rows of a table whose partitions keep more


def kept(rows: int) -> int:
    """How many ranks and heavy values a partition keeps in a table of so many rows."""
    return ranks.LIMIT if rows <= SMALL else LEAN


def compact(state: ColumnState, size: int, settings: Settings) -> ColumnState:
    """What is kept of a partition's column: no histogram, whose edges hang on the other partitions. size: `kept`."""
    small = replace(state, edges=None, hist=None)
    if state.ranks is not None:
        small = replace(small, ranks=ranks.of_counts(state.ranks.values, state.ranks.weights, state.ranks.exact, size))
    if state.items is not None and state.items.frame.height > size:
        items = heavy.limited(state.items.frame, state.items.offset, state.items.complete, size)
        small = replace(small, items=items, hll=hll_of(state, settings.hll_lg_k))
    return small


def combined(parts: Mapping[str, Sequence[Sequence[ColumnState]]], settings: Settings) -> dict[str, list[ColumnState]]:
    """Part name -> states of all its partitions together; the histograms of all parts share their edges.

    parts: part name -> one list of column states a partition.
    """
    everything = [states for partitions in parts.values() for states in partitions]
    edges = [_edges(states, settings) for states in zip(*everything, strict=True)]
    return {
        name: [
            _together(states, edge, settings) for states, edge in zip(zip(*partitions, strict=True), edges, strict=True)
        ]
        for name, partitions in parts.items()
    }


def _edges(states: Sequence[ColumnState], settings: Settings) -> np.ndarray | None:
    if states[0].family not in ("integer", "float"):
        return None
    low = min((state.low for state in states if state.low is not None), default=None)
    high = max((state.high for state in states if state.high is not None), default=None)
    return edges_of(low, high, settings.bins, integer=states[0].family == "integer")


def _together(states: Sequence[ColumnState], edges: np.ndarray | None, settings: Settings) -> ColumnState:
    """One column over all partitions of a part."""
    first = states[0]
    counts = {
        field: sum(getattr(state, field) for state in states)
        for field in ("n", "null", "nan", "plus_inf", "minus_inf", "true")
    }
    order = _ranks([state.ranks for state in states if state.ranks is not None])
    items = _items([state.items for state in states if state.items is not None])
    return replace(
        first,
        **counts,
        moments=reduce(Moments.merge, (state.moments for state in states)),
        low=min((state.low for state in states if state.low is not None), default=None),
        high=max((state.high for state in states if state.high is not None), default=None),
        ranks=ranks.of_counts(*order) if order is not None else None,
        edges=edges,
        hist=ranks.between(order[0], order[1], edges) if order is not None and edges is not None else None,
        items=items,
        first=next((state.first for state in states if state.first is not None), None),
        hll=_hll(states, items, settings),
    )


def _ranks(summaries: Sequence[ranks.Ranks]) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Sorted distinct values of all, their weights, and whether they are exact; not compressed yet."""
    if not summaries:
        return None
    values = np.concatenate([summary.values for summary in summaries])
    weights = np.concatenate([summary.weights for summary in summaries])
    if len(values):
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        values, weights = values[starts], np.add.reduceat(weights, starts)
    return values, weights, all(summary.exact for summary in summaries)


def _items(sides: Sequence[heavy.Items]) -> heavy.Items | None:
    """As `heavy.merge`, of all at once. Integers of a column may be named by different types in its partitions."""
    if not sides:
        return None
    kinds = {side.frame["value"].dtype for side in sides}
    kind = next(kind for kind in (pl.String, pl.UInt64, pl.Int64) if kind in kinds)
    offset = sum(side.offset for side in sides)
    frames = [side.frame.with_columns(pl.col("value").cast(kind), pl.col("count") - side.offset) for side in sides]
    both = pl.concat(frames).group_by("value").agg(pl.col("count").sum() + offset)
    return heavy.limited(both, offset, all(side.complete for side in sides), heavy.KEEP)


def _hll(states: Sequence[ColumnState], items: heavy.Items | None, settings: Settings) -> ds.hll_sketch | None:
    """None while the counted values are all of them."""
    known = states[0].family == "boolean" or (items is not None and items.complete)
    if all(state.hll is None for state in states) and (known or (items is None and states[0].ranks is None)):
        return None
    union = ds.hll_union(settings.hll_lg_k)
    for state in states:
        union.update(hll_of(state, settings.hll_lg_k))
    return union.get_result(ds.HLL_4)

"""Frequent values with exact counts, found without counting every value: hash to buckets, count the heavy buckets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

BUCKET_BITS = 16
FEW_BUCKETS = 4096  # fewer occupied buckets: count every value
HEAVY_BUCKETS = 1024  # otherwise rows of this many buckets are counted
KEEP = 1 << 16  # values held while batches are merged
COUNT_ALL = 1 << 17  # so few rows are counted value by value
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth, TAOCP 3, 6.4)


@dataclass(frozen=True)
class Items:
    """Heaviest values of a column.

    frame: columns `value`, `count` (Int64), ordered by count descending, then value. offset: no value left out occurs
    more often than this. complete: every distinct value is in the frame.
    """

    frame: pl.DataFrame
    offset: int = 0
    complete: bool = True

    def top(self, size: int) -> list[tuple[object, int]]:
        """The `size` heaviest values that are surely heavier than any value left out."""
        sure = self.frame.filter(pl.col("count") > self.offset).head(size)
        return list(zip(sure["value"].to_list(), sure["count"].to_list(), strict=True))


def ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """The canonical order: count descending, then value."""
    return frame.sort("count", "value", descending=[True, False], maintain_order=True)


def limited(frame: pl.DataFrame, offset: int, complete: bool, size: int) -> Items:
    """At most `size` of the heaviest values of an unordered frame; ties at the border are all left out."""
    if frame.height <= size:
        return Items(ordered(frame), offset, complete)
    border = int(np.partition(frame["count"].to_numpy(), frame.height - size)[frame.height - size])
    return Items(ordered(frame.filter(pl.col("count") > border)), max(offset, border), False)


def of_counts(values: pl.Series, counts: np.ndarray) -> Items:
    """From all distinct values and their counts (int64)."""
    if len(values) <= KEEP:
        return limited(pl.DataFrame({"value": values, "count": counts}), 0, True, KEEP)
    place = len(counts) - KEEP
    border = int(np.partition(counts, place)[place])
    kept = np.flatnonzero(counts > border)
    return Items(ordered(pl.DataFrame({"value": values[kept], "count": counts[kept]})), border, False)


def of_series(values: pl.Series) -> Items:
    """Heavy values of a series without nulls (integers or strings)."""
    if len(values) <= COUNT_ALL:
        return limited(_counted(values), 0, True, KEEP)
    buckets = _buckets(values)
    counts = np.bincount(buckets, minlength=1 << BUCKET_BITS)
    if np.count_nonzero(counts) < FEW_BUCKETS:
        return limited(_counted(values), 0, True, KEEP)
    border = int(np.partition(counts, -HEAVY_BUCKETS)[-HEAVY_BUCKETS])
    kept = np.flatnonzero((counts > border)[buckets])  # all rows of a bucket above the border, so counts are exact
    frame = _counted(values[kept]).filter(pl.col("count") > border)
    return limited(frame, border, False, KEEP)


def merge(left: Items, right: Items) -> Items:
    """Heavy values of both. A count may become too high, by at most the offset of a side that left the value out."""
    weights = [side.frame.with_columns(pl.col("count") - side.offset) for side in (left, right)]
    offset = left.offset + right.offset
    both = pl.concat(weights, how="vertical_relaxed").group_by("value").agg(pl.col("count").sum() + offset)
    return limited(both, offset, left.complete and right.complete, KEEP)


def _counted(values: pl.Series) -> pl.DataFrame:
    return values.alias("value").value_counts(name="count").with_columns(pl.col("count").cast(pl.Int64))


def _buckets(values: pl.Series) -> np.ndarray:
    """A 16-bit bucket of every value. Which values meet in a bucket changes the bound, never a count."""
    if values.dtype in (pl.Int64, pl.UInt64):
        mixed = values.to_numpy().view(np.uint64) * GOLDEN
    else:
        mixed = values.hash().to_numpy()
    return (mixed >> np.uint64(64 - BUCKET_BITS)).astype(np.int32)

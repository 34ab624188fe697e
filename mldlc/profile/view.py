"""whylogs views from column states, by whylogs' public constructors: no pandas, no value loop, deterministic bytes."""

from __future__ import annotations

import os

os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "1")  # before the import: whylogs reports usage otherwise

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from whylogs.core.metrics.column_metrics import ColumnCountsMetric, TypeCountersMetric
from whylogs.core.metrics.metric_components import (
    FractionalComponent,
    FrequentStringsComponent,
    HllComponent,
    IntegralComponent,
    KllComponent,
    MaxIntegralComponent,
    MinIntegralComponent,
)
from whylogs.core.metrics.metrics import (
    CardinalityMetric,
    DistributionMetric,
    FrequentItemsMetric,
    IntsMetric,
    Metric,
    MetricConfig,
)
from whylogs.core.proto import (
    ChunkHeader,
    ChunkMessage,
    ChunkOffsets,
    DatasetProfileHeader,
    DatasetProperties,
    DatasetSegmentHeader,
)
from whylogs.core.view.column_profile_view import ColumnProfileView
from whylogs.core.view.dataset_profile_view import WHYLOGS_MAGIC_HEADER_BYTES, DatasetProfileView

from mldlc.profile import heavy
from mldlc.profile.column import ColumnState, hll_of
from mldlc.profile.observe import Settings
from mldlc.profile.ranks import EMPTY
from mldlc.profile.sketch_bytes import ITEMS_LOAD, items_sketch, kll_sketch

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # a profile is a function of its rows: the time of the run is in the record
TYPES = {"boolean": "boolean", "integer": "integral", "float": "fractional", "string": "string", "tensor": "tensor"}
INT64 = (-(2**63), 2**63 - 1)


def column_view(state: ColumnState, settings: Settings) -> ColumnProfileView:
    """The whylogs view of one column."""
    types = dict.fromkeys(("integral", "fractional", "boolean", "string", "object", "tensor"), 0)
    types[TYPES.get(state.family, "object")] = state.values
    counts = {
        "n": state.n, "null": state.null + state.nan, "nan": state.nan,
        "inf": state.plus_inf + state.minus_inf, "true": state.true,
    }  # fmt: skip
    metrics: dict[str, Metric] = {
        "counts": ColumnCountsMetric(**{name: IntegralComponent(value) for name, value in counts.items()}),
        "types": TypeCountersMetric(**{name: IntegralComponent(value) for name, value in types.items()}),
    }
    if state.family not in ("tensor", "object"):
        metrics["cardinality"] = CardinalityMetric(HllComponent(hll_of(state, settings.hll_lg_k)))
        metrics["distribution"] = _distribution(state, settings)
    if state.family in ("integer", "boolean"):  # of booleans it stays empty, as stock whylogs leaves it
        metrics["ints"] = _ints(state)
    if state.items is not None:
        metrics["frequent_items"] = _frequent_items(state, settings)
    return ColumnProfileView(metrics=metrics, success_count=state.n)


def dataset_view(states: Sequence[ColumnState], settings: Settings, metadata: Mapping[str, str]) -> DatasetProfileView:
    """The whylogs view of a table."""
    return DatasetProfileView(
        columns={state.name: column_view(state, settings) for state in states},
        dataset_timestamp=EPOCH,
        creation_timestamp=EPOCH,
        metadata=dict(metadata),
    )


def serialise(view: DatasetProfileView) -> bytes:
    """The bytes of a view as `DatasetProfileView.serialize` lays them out, with protobuf maps in sorted order.

    whylogs leaves the order of map entries to protobuf, which does not promise that equal messages give equal bytes.
    """
    messages = {name: column.to_protobuf().metric_components for name, column in view.get_columns().items()}
    paths = sorted({path for components in messages.values() for path in components})
    index = {path: number for number, path in enumerate(paths)}
    offsets, chunks, length = {}, [], 0
    for name in sorted(messages):
        body = ChunkMessage(metric_components={index[p]: messages[name][p] for p in messages[name]})
        content = body.SerializeToString(deterministic=True)
        chunk = _delimited(ChunkHeader(type=ChunkHeader.ChunkType.COLUMN, length=len(content))) + content
        offsets[name] = ChunkOffsets(offsets=[length])
        chunks.append(chunk)
        length += len(chunk)
    header = DatasetProfileHeader(
        column_offsets=offsets,
        properties=DatasetProperties(dataset_timestamp=0, creation_timestamp=0, metadata=view.metadata),
        length=length,
        indexed_metric_paths=dict(enumerate(paths)),
    )
    head = WHYLOGS_MAGIC_HEADER_BYTES + _delimited(DatasetSegmentHeader(has_segments=False)) + _delimited(header)
    return head + b"".join(chunks)


def _delimited(message: object) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)  # type: ignore[attr-defined]
    size, length = bytearray(), len(content)
    while length > 127:  # a protobuf varint
        size.append(length & 127 | 128)
        length >>= 7
    return bytes(size) + bytes([length]) + content


def _distribution(state: ColumnState, settings: Settings) -> DistributionMetric:
    if state.family == "string":
        return DistributionMetric.zero(MetricConfig(kll_k_large=settings.kll_k))
    ranks = state.ranks or EMPTY
    mean, m2 = state.moments.mean, state.moments.m2
    if state.plus_inf or state.minus_inf:  # as stock whylogs: infinities count in the mean
        both = state.plus_inf and state.minus_inf
        mean, m2 = math.nan if both else math.inf if state.plus_inf else -math.inf, math.nan
    sketch = kll_sketch(ranks.values, ranks.weights, settings.kll_k)
    return DistributionMetric(KllComponent(sketch), FractionalComponent(mean), FractionalComponent(m2))


def _ints(state: ColumnState) -> IntsMetric:
    """Extremes as int64, the only integer that whylogs stores: values beyond it are shown as its limit."""
    if state.low is None:
        return IntsMetric.zero()
    low, high = (min(max(value, INT64[0]), INT64[1]) for value in (state.low, state.high))
    return IntsMetric(max=MaxIntegralComponent(high), min=MinIntegralComponent(low))


def _frequent_items(state: ColumnState, settings: Settings) -> FrequentItemsMetric:
    assert state.items is not None
    size = int(ITEMS_LOAD * (1 << settings.items_lg))
    items = heavy.limited(state.items.frame, state.items.offset, state.items.complete, size)
    texts = [str(value) for value in items.frame["value"].to_list()]
    weights = (items.frame["count"] - items.offset).to_list()
    held = [(text, weight) for text, weight in zip(texts, weights, strict=True) if weight > 0]
    if not held and state.first is not None:  # no heavy value: one light item keeps total and offset in a merge
        held = [(state.first, 1)]
    sketch = items_sketch(
        [text for text, _ in held], [weight for _, weight in held], state.values, items.offset, settings.items_lg
    )
    return FrequentItemsMetric(FrequentStringsComponent(sketch), max_frequent_item_size=settings.item_size)

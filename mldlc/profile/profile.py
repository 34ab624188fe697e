"""The profile step: one pass for ranges, one for everything else, batch by batch, the parts of a split apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_json
from mldlc.plan.codec import digest
from mldlc.plan.context import Context, StepError
from mldlc.profile.column import ColumnState, merge
from mldlc.profile.combine import combined, compact, kept
from mldlc.profile.config import NoProfile, WhylogsProfile
from mldlc.profile.observe import Settings, family_of, observe
from mldlc.profile.state_file import dump, load
from mldlc.profile.summary import FORMAT, table_summary
from mldlc.profile.view import dataset_view, serialise

Extents = Mapping[str, tuple[Any, Any]]


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write the Profile artifact: summary.json, profile.bin and, with a split, part.<name>.bin."""
    config: WhylogsProfile | NoProfile = cfg.profile
    table: Table = inputs["table"]
    split: Split | None = inputs["split"]
    out, roles = ctx.out("profile"), {column.name: column.role for column in table.columns}
    if isinstance(config, NoProfile):
        columns = [{"name": c.name, "dtype": c.dtype, "role": c.role} for c in table.columns]
        write_json(out / "summary.json", {"format": FORMAT, "rows": table.rows, "columns": columns})
        ctx.summary({"rows": table.rows, "columns": len(columns)})
        return
    settings = settings_of(config)
    names = split.names if split is not None and config.parts else ()
    if split is not None and sum(p["rows"] for p in split.partitions) != table.rows:
        found = sum(p["rows"] for p in split.partitions)
        raise StepError(
            f"the split has {found} rows, the table has {table.rows}", where="inputs.split",
            hint="bind the split that was made from this table",
        )  # fmt: skip
    profiled = by_partition if len(table.partitions) > 1 else profile_parts
    parts = profiled(ctx, table, split if names else None, settings, config.batch_rows)
    whole = merged(list(parts.values()), settings)
    summary: dict[str, Any] = {"format": FORMAT, **table_summary(table.rows, whole, roles, settings, config.top)}
    (out / "profile.bin").write_bytes(serialise(dataset_view(whole, settings, {})))
    if names:
        summary["parts"] = {}
        for name in names:
            rows = split.counts[name]  # type: ignore[union-attr]
            summary["parts"][name] = table_summary(rows, parts[name], roles, settings, config.top)
            (out / f"part.{name}.bin").write_bytes(serialise(dataset_view(parts[name], settings, {})))
    write_json(out / "summary.json", summary)
    nulls = sum(state.null for state in whole)
    ctx.summary({"rows": table.rows, "columns": len(whole), "nulls": nulls})


def settings_of(config: WhylogsProfile) -> Settings:
    """The sketch sizes of a config."""
    return Settings(config.kll_k, config.hll_lg_k, config.items_lg, config.item_size, config.bins)


def profile_parts(
    ctx: Context, table: Table, split: Split | None, settings: Settings, batch_rows: int
) -> dict[str, list[ColumnState]]:
    """Column states by part name; one part "" without a split."""
    names = split.names if split is not None else ("",)
    extents = extents_of(frame for frame, _ in batches(table, None, batch_rows))
    states: dict[str, list[ColumnState]] = {}
    done = 0
    for frame, codes in batches(table, split, batch_rows):
        for code, name in enumerate(names):
            part = frame if codes is None else frame.filter(pl.Series(codes == code))
            seen = profile_frame(part, extents, settings)
            states[name] = merged([states[name], seen], settings) if name in states else seen
        done += frame.height
        ctx.progress(done, table.rows, "rows")
    return states


def by_partition(
    ctx: Context, table: Table, split: Split | None, settings: Settings, batch_rows: int
) -> dict[str, list[ColumnState]]:
    """As `profile_parts`, of which only new partitions (with new codes of their rows) are profiled."""
    names = split.names if split is not None else ("",)
    size = kept(table.rows)
    numbers = {part.name: number for number, part in enumerate(table.partitions)}

    def states_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        part = table.partitions[numbers[name]]
        codes = split.codes(numbers[name]) if split is not None else None
        frame = table.load(part)
        for number, states in enumerate(_states(frame, codes, len(names), settings, batch_rows)):
            (folder / f"{number}.states").write_bytes(dump([compact(state, size, settings) for state in states]))

    items = []
    for name, number in numbers.items():
        codes = split.artifact.file_digest(split.partitions[number]["file"]) if split is not None else ""
        known = [table.digest(table.partitions[number]), codes, len(names), size]
        items.append((name, {"digest": digest(["states", *known])}))
    folders = ctx.map(items, states_item).values()
    return combined(
        {name: [load((f / f"{number}.states").read_bytes()) for f in folders] for number, name in enumerate(names)},
        settings,
    )


def _states(
    frame: pl.DataFrame, codes: np.ndarray | None, parts: int, settings: Settings, batch_rows: int
) -> Iterator[list[ColumnState]]:
    """States of each part of one partition."""
    for code in range(parts):
        part = frame if codes is None else frame.filter(pl.Series(codes == code))
        extents = extents_of([part])
        pieces = [part.slice(at, batch_rows) for at in range(0, max(part.height, 1), batch_rows)]
        yield merged([profile_frame(piece, extents, settings) for piece in pieces], settings)


def batches(table: Table, split: Split | None, batch_rows: int) -> Iterator[tuple[pl.DataFrame, np.ndarray | None]]:
    """Frames of at most `batch_rows` rows, in table order, with the split codes of their rows."""
    codes, start = (split.codes() if split is not None else None), 0
    for partition in table.partitions:
        frame = table.load(partition)
        for offset in range(0, max(frame.height, 1), batch_rows):
            batch = frame.slice(offset, batch_rows)
            yield batch, None if codes is None else codes[start : start + batch.height]
            start += batch.height


def extents_of(frames: Iterable[pl.DataFrame]) -> Extents:
    """Lowest and highest finite value of every numeric column over all frames; (None, None) without one."""
    found: dict[str, list[Any]] = {}
    for frame in frames:
        for series in frame:
            values = found.setdefault(series.name, [])
            family = family_of(series.dtype)
            if family == "integer" and series.null_count() < len(series):
                values += [int(series.min()), int(series.max())]  # type: ignore[arg-type]
            elif family == "float":
                values += _finite_extremes(series.cast(pl.Float64))
    return {name: (min(v, default=None), max(v, default=None)) for name, v in found.items()}


def _finite_extremes(series: pl.Series) -> list[float]:
    """Extremes of finite values; Polars' min and max pass over NaN, so only infinities need a second look."""
    ends = [series.min(), series.max()]
    if not all(value is None or np.isfinite(value) for value in ends):  # type: ignore[call-overload]
        series = series.filter(series.is_finite())
        ends = [series.min(), series.max()]
    return [float(value) + 0.0 for value in ends if value is not None]  # type: ignore[arg-type]


def profile_frame(
    frame: pl.DataFrame, extents: Extents | None = None, settings: Settings | None = None
) -> list[ColumnState]:
    """States of all columns of one frame, in order. extents: of the whole table, when the frame is a part of it."""
    settings = settings or Settings()
    extents = extents if extents is not None else extents_of([frame])
    return [observe(series.rechunk(), extents[series.name], settings) for series in frame]


def merged(parts: list[list[ColumnState]], settings: Settings) -> list[ColumnState]:
    """States of all parts together, column by column."""
    return [
        reduce(lambda left, right: merge(left, right, settings.hll_lg_k), columns)
        for columns in zip(*parts, strict=True)
    ]

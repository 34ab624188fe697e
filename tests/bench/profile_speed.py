"""Profile of 1M x 10 and 1M x 8: ours, stock whylogs and Polars `describe`, interleaved in one run.

Run it with `python -m tests.bench.profile_speed [rows]`. Medians of 5 (stock: 3). Ours counts everything up to the
bytes of profile.bin and the summary; stock counts logging to a view only, and its conversion from Polars is free.
Stock's usual input is pandas, used where it is installed, and the bound on stock is about that way; the columnar way
beside it hands stock's metrics their cheapest input, plain numpy arrays without nulls and lists of texts: a floor.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "1")

import numpy as np
import polars as pl
from whylogs.core import ColumnProfile, DatasetProfile, DatasetSchema
from whylogs.core.datatypes import AnyType, DataType, Fractional, Integral, String, TypeMapper
from whylogs.core.schema import ColumnSchema

from mldlc.profile.observe import Settings
from mldlc.profile.profile import profile_frame
from mldlc.profile.summary import table_summary
from mldlc.profile.view import dataset_view, serialise

ROUNDS, STOCK_ROUNDS = 5, 3
SETTINGS = Settings()


class PlainTypeMapper(TypeMapper):
    """Python types and pandas dtypes for stock whylogs, without the numpy name that numpy 2 removed."""

    def __call__(self, dtype: Any) -> DataType:
        if Integral.match(dtype):
            return Integral()
        if Fractional.match(dtype):
            return Fractional()
        inner = getattr(dtype, "type", dtype)
        text = isinstance(inner, type) and issubclass(inner, str)
        return String() if text or getattr(dtype, "name", "") in ("object", "category", "str") else AnyType()


def frame_of(rows: int) -> pl.DataFrame:
    """Ten columns: floats (one with nulls), integers (few, unique, heavy-tailed), texts, nullable bool, datetime."""
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1)
    frame = pl.DataFrame(
        {
            "normal": rng.normal(size=rows), "skewed": np.exp(2 * rng.normal(size=rows)), "holes": rng.random(rows),
            "few": rng.integers(0, 50, rows), "id": np.arange(rows), "zipf": rng.zipf(1.3, rows).clip(0, 2**60),
            "kind": pl.Series([f"kind-{i}" for i in range(20)]).gather(rng.integers(0, 20, rows)),
            "user": [f"user-{i}" for i in rng.integers(0, 10 * rows, rows)],
            "flag": rng.random(rows) < 0.3,
            "at": pl.Series([start]).extend_constant(start, rows - 1) + pl.Series(rng.integers(0, 10**9, rows)) * timedelta(microseconds=1),
        }
    )  # fmt: skip
    null = pl.Series(rng.random(rows) < 0.05)
    return frame.with_columns(pl.when(~null).then(pl.col("holes", "flag")))


def ours(frame: pl.DataFrame) -> None:
    """States, whylogs bytes and JSON summary."""
    states = profile_frame(frame)
    serialise(dataset_view(states, SETTINGS, {}))
    json.dumps(table_summary(frame.height, states, {}, SETTINGS, 20))


def columnar(frame: pl.DataFrame) -> Callable[[], None]:
    """Stock metrics fed column by column with what costs them least."""
    types = {"normal": float, "skewed": float, "holes": float, "few": int, "id": int, "zipf": int, "flag": bool}
    ready: dict[str, Any] = {}
    for series in frame:
        numeric = series.dtype.is_numeric()
        ready[series.name] = series.drop_nulls().to_numpy() if numeric else series.to_list()

    def log() -> None:
        for name, data in ready.items():
            python_type = types.get(name, datetime if name == "at" else str)
            profile = ColumnProfile(
                name, ColumnSchema(dtype=python_type, type_mapper=PlainTypeMapper()), cache_size=1024
            )
            profile.track_column(data)
            profile.view()

    return log


def by_pandas(frame: pl.DataFrame) -> Callable[[], None]:
    """Stock's usual way: a pandas frame."""
    pandas = importlib.import_module("pandas")
    data = pandas.DataFrame({series.name: series.to_list() for series in frame})

    def log() -> None:
        profile = DatasetProfile(schema=DatasetSchema(type_mapper=PlainTypeMapper()))
        profile.track(data)
        profile.view()

    return log


def measure(frame: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Median (wall, CPU) seconds by name, the ways interleaved."""
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "ours": (ROUNDS, lambda: ours(frame)),
        "describe": (ROUNDS, frame.describe),
        "stock, columnar": (STOCK_ROUNDS, columnar(frame)),
    }
    if importlib.util.find_spec("pandas"):
        ways["stock, pandas"] = (STOCK_ROUNDS, by_pandas(frame))
    ours(frame)  # warm up: imports and pages
    frame.describe()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, (rounds, way) in ways.items():
            if turn < rounds:
                wall, cpu = time.perf_counter(), time.process_time()
                way()
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times))
        for name, times in taken.items()
    }


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    frame = frame_of(rows)
    print(f"{'frame':<14}{'way':<18}{'wall s':>9}{'/ ours':>8}{'CPU s':>9}{'/ ours':>8}")
    for width in (10, 8):
        chosen = frame if width == 10 else frame.drop("at", "flag")
        found = measure(chosen)
        base, base_cpu = found["ours"]
        for name, (wall, cpu) in found.items():
            label = f"{rows} x {width}"
            print(f"{label:<14}{name:<18}{wall:>9.3f}{wall / base:>8.2f}{cpu:>9.3f}{cpu / base_cpu:>8.2f}")
        stock = found.get("stock, pandas")
        told = f"{stock[0] / base:.1f}" if stock else "not run (pandas is not installed)"
        print(f"{'':<14}stock, pandas / ours: {told} (bound >= 12)")
        print(f"{'':<14}ours / describe: {base / found['describe'][0]:.2f} (bound <= 2.5)")


if __name__ == "__main__":
    main()

"""Frames that the tests of this room share, and stock whylogs as an independent reference."""

from __future__ import annotations

import csv
import os

os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "1")

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from whylogs.core import DatasetProfile, DatasetSchema
from whylogs.core.datatypes import AnyType, DataType, Fractional, Integral, String, TypeMapper
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from mldlc.artifacts.table import write_table
from mldlc.plan.artifact import Table
from tests.shared_data import shared
from tests.step_harness import Artifact, artifact

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
]
ADULT_INTS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")


class PlainTypeMapper(TypeMapper):
    """Maps Python types for stock whylogs without numpy names that numpy 2 removed."""

    def __call__(self, dtype: Any) -> DataType:
        if Integral.match(dtype):
            return Integral()
        if Fractional.match(dtype):
            return Fractional()
        return String() if isinstance(dtype, type) and issubclass(dtype, str) else AnyType()


def stock_view(columns: dict[str, list[Any]]) -> DatasetProfileView:
    """Stock whylogs over rows of Python values: its own loops, none of our code."""
    schema = DatasetSchema(type_mapper=PlainTypeMapper())
    profile = DatasetProfile(schema=schema)
    for row in zip(*columns.values(), strict=True):
        profile.track(row=dict(zip(columns, row, strict=True)))
    return profile.view()


def mixed(rows: int, seed: int = 0) -> pl.DataFrame:
    """A frame of every dtype that an Arrow file can hold, with nulls and odd values."""
    rng = np.random.default_rng(seed)
    null = rng.random(rows) < 0.1
    floats = rng.normal(size=rows)
    floats[rng.random(rows) < 0.02] = np.nan
    frame = pl.DataFrame(
        {
            "flag": rng.random(rows) < 0.3, "small": rng.integers(-5, 40, rows).astype(np.int8),
            "wide": rng.integers(-(2**62), 2**62, rows), "big": rng.integers(0, 2**64 - 1, rows, dtype=np.uint64),
            "zipf": rng.zipf(1.5, rows).clip(0, 2**50), "real": floats, "single": rng.random(rows, dtype=np.float32),
            "text": [f"user-{i}" for i in rng.integers(0, rows * 2 + 1, rows)],
            "long": ["x" * 130 + str(i) for i in rng.integers(0, 5, rows)],
            "day": [date(2024, 1, 1 + int(i)) for i in rng.integers(0, 30, rows)],
            "moment": [datetime(2024, 1, 1, int(i), tzinfo=UTC) for i in rng.integers(0, 23, rows)],
        }
    ).with_columns(
        pl.col("small").cast(pl.Decimal(10, 2)).alias("money"),
        pl.col("small").cast(pl.String).cast(pl.Categorical).alias("kind"),
        pl.col("small").cast(pl.Int128).alias("int128") * 2**70,
        pl.concat_list("small", "zipf").alias("list"),
        pl.struct("small", "text").alias("struct"),
        pl.col("text").cast(pl.Binary).alias("bytes"),
        pl.lit(None).alias("nothing"),
    )  # fmt: skip
    keep = pl.Series(~null)
    return frame.with_columns(
        pl.when(keep).then(pl.col(name)).alias(name) for name in ("flag", "small", "real", "text")
    )


def table(folder: Path, *parts: pl.DataFrame) -> Artifact:
    """A Table artifact of these partitions."""
    folder.mkdir(parents=True)
    write_table(folder, [(f"p{i}", part) for i, part in enumerate(parts)])
    return artifact(Table.name, folder)


def adult_rows() -> list[list[str]]:
    """The raw rows of adult.data, by the csv module."""
    with shared("adult.data").open(newline="") as file:
        return [row for row in csv.reader(file, skipinitialspace=True) if row]


def adult() -> pl.DataFrame:
    """adult.data with nulls for "?"."""
    rows = [[None if cell == "?" else cell for cell in row] for row in adult_rows()]
    return pl.DataFrame(rows, schema=ADULT, orient="row").with_columns(pl.col(*ADULT_INTS).cast(pl.Int64))

"""The batch interpreter of a Preprocessor: Polars columns in, float32 and int32 blocks out, in cache-sized blocks."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.preprocessor import FIRST, FLOAT32_MAX, MISSING, OTHER, Preprocessor, category, circle, moment
from mldlc.artifacts.tensors import tensor_frame

BLOCK = 1 << 13  # rows whose registers and outputs stay in the processor's cache; divides a record batch
Registers = dict[str, np.ndarray]


def transform_frame(preprocessor: Preprocessor, frame: pl.DataFrame, threads: int = 1) -> pl.DataFrame:
    """See `Preprocessor.transform_frame`."""
    absent = [item["name"] for item in preprocessor.inputs if item["name"] not in frame.columns]
    if absent:
        raise ValueError(f"the frame has no feature {', '.join(map(repr, absent))}")
    rows = frame.height
    types = {item["name"]: item["dtype"] for item in preprocessor.inputs}
    codes = {
        op["of"]: category_codes(frame[op["of"]], op["values"])
        for op in preprocessor.ops
        if op["op"] in ("codes", "one_hot")
    }
    numeric = np.empty((rows, len(preprocessor.numeric)), np.float32)
    categorical = np.empty((rows, len(preprocessor.categorical)), np.int32)
    coded = {op["out"]: op["of"] for op in preprocessor.ops if op["op"] == "codes"}
    for k, item in enumerate(preprocessor.categorical):
        categorical[:, k] = codes[coded[item["name"]]]
    ops = [op for op in preprocessor.ops if op["op"] != "codes"]

    def block(start: int) -> None:
        part = frame.slice(start, BLOCK)
        registers: Registers = {}
        with np.errstate(all="ignore"):
            for op in ops:
                apply(op, part, registers, types, {name: c[start : start + BLOCK] for name, c in codes.items()})
            for j, name in enumerate(preprocessor.numeric):
                numeric[start : start + BLOCK, j] = registers[name]
            made = numeric[start : start + BLOCK]
            np.clip(made, -FLOAT32_MAX, FLOAT32_MAX, out=made)
            made += 0.0  # one zero

    if numeric.shape[1]:
        starts = range(0, rows, BLOCK)
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(block, starts))
        else:
            for start in starts:
                block(start)
    label = label_column(preprocessor, frame)
    weight = frame[preprocessor.weight].cast(pl.Float32).to_numpy() if preprocessor.weight in frame.columns else None
    return tensor_frame(numeric, categorical, label, weight)


def label_column(preprocessor: Preprocessor, frame: pl.DataFrame) -> np.ndarray | None:
    """The label as int32 class index (-1: not a known class) or float32 value; None where the frame has none."""
    label = preprocessor.label
    if label is None or label["name"] not in frame.columns:
        return None
    column = frame[label["name"]]
    if label["kind"] == "value":
        return column.cast(pl.Float32).to_numpy()
    codes = category_codes(column, [category(value) for value in label["classes"]])
    return np.maximum(codes - FIRST, -1).astype(np.int32)


def category_codes(column: pl.Series, values: list[str]) -> np.ndarray:
    """int32 code of each row: 0 missing, 1 other, 2 + position in `values`."""
    text = _text(column)
    known = text.cast(pl.Enum(values), strict=False) if values else pl.Series([None] * len(text), dtype=pl.UInt8)
    codes = known.to_physical().cast(pl.Int32) + FIRST
    if not codes.null_count():
        return codes.to_numpy()
    filled = codes.fill_null(OTHER).to_numpy(writable=True)
    if text.null_count():
        filled[text.is_null().to_numpy()] = MISSING
    return filled


def _text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column
    if column.dtype.is_float():
        return pl.Series([category(value) for value in column.to_list()], dtype=pl.String)
    return column.cast(pl.String)


def number(column: pl.Series, dtype: str) -> np.ndarray:
    """A numeric column as new float64 values; missing and not finite are NaN."""
    if column.dtype == pl.String:
        raise ValueError(f"feature {column.name!r}: expected numbers, found text")
    if dtype == "Float32" and column.dtype != pl.Float32:
        column = column.cast(pl.Float32)
    elif column.dtype.is_decimal() or not column.dtype.is_numeric():
        column = column.cast(pl.Float64)
    if column.null_count() and column.dtype.is_integer():
        column = column.cast(pl.Float64)
    values = column.to_numpy().astype(np.float64)
    return _finite(values)


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(np.add.reduce(values)):  # one quick pass tells the usual case
        values[~np.isfinite(values)] = np.nan
    return values


def date_part(column: pl.Series, part: str, zone: str | None) -> np.ndarray:
    """A part of a date or time column as float64; missing is NaN."""
    if column.dtype == pl.String:
        column = pl.Series([moment(value, zone) for value in column.to_list()], dtype=pl.Datetime("us", zone))
    if column.dtype == pl.Date and part == "hour":
        return np.where(column.is_null().to_numpy(), np.nan, 0.0)
    if zone and getattr(column.dtype, "time_zone", None):
        column = column.dt.convert_time_zone(zone)
    values = column.dt.weekday() - 1 if part == "dow" else getattr(column.dt, part)()
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()


def derive(op: str, columns: list[np.ndarray]) -> np.ndarray:
    """A derived feature; what is not finite is missing."""
    match op:
        case "ratio":
            return _finite(columns[0] / columns[1])
        case "difference":
            return _finite(columns[0] - columns[1])
        case "log":  # by Polars, which asks the C library as Python's `math` does; NumPy's own differs in the last bit
            return _finite(pl.Series(columns[0]).log().to_numpy().copy())
    value = columns[0].copy()
    for column in columns[1:]:
        value *= column
    return _finite(value)


def log1p(values: np.ndarray) -> np.ndarray:
    """sign(x) * log(1 + |x|), with the C library's log1p."""
    return np.copysign(pl.Series(np.abs(values)).log1p().to_numpy(), values)


def interpolate(values: np.ndarray, xs: np.ndarray, zs: np.ndarray) -> np.ndarray:
    """Piecewise linear through (xs, zs), constant outside; the same operations as for one row."""
    values = np.clip(values, xs[0], xs[-1])
    j = np.minimum(np.searchsorted(xs, values, "right") - 1, len(xs) - 2)
    return zs[j] + (values - xs[j]) / (xs[j + 1] - xs[j]) * (zs[j + 1] - zs[j])


def apply(
    op: Mapping[str, Any], frame: pl.DataFrame, registers: Registers, types: Mapping[str, str], codes: Registers
) -> None:
    """Run one op on a block of rows. codes: column -> category codes of these rows."""
    of, out = op["of"], op.get("out")
    match op["op"]:
        case "number":
            registers[out] = number(frame[of], types[of])
        case "date_part":
            registers[out] = date_part(frame[of], op["part"], op.get("zone"))
        case "ratio" | "difference" | "product" | "log":
            registers[out] = derive(op["op"], [registers[name] for name in of])
        case "missing":
            registers[out] = np.isnan(registers[of]).astype(np.float64)
        case "fill":
            if np.isnan(np.add.reduce(registers[of])):
                registers[of][np.isnan(registers[of])] = op["value"]
        case "clip":
            np.clip(registers[of], op["low"], op["high"], out=registers[of])
        case "log1p":
            registers[of] = log1p(registers[of])
        case "scale":
            registers[of] -= op["center"]
            registers[of] /= op["scale"]
        case "quantile":
            registers[of] = interpolate(registers[of], np.asarray(op["x"]), np.asarray(op["z"]))
        case "cycle":
            table = np.array([*circle(op["period"]), (0.0, 0.0)])
            at = np.where(np.isnan(registers[of]), op["period"] + op["start"], registers[of]).astype(np.int64)
            registers[out[0]], registers[out[1]] = table[at - op["start"]].T
        case "one_hot":
            for k, name in enumerate(out):
                registers[name] = (codes[of] == k).astype(np.float64)
        case unknown:
            raise ValueError(f"unknown op {unknown!r}: the preprocessor was written by a newer release")

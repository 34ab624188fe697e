"""Names of column types in config -> Polars types, and how text becomes a value of them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

TYPES: dict[str, pl.DataType] = {
    "int8": pl.Int8(), "int16": pl.Int16(), "int32": pl.Int32(), "int64": pl.Int64(),
    "uint8": pl.UInt8(), "uint16": pl.UInt16(), "uint32": pl.UInt32(), "uint64": pl.UInt64(),
    "float32": pl.Float32(), "float64": pl.Float64(), "string": pl.String(), "boolean": pl.Boolean(),
    "date": pl.Date(), "datetime": pl.Datetime("us"),
}  # fmt: skip
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def from_text(column: pl.Expr, dtype: str, form: str | None, *, strict: bool) -> pl.Expr:
    """Text -> `dtype`. form: strptime format of dates and times (None: ISO). Not strict: what does not fit is null."""
    if dtype == "string":
        return column
    column = column.str.strip_chars(" \t")
    match dtype:
        case "boolean":
            low = column.str.to_lowercase()
            if strict:
                return low.replace_strict(BOOLEANS, return_dtype=pl.Boolean)
            return low.replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)
        case "date":
            return column.str.to_date(form or "%Y-%m-%d", strict=strict)
        case "datetime" if form is None:
            iso = column.str.replace(" ", "T", literal=True)
            whole = pl.when(iso.str.len_bytes() == 10).then(iso + "T00:00:00").otherwise(iso)
            return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=strict, time_unit="us")
        case "datetime":
            return column.str.to_datetime(form, strict=strict, time_unit="us")
    return column.cast(TYPES[dtype], strict=strict)


def nulled(column: pl.Expr, markers: Sequence[str], *, strip: bool) -> pl.Expr:
    """Text with the null markers (and, when stripped, empty text) as null."""
    text = column.str.strip_chars(" \t") if strip else column
    gone = [*markers, ""] if strip else list(markers)
    return pl.when(text.is_in(gone).not_()).then(text) if gone else text


def expected(dtype: str, form: str | None) -> str:
    """What a declared type wants, in words."""
    if dtype in ("date", "datetime"):
        return f"{dtype} ({form or 'ISO 8601'})"
    return "boolean (true, false, 1 or 0)" if dtype == "boolean" else dtype

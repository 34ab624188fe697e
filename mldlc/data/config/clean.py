"""Config of `clean`: rules that look at one row at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mldlc.config.schema import Config, result
from mldlc.data.config.source import Dtype

Scalar = str | int | float | bool


class KeepAll(Config):
    """Pass the table on as it is."""

    kind: Literal["none"]


class Bounds(Config):
    """Values outside [low, high] become the bound; null leaves that side open."""

    low: float | None = result(None)
    high: float | None = result(None)


class Predicate(Config):
    """A test of one column. `value` is a list for `in` and `not_in`, and absent for `is_null` and `is_not_null`."""

    column: str
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not_in", "is_null", "is_not_null"]
    value: Scalar | list[Scalar] | None = result(None)


class CleanRules(Config):
    """Row-local cleaning, in this order: drop and rename columns, strip, null markers, casts, clip, drop rows.

    rename: old -> new. cast: column -> type. clip: column -> bounds. drop_rows: a row that meets any predicate goes
    (a null meets `is_null` only). Other rules use the new names.
    """

    kind: Literal["rules"]
    drop_columns: list[str] = result([])
    rename: dict[str, str] = result({})
    strip: bool = result(True)
    null_values: list[str] = result([])
    cast: dict[str, Dtype] = result({})
    clip: dict[str, Bounds] = result({})
    drop_rows: list[Predicate] = result([])
    drop_null_label: bool = result(True)


Clean = Annotated[KeepAll | CleanRules, Field(discriminator="kind")]

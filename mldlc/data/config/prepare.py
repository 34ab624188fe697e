"""Config of `prepare`: how raw columns become the numbers that a network reads; fitted on the train part."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from mldlc.config.schema import Config, result

Impute = Literal["mean", "median", "constant", "most_frequent"]
Scale = Literal["standard", "minmax", "robust", "quantile", "none"]
Encode = Literal["codes", "one_hot"]
DatePart = Literal["year", "month", "day", "dow", "hour"]


class NumericConfig(Config):
    """Numeric features, in this order: clip, log1p, scale; gaps are filled first.

    fill: the value of `impute: constant`. indicator: one more 0/1 feature that says the value was missing (`auto`:
    where the train part has gaps). clip: [low, high] quantiles of the train part. log1p: columns, or `auto` for those
    that are nowhere negative and skewed more than `skew`. quantiles: points of the grid of `scale: quantile`.
    """

    impute: Impute = result("median")
    fill: float = result(0.0)
    indicator: bool | Literal["auto"] = result("auto")
    clip: list[float] | None = result(None, min_length=2, max_length=2)
    log1p: Literal["none", "auto"] | list[str] = result("none")
    skew: float = result(2.0, gt=0)
    scale: Scale = result("standard")
    quantiles: int = result(256, ge=2, le=100_000)

    @field_validator("clip")
    @classmethod
    def _ordered(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and not 0 <= value[0] < value[1] <= 1:
            raise ValueError("clip takes two quantiles, 0 <= low < high <= 1")
        return value


class CategoricalConfig(Config):
    """Text, boolean and declared categorical features.

    encode: `codes` for embeddings, `one_hot` for numeric 0/1 features. A value seen fewer than rare_count times, or in
    less than rare_share of the train rows, joins OTHER, as do unknown values. max_values: only the most frequent stay.
    """

    encode: Encode = result("codes")
    rare_count: int = result(1, ge=1)
    rare_share: float = result(0.0, ge=0, lt=1)
    max_values: int | None = result(None, ge=1)


class DatesConfig(Config):
    """Dates and times become these parts; cyclical: month, day, dow and hour as a sine and a cosine."""

    parts: list[DatePart] = result(["year", "month", "dow", "hour"])
    cyclical: bool = result(True)


class Derived(Config):
    """A new numeric feature. ratio and difference take [a, b]; product two or more; log one (natural logarithm)."""

    name: str
    op: Literal["ratio", "product", "difference", "log"]
    of: list[str] = result(min_length=1)


class ColumnOverride(Config):
    """What differs for one column; null keeps the rule of its kind. treat: read numbers as categories, or drop it."""

    treat: Literal["numeric", "categorical", "drop"] | None = result(None)
    impute: Impute | None = result(None)
    fill: float | None = result(None)
    indicator: bool | None = result(None)
    clip: list[float] | None = result(None, min_length=2, max_length=2)
    log1p: bool | None = result(None)
    scale: Scale | None = result(None)
    encode: Encode | None = result(None)
    rare_count: int | None = result(None, ge=1)
    rare_share: float | None = result(None, ge=0, lt=1)


class Prepare(Config):
    """Tabular preparation. part: what it is fitted on. label: `auto` is class for text, boolean, else value.

    columns: name -> override (derived features too). storage: how prepared rows lie on disk: `arrow` is mapped as it
    is, `parquet` is smaller and decoded by its readers. precision 16: numbers in float16 (about three digits), codes in
    the smallest type that holds them.
    """

    kind: Literal["tabular"]
    part: str = result("train")
    numeric: NumericConfig
    categorical: CategoricalConfig
    dates: DatesConfig
    derived: list[Derived] = result([])
    label: Literal["auto", "class", "value"] = result("auto")
    columns: dict[str, ColumnOverride] = result({})
    storage: Literal["arrow", "parquet"] = result("arrow", neutral="arrow")
    precision: Literal[32, 16] = result(32, neutral=32)

"""Config of `select`: which feature columns go, judged on the train part only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mldlc.config.schema import Config, result


class SelectNone(Config):
    """Keep every feature."""

    kind: Literal["none"]


class SelectFilter(Config):
    """Filters, applied in this order; null switches one off. keep: columns that are never dropped.

    max_missing: share of missing values. max_constant: share of the most frequent value. max_categories: distinct
    values of a text column. max_correlation: absolute Pearson correlation with an earlier numeric column that stays.
    min_score: association with the label in [0, 1] (absolute correlation, correlation ratio eta or Cramer's V).
    """

    kind: Literal["filter"]
    part: str = result("train")
    keep: list[str] = result([])
    max_missing: float | None = result(0.95, ge=0, le=1)
    max_constant: float | None = result(0.999, ge=0, le=1)
    max_categories: int | None = result(1000, ge=1)
    max_correlation: float | None = result(0.98, ge=0, le=1)
    min_score: float | None = result(None, ge=0, le=1)


Select = Annotated[SelectNone | SelectFilter, Field(discriminator="kind")]

"""Config of `split`: how rows are dealt to the parts."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mldlc.config.schema import Config, result

Fractions = dict[str, float]
Duplicates = Literal["together", "ignore"]


class _Learning(Config):
    """Shared by all splits. learn: the share of the train rows that is learnt from, by the hash of the row. Smaller
    shares lie within larger ones; the rows left out are the part `unused`, all other parts stay as they are.
    """

    learn: float = result(1.0, neutral=1.0, gt=0, le=1)


class _Dealt(_Learning):
    """Shared by the splits that take a share of the rows. fractions: part -> share; they sum to 1."""

    fractions: Fractions = result(min_length=1)

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, value: Fractions) -> Fractions:
        if any(share < 0 for share in value.values()) or not math.isclose(sum(value.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"the fractions must be at least 0 and sum to 1, they sum to {sum(value.values()):g}")
        return value


class RandomSplit(_Dealt):
    """Each row by the hash of its identity: rows that are added later never move others.

    duplicates: `together` keys by the values of the features, so that equal rows never straddle two parts; `ignore`
    keys by the `row_id` column, or by (partition, offset) where there is none.
    """

    kind: Literal["random"]
    seed: int = result(0, ge=0)
    duplicates: Duplicates = result("together")


class StratifiedSplit(_Dealt):
    """Exact shares within each value of a column (null: the label).

    bins: numbers with more than 20 distinct values are cut into that many bins of equal count.
    """

    kind: Literal["stratified"]
    seed: int = result(0, ge=0)
    by: str | None = result(None)
    bins: int = result(10, ge=2)
    duplicates: Duplicates = result("together")


class TimeSplit(_Learning):
    """Parts in time order. Equal times stay together.

    by: null is the `event_time` column. fractions: part -> share, in order; or cuts: part -> its first time (ISO; the
    first part has null). gap: rows within it before a cut join no part ("36h", "7d"), so that labels cannot leak.
    """

    kind: Literal["time"]
    by: str | None = result(None)
    fractions: Fractions | None = result(None)
    cuts: dict[str, str | None] | None = result(None)
    gap: str | None = result(None, pattern=r"^\d+(s|m|h|d|w)$")

    @model_validator(mode="after")
    def _one_of(self) -> TimeSplit:
        if (self.fractions is None) == (self.cuts is None):
            raise ValueError("give exactly one of `fractions` and `cuts`")
        if self.fractions is not None:
            _Dealt._sum_to_one(self.fractions)
        return self


class GroupSplit(_Dealt):
    """All rows of a group in one part, by the hash of the group (by: null is the `group` column, then `entity`)."""

    kind: Literal["group"]
    seed: int = result(0, ge=0)
    by: str | None = result(None)


class ColumnSplit(_Learning):
    """The table says it itself: column `by`; values: part -> the values that stand for it."""

    kind: Literal["column"]
    by: str
    values: dict[str, list[str | int | bool]] = result(min_length=1)


Split = Annotated[RandomSplit | StratifiedSplit | TimeSplit | GroupSplit | ColumnSplit, Field(discriminator="kind")]

"""Config of the `profile` group: how a table is profiled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mldlc.config.schema import Config, result


class WhylogsProfile(Config):
    """Profiles that whylogs reads and merges, and a JSON summary.

    kll_k, hll_lg_k, items_lg, item_size: sizes of the quantile, distinct-value and frequent-item sketches, as whylogs
    names them. bins: most histogram bins. top: most frequent values listed. batch_rows: rows held at a time.
    parts: with a split, also profile each part of it.
    """

    kind: Literal["whylogs"] = "whylogs"
    kll_k: int = result(1024, ge=8, le=65535)
    hll_lg_k: int = result(12, ge=4, le=21)
    items_lg: int = result(10, ge=3, le=16)
    item_size: int = result(128, ge=1)
    bins: int = result(40, ge=1, le=1000)
    top: int = result(20, ge=0, le=1000)
    batch_rows: int = result(1_000_000, ge=1)
    parts: bool = result(True)


class NoProfile(Config):
    """Names, dtypes and row counts only; nothing is measured."""

    kind: Literal["none"] = "none"


ProfileConfig = Annotated[WhylogsProfile | NoProfile, Field(discriminator="kind")]

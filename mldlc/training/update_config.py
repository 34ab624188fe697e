"""Config of updating a trained model: the group `update`. Light."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mldlc.config.schema import Config, location, meta, result
from mldlc.training.distill_config import EarlierModel


class SliceGuard(Config):
    """Rejects an update after which the score on a slice of old rows has fallen by more than `max_drop`.

    Old rows are the val rows and every `hold`-th row of the stream, from which nothing is learnt. Slices: `ages` equal
    spans of them by age, and the values of each of `columns` (categorical inputs); of at least `min_rows` rows.
    The score is the accuracy, of a number minus the root mean squared error in standard deviations of the label.
    """

    max_drop: float = result(0.02, ge=0)
    hold: int = result(10, ge=2)
    ages: int = result(4, ge=1)
    columns: list[str] = result([])
    min_rows: int = result(50, ge=1)


class Rollback(Config):
    """Puts the last snapshot back when the updates since then did worse by more than `max_drop` than the snapshot would
    have done on the same rows, none of which either had seen when it told them. The score is as in `SliceGuard`.
    """

    max_drop: float = result(0.02, ge=0)


class _Update(Config):
    """What both kinds share. A batch of the stream is told first, then learnt.

    model: the model to continue from, an earlier one by reference (see `Earlier`); null: the one of this plan. One that
    went on along this table before goes on after the rows that it has learnt.
    when: an earlier model is due; the stage `due` reads it (`mldlc.scope.config.When`).
    parts: of the split that make the stream, in the order of the table; all: every part but train, val and what was
    taken out of train (`split.learn`, `labels`).
    batch_size: rows that arrive together. rate: factor on `optimizer.lr`. epochs: passes over a batch.
    replay: the share of old rows among those that an update learns from, drawn from all before. windows: points of
    the curve that is reported.
    """

    model: EarlierModel | None = location(None)
    when: dict[str, Any] = meta({})
    parts: Literal["all"] | list[str] = result("all")
    rate: float = result(0.1, gt=0)
    epochs: int = result(1, ge=1)
    replay: float = result(0.0, ge=0, lt=1)
    windows: int = result(40, ge=1)

    @model_validator(mode="after")
    def _deployed(self) -> _Update:
        if self.model is None and any(self.when.values()):
            raise ValueError("`when` asks what a deployed model has learnt: name it (update.model=registry://NAME)")
        return self


class Batch(_Update):
    """Periods of new rows; an update is kept or rejected whole."""

    kind: Literal["batch"]
    batch_size: int = result(2000, ge=1)
    guard: SliceGuard | None = result(SliceGuard())


class Online(_Update):
    """Micro-batches as they arrive, with a snapshot every `snapshot_every` of them."""

    kind: Literal["online"]
    batch_size: int = result(16, ge=1)
    snapshot_every: int = result(100, ge=1)
    guard: Rollback | None = result(Rollback())


Update = Annotated[Batch | Online, Field(discriminator="kind")]

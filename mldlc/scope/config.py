"""Schemas of initiation and scoping: the goal and the budget, who decides, where approved models go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from mldlc.config.schema import Config, location, meta, result
from mldlc.plan import clock


class Bound(Config):
    """Inclusive limits of a metric; null is no limit."""

    min: float | None = None
    max: float | None = None


class HumanLevel(Config):
    """How well people do the task: the metric they were measured by, its value, and on how many items."""

    metric: str
    value: float
    n: int | None = meta(None)
    source: str = meta("")


class Benchmark(Config):
    """A published or competing result to hold against."""

    metric: str
    value: float
    source: str = meta("")


class Milestone(Config):
    """A dated target."""

    by: str = meta("")
    metric: str = meta("")
    value: float | None = meta(None)
    text: str = meta("")


class Budget(Config):
    """Limits on one run. seconds: wall time of everything that would run; memory_gb: peak of the largest step."""

    seconds: float | None = Field(None, gt=0)
    memory_gb: float | None = Field(None, gt=0)


class ScopeConfig(Config):
    """The goal (part -> metric -> bound), what people and others reach, milestones, and the budget."""

    target: dict[str, dict[str, Bound]] = Field(default_factory=dict)
    human_level: HumanLevel | None = None
    benchmark: Benchmark | None = None
    milestones: list[Milestone] = meta([])
    budget: Budget = Budget()


class AutomationConfig(Config):
    """Who answers gates. manual: a person, always; partial: by rule inside the bounds, else a person; full: by rule."""

    level: Literal["manual", "partial", "full"]
    bounds: dict[str, dict[str, Bound]] = Field(default_factory=dict)
    slices: dict[str, Bound] = Field(default_factory=dict)
    slice_rows: int = result(100, ge=1)


class When(Config):
    """When a deployed model is updated: once there are rows that it has not learnt, and any of these asks for it; where
    none of them is set, at every new row.

    schedule: once after each such time (UTC): an interval ("6h", "7d"; weeks begin on Mondays) or cron's five fields
    ("0 3 * * mon"). new_rows: so many rows that it has not learnt. bounds: part -> metric -> bound of its own metrics
    on rows that it has not learnt; one that is broken asks for the update.
    """

    schedule: str | None = result(None)
    new_rows: int | None = result(None, ge=1)
    bounds: dict[str, dict[str, Bound]] = Field(default_factory=dict)

    @field_validator("schedule")
    @classmethod
    def _comes(cls, value: str | None) -> str | None:
        if value is not None:
            clock.parse(value)
        return value


Parts = Literal["all"] | list[str]


class NoRegistry(Config):
    """Nothing is published."""

    kind: Literal["none"]


class FolderRegistry(Config):
    """Plain files under path/name/versions/<id>. path null: `published` under the outputs root."""

    kind: Literal["folder"]
    name: str = result(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    path: str | None = location(None)


RegistryConfig = Annotated[NoRegistry | FolderRegistry, Field(discriminator="kind")]


class NoopConfig(Config):
    """Config of the step that does nothing: any small values, hashed."""

    value: int | float | str | None = None

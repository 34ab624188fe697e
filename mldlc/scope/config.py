"""Schemas of initiation and scoping: the goal and the budget, who decides, where approved models go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mldlc.config.schema import Config, location, meta, result


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

"""Schemas of the config groups that no step reads: the lifecycle itself, places, execution, and groups that are off."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mldlc.catalog import OWN_GROUPS
from mldlc.config.schema import Config, location, meta, placement, runtime


class StageConfig(Config):
    """One stage of the lifecycle.

    inputs: port -> `stage.port` or `stage`; a list means the first live one (all live ones for a `many` port).
    config: formal group -> path of another subtree. when: a config path; the stage lives unless the value there is
    null, false or none. code: files or modules that imports cannot show.
    """

    kind: str
    inputs: dict[str, str | list[str] | None] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    scope: Literal["point", "sweep"] = "point"
    when: str | bool | None = None
    enabled: bool = True
    code: list[str] = Field(default_factory=list)
    description: str = meta("")


class LifecycleConfig(Config):
    """The stages by name, in reading order; execution order follows the wiring."""

    stages: dict[str, StageConfig | None]


class PathsConfig(Config):
    """outputs: the one folder that is written to (null: MLDLC_OUTPUTS, else `outputs` under the project root)."""

    outputs: str | None = location(None)


class LocalExecutor(Config):
    """Runs on this machine. jobs, threads: null takes the number of CPUs; retries: of failures that may pass."""

    kind: Literal["local"] = "local"
    jobs: int | None = placement(None, ge=1)
    threads: int | None = placement(None, ge=1)
    retries: int = runtime(1, ge=0, le=10)
    on_error: Literal["fail", "keep_going"] = runtime("fail")
    grace_seconds: float = runtime(20.0, ge=0)


class Off(Config):
    """A group that is switched off: its only option so far is `none`."""

    kind: Literal["none"] = "none"


Values = Any
"""What a key is swept over: a list, one value, or a text in Hydra's sweep grammar (`range(1,5)`, `glob(*)`)."""


class GridSweep(Config):
    """A sweep that `run` and `plan` make without `-m`: the product of its parts, the last varies fastest.

    params: key -> values, each against each. zip: keys that go in step. vary: one key at a time, the others as
    configured; the configured point comes first. points: what each point sets, written out.
    """

    kind: Literal["grid"]
    params: dict[str, Values] = Field(default_factory=dict)
    zip: list[dict[str, Values]] = Field(default_factory=list)
    vary: dict[str, Values] = Field(default_factory=dict)
    points: list[dict[str, Values]] = Field(default_factory=list)


Sweep = Annotated[Off | GridSweep, Field(discriminator="kind")]

_SCHEMAS: dict[str, Any] = {
    "lifecycle": LifecycleConfig,
    "sweep": Sweep,
    "paths": PathsConfig,
    "executor": LocalExecutor,
}
GROUPS: dict[str, Any] = {name: _SCHEMAS.get(name, Off) for name in OWN_GROUPS}

"""Schemas of the config groups that no step reads: the lifecycle itself, places, execution, and groups that are off."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mldlc.catalog import OWN_GROUPS
from mldlc.compiler.sweeps import Off, Sweep
from mldlc.config.schema import Config, location, meta, placement, runtime


class StageConfig(Config):
    """One stage of the lifecycle.

    inputs: port -> `stage.port` or `stage`; a list means the first live one (all live ones for a `many` port).
    config: formal group -> path of another subtree. when: a config path; the stage lives unless the value there is
    null, false or none. unless: a config path; the stage lives only if the value there is one of these. code: files or
    modules that imports cannot show. scope: `sweep` makes the stage once for all points. partial: with `keep_going` its
    `many` ports do without the points that failed, its `optional` ones without a step that cannot run then.
    """

    kind: str
    inputs: dict[str, str | list[str] | None] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    scope: Literal["point", "sweep"] = "point"
    partial: bool = False
    when: str | bool | None = None
    unless: str | None = None
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
    on_error: Literal["fail_fast", "keep_going"] = runtime("fail_fast")
    grace_seconds: float = runtime(20.0, ge=0)


class Teacher(Config):
    """What the teachers of a distillation train with: the stages that read these subtrees check them."""

    kind: Literal["none", "trained"]
    model: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    trainer: dict[str, Any] | None = None
    trainer_2: dict[str, Any] | None = None
    trainer_3: dict[str, Any] | None = None


_SCHEMAS: dict[str, Any] = {
    "teacher": Teacher,
    "lifecycle": LifecycleConfig,
    "paths": PathsConfig,
    "executor": LocalExecutor,
    "sweep": Sweep,
}
GROUPS: dict[str, Any] = {name: _SCHEMAS.get(name, Off) for name in OWN_GROUPS}

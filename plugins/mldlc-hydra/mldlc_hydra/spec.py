"""The kind of step that a job of a Hydra app is: `hydra.job`. Its plan is made by `mldlc_hydra.plan`. Light."""

from __future__ import annotations

from typing import Any as AnyValue

from mldlc.config.schema import Config, location, result
from mldlc.plan.artifact import Any
from mldlc.plan.spec import StepSpec


class Job(Config):
    """One job. config: its resolved config, its own folders left out. task: `module.function`.

    chdir, env_set: of `hydra.job`. order: a file that says how to run it now (see `mldlc_hydra.job.Order`).
    """

    config: AnyValue = result(None)
    task: str = result(...)
    chdir: bool | None = result(None)
    env_set: dict[str, str] = result({})
    order: str = location(...)


JOB = StepSpec(
    kind="hydra.job",
    version=1,
    impl="mldlc_hydra.job:run",
    outputs={"job": Any},
    reads={"job": Job},
    nondeterministic=("job",),
    doc="A job of a Hydra app: what its function returns, and what it writes into its folder.",
)

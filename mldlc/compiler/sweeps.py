"""Schemas of the config group `sweep`: which points are run, and how a search finds them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mldlc.config.schema import Config, result, runtime


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


class Goal(Config):
    """What a search wants of a point: a metric on the validation rows, and whether less or more of it is better.

    metric: a name that the training logs (`val_loss`), or `part.name` of an evaluation (`val.auroc`); never of `test`.
    """

    metric: str = result("val_loss", min_length=1)
    mode: Literal["min", "max"] = result("min")

    @model_validator(mode="after")
    def _not_on_test(self) -> Goal:
        if any(part == "test" or part.startswith("test_") for part in self.metric.split(".")):
            raise ValueError(f"'{self.metric}' is measured on test rows; a search must look at the validation only")
        return self


class _Search(Config):
    """What searches share.

    params: key or group -> its space: {low, high, log, step}, {choices: [...]}, a list, or Hydra's grammar as a text.
    until: the stage that gives the objective; the points of a round run no further. finish: at the end the best point
    (all that no other beats, with several objectives) runs the whole plan.
    """

    params: dict[str, Any] = result({})
    until: str | None = runtime("train")
    finish: bool = runtime(True)
    seed: int = result(0, ge=0, lt=2**32)


class OptunaSearch(_Search):
    """A search by Optuna, round by round; needs the plugin in plugins/mldlc-optuna.

    objectives: several of them, in place of `objective`. batch: points a round. timeout: seconds after which no
    further round starts. pruner: ends points that do badly while they train; startup_trials and warmup (validations of
    a point) are what it waits for.
    """

    kind: Literal["optuna"]
    sampler: Literal["tpe", "cmaes", "grid", "random"] = result("tpe")
    objective: Goal = result(Goal())
    objectives: list[Goal] = result([])
    n_trials: int = runtime(20, ge=1)
    batch: int = runtime(4, ge=1)
    timeout: Annotated[float, Field(gt=0)] | None = runtime(None)
    pruner: Literal["none", "median", "successive_halving"] = runtime("none")
    startup_trials: int = runtime(5, ge=0)
    warmup: int = runtime(1, ge=0)

    @model_validator(mode="after")
    def _one_objective_to_prune_by(self) -> OptunaSearch:
        if self.pruner != "none" and self.objectives:
            raise ValueError("a pruner needs one objective")
        return self


class HalvingSearch(_Search):
    """Successive halving: n_points train min_epochs, the best 1/factor of them factor times as long, and so on.

    The last ones train trainer.max_epochs, each from its own checkpoint: the schedule is that of the whole training.
    n_points: of sampler random; grid takes all there are. rungs: filled by the search itself, round by round.
    """

    kind: Literal["halving"]
    sampler: Literal["random", "grid"] = result("random")
    objective: Goal = result(Goal())
    n_points: int = result(9, ge=2)
    factor: int = result(3, ge=2)
    min_epochs: int = result(1, ge=1)
    rungs: dict[str, Any] = result({})


Sweep = Annotated[Off | GridSweep | OptunaSearch | HalvingSearch, Field(discriminator="kind")]

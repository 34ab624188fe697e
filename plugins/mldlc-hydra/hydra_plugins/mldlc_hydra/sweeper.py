"""`hydra/sweeper=mldlc`. Hydra executes this module in every app of the environment, before it is in `sys.modules`:

nothing heavy at its top, and no annotations as texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional  # noqa: UP035  (OmegaConf reads these annotations)

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConf:
    """params, zip, vary, points: a sweep written down, as in mldlc's group `sweep`; overrides of the command line win.

    sampler: null runs all points; tpe, cmaes, grid or random search with the function's return value as objective
    (needs mldlc-optuna). mode: min or max, a list where the function returns several numbers. batch: points a round.
    """

    _target_: str = "hydra_plugins.mldlc_hydra.sweeper.MldlcSweeper"
    max_batch_size: Optional[int] = None  # noqa: UP045
    params: Optional[Dict[str, Any]] = field(default_factory=dict)  # noqa: UP006, UP045
    zip: List[Dict[str, Any]] = field(default_factory=list)  # noqa: UP006
    vary: Dict[str, Any] = field(default_factory=dict)  # noqa: UP006
    points: List[Dict[str, Any]] = field(default_factory=list)  # noqa: UP006
    sampler: Optional[str] = None  # noqa: UP045
    mode: Any = "min"
    n_trials: int = 20
    batch: int = 4
    timeout: Optional[float] = None  # noqa: UP045
    seed: int = 0
    outputs: str = "outputs"


ConfigStore.instance().store(group="hydra/sweeper", name="mldlc", node=SweeperConf, provider="mldlc-hydra")


class MldlcSweeper(Sweeper):
    """All of Hydra's sweeps, paired ones, and searches."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        from mldlc_hydra.sweeping import sweep

        return sweep(self, arguments)

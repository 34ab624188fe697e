"""`hydra/launcher=mldlc`. Hydra executes this module in every app of the environment, before it is in `sys.modules`:

nothing heavy at its top, and no annotations as texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, List, Optional  # noqa: UP035  (OmegaConf reads these annotations)

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class LauncherConf:
    """outputs: where store and runs lie, from the folder that the app was started in. jobs: at most so many at a time.

    cpu, gpu, memory_gb: what one job takes. reuse: false runs every job again. keep_files: whether what a job writes
    into its folder is kept and given again when it is reused. code: more modules or files that a result depends on.
    preload: modules worth importing before a job starts.
    """

    _target_: str = "hydra_plugins.mldlc_hydra.launcher.MldlcLauncher"
    outputs: str = "outputs"
    jobs: Optional[int] = None  # noqa: UP045
    cpu: int = 1
    gpu: int = 0
    memory_gb: Optional[float] = None  # noqa: UP045
    reuse: bool = True
    keep_files: bool = True
    code: List[str] = field(default_factory=list)  # noqa: UP006
    preload: List[str] = field(default_factory=list)  # noqa: UP006


ConfigStore.instance().store(group="hydra/launcher", name="mldlc", node=LauncherConf, provider="mldlc-hydra")


class MldlcLauncher(Launcher):
    """Gives a batch of jobs to mldlc's engine as one plan."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from mldlc_hydra.launch import launch

        return launch(self, job_overrides, initial_job_idx)

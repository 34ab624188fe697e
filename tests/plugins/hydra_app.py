"""A plain Hydra app that knows nothing of mldlc, written into a folder, and commands of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APP = """
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import hydra
from helper import twice
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

log = logging.getLogger(__name__)
OmegaConf.register_new_resolver("plus", lambda a, b: a + b, replace=True)


@dataclass
class Conf:
    lr: float = 1.0
    name: str = "a"
    more: float = "${plus:${lr},1}"
    place: str = "${hydra:runtime.output_dir}"
    number: int = 0


@dataclass
class Score:
    value: float
    name: str


ConfigStore.instance().store(name="config", node=Conf)


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg):
    here = HydraConfig.get()
    with open(os.environ["EXECUTED"], "a") as file:
        file.write(f"{cfg.lr:g} {cfg.name}\\n")
    while Path(os.environ.get("WAIT", "/nowhere")).exists() and cfg.lr == 2:
        time.sleep(0.02)
    folder = Path(here.runtime.output_dir, "deep")
    folder.mkdir()
    (folder / "made.txt").write_text(f"{here.job.name} {os.environ.get('MARK')} {twice(cfg.lr)}")
    Path("in_cwd.txt").write_text(os.path.relpath(os.getcwd(), here.sweep.dir))
    log.info("lr is %s", cfg.lr)
    if cfg.lr == 9:
        raise ValueError(f"nine is bad, {cfg.name}")
    return Score(twice(cfg.lr), cfg.name) if cfg.name == "object" else twice(cfg.lr)


if __name__ == "__main__":
    main()
"""
HELPER = "def twice(x):\n    return 2 * x\n"
# Runs the app and writes down every JobReturn of it.
DRIVER = """
import json
import os
import runpy
import sys

from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

multirun = Hydra.multirun


def kept(self, *args, **kwargs):
    found = multirun(self, *args, **kwargs)
    rows = [
        {
            "value": repr(job.return_value), "overrides": list(job.overrides), "task": job.task_name,
            "status": job.status.name, "cwd": job.working_dir, "cfg": OmegaConf.to_container(job.cfg),
            "job": OmegaConf.to_container(job.hydra_cfg.hydra.job), "folder": job.hydra_cfg.hydra.runtime.output_dir,
            "type": OmegaConf.get_type(job.cfg).__name__,
        }
        for batch in found for job in batch
    ]
    with open(os.environ["RETURNS"], "w") as file:
        json.dump(rows, file)
    return found


Hydra.multirun = kept
sys.argv[0] = "app.py"
runpy.run_path("app.py", run_name="__main__")
"""


@dataclass(frozen=True)
class App:
    """The app in `root`; plugins: folders on its Python path."""

    root: Path
    plugins: tuple[Path, ...]

    def start(self, *args: str, script: str = "app.py", **env: str) -> subprocess.Popen[str]:
        """Start it with these arguments."""
        paths = os.pathsep.join(map(str, self.plugins))
        own = {"PYTHONPATH": paths, "EXECUTED": str(self.root / "executed"), "RETURNS": str(self.root / "returns.json")}
        return subprocess.Popen(
            [sys.executable, script, *args], cwd=self.root, env={**os.environ, **own, **env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *args: str, script: str = "app.py", **env: str) -> tuple[int, str]:
        """(exit code, what it said)."""
        process = self.start(*args, script=script, **env)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def executed(self) -> list[str]:
        """What the jobs that ran since the last call were given, sorted."""
        file = self.root / "executed"
        found = sorted(file.read_text().splitlines()) if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def returns(self) -> list[dict[str, Any]]:
        """The `JobReturn`s of the driver's last run."""
        return json.loads((self.root / "returns.json").read_text())  # type: ignore[no-any-return]


def app(root: Path, *plugins: Path) -> App:
    """Write it."""
    for name, text in {"app.py": APP, "helper.py": HELPER, "driver.py": DRIVER}.items():
        (root / name).write_text(text)
    return App(root, plugins)

"""Measures `mldlc data put`: folders put under version, beside the disk's floor, git, DVC and Oxen, one process each.

`python -m tests.bench.version_store [folder] [--quick]`. Ours and the floors are medians of 3 interleaved rounds, the
others one run. Every run works on a fresh copy of the files, and nothing is removed before the end: for minutes after,
ext4 tries the inodes of removed files one by one whenever it makes a file. Ours and the floors are durable at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.process import MLDLC, Cost, run
from tests.bench.results import keep, table

ROUNDS = 3
SHAPES = {"10,000 x 20 KB": (10_000, 20_000), "20 x 50 MB": (20, 50_000_000)}
QUICK = {"1,000 x 20 KB": (1_000, 20_000), "4 x 20 MB": (4, 20_000_000)}
REPOSITORY = Path(__file__).parents[2]
OXEN = """
import sys
from oxen import Repo
from oxen.user import config_user
config_user("bench", "bench@localhost")
repo = Repo(".")
if sys.argv[1] == "first":
    repo.init()
repo.add("data")
repo.commit("put")
"""
GIT = "git -c user.name=bench -c user.email=bench@localhost"


@dataclass
class Bench:
    """One shape of data. originals: the files that every run gets a copy of."""

    folder: Path
    count: int
    size: int
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    runs: int = 0

    def fresh(self) -> Path:
        """A new folder with a copy of the files in data/, all on the disk."""
        self.runs += 1
        place = self.folder / f"run{self.runs}"
        if self.runs == 1:
            (self.folder / "originals").mkdir(parents=True)
            for number in range(self.count):
                (self.folder / "originals" / f"{number:05d}.bin").write_bytes(os.urandom(self.size))
        shutil.copytree(self.folder / "originals", place / "data")
        os.sync()
        return place

    def change(self, place: Path) -> None:
        """New bytes in one percent of the files, at least one, as a tool does that writes files anew."""
        for number in range(max(1, self.count // 100)):
            path = place / "data" / f"{number:05d}.bin"
            path.with_suffix(".new").write_bytes(os.urandom(self.size))
            path.with_suffix(".new").replace(path)
        os.sync()

    def measure(self, name: str, command: list[str], place: Path, env: dict[str, str] | None = None) -> None:
        """Run one command, from a quiet disk."""
        os.sync()
        self.costs.setdefault(name, []).append(run(command, place, env=env))

    def ours(self, mode: str) -> None:
        """Put, put again with nothing changed, put again with one percent changed."""
        place = self.fresh()
        command = [*MLDLC, "data", "put", "data", "--to", "main:raw", *(["--take"] if mode == "take" else [])]
        env = {"PYTHONPATH": str(REPOSITORY)}
        self.measure(f"mldlc, {mode}", command, place, env)
        self.change(place)
        self.measure(f"mldlc, {mode}, 1 % changed", command, place, env)

    def floor(self, mode: str) -> None:
        """Both ways of being durable."""
        for durable in ("each", "fs"):
            place = self.fresh()
            command = [sys.executable, "-m", "tests.bench.version_floor", mode, durable]
            command += [str(place / "data"), str(place / "store")]
            self.measure(f"floor, {mode}, {durable}", command, REPOSITORY)

    def git(self) -> None:
        """git with its defaults, not durable."""
        place = self.fresh()
        subprocess.run(["git", "init", "-q", "."], cwd=place, check=True)
        command = ["sh", "-c", f"git add -A data && {GIT} commit -q -m put"]
        self.measure("git", command, place)
        self.change(place)
        self.measure("git, 1 % changed", command, place)

    def dvc(self, python: Path) -> None:
        """DVC with a hardlinked cache, not durable."""
        place = self.fresh()
        dvc = str(python.with_name("dvc"))
        env = {"DVC_NO_ANALYTICS": "1", "HOME": str(place)}
        for line in ("init --no-scm -q", "config core.check_update false", "config cache.type hardlink"):
            subprocess.run([dvc, *line.split()], cwd=place, check=True, env={**os.environ, **env})
        self.measure("DVC, hardlink", [dvc, "add", "-q", "data"], place, env)
        self.change(place)
        self.measure("DVC, hardlink, 1 % changed", [dvc, "add", "-q", "data"], place, env)

    def oxen(self, python: Path) -> None:
        """Oxen through its Python package: it has no command on PyPI."""
        place = self.fresh()
        home = self.folder / f"home{self.runs}"
        home.mkdir()
        self.measure("Oxen", [str(python), "-c", OXEN, "first"], place, {"HOME": str(home)})
        self.change(place)
        self.measure("Oxen, 1 % changed", [str(python), "-c", OXEN, "again"], place, {"HOME": str(home)})

    def wall(self, name: str) -> float:
        """Median seconds of a way; infinite when it was not measured."""
        return median(cost.wall for cost in self.costs[name]) if name in self.costs else float("inf")

    def rows(self, label: str) -> list[list[str]]:
        """One row a way, ours beside the floor of the same mode."""
        rows = []
        for name, costs in self.costs.items():
            note = ""
            if name in ("mldlc, copy", "mldlc, take"):
                mode = "copy" if name.endswith("copy") else "link"
                floor = min(self.wall(f"floor, {mode}, {durable}") for durable in ("each", "fs"))
                ratio = self.wall(name) / floor
                note = f"{ratio:.2f}x of the floor, {'holds' if ratio <= 1.5 else 'missed'} (1.5x)"
            cpu = median(cost.cpu for cost in costs)
            rows.append([label, name, f"{self.wall(name):.2f}", f"{cpu:.2f}", str(len(costs)), note])
        return rows


def environment(folder: Path, name: str, package: str) -> Path | None:
    """The Python of a throwaway environment with a package of PyPI; None, with the reason printed, without one."""
    path = Path(os.environ.get(f"MLDLC_BENCH_{name.upper()}", folder / f"venv-{name}"))
    python = path / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(path)], capture_output=True, text=True)
        if made.returncode == 0:
            made = subprocess.run([str(python), "-m", "pip", "install", "-q", package], capture_output=True, text=True)
        if made.returncode:
            print(f"{name} left out: {package} cannot be installed: {made.stderr.strip()[-300:]}", flush=True)
            return None
    return python


def main(quick: bool = False, where: str | None = None) -> None:
    """Measure and keep the table."""
    folder = Path(tempfile.mkdtemp(dir=where))
    dvc, oxen = environment(folder, "dvc", "dvc"), environment(folder, "oxen", "oxenai")
    rows: list[list[str]] = []
    for label, (count, size) in (QUICK if quick else SHAPES).items():
        bench = Bench(folder / label.replace(" ", ""), count, size)
        for _ in range(ROUNDS):
            for mode, floor in (("copy", "copy"), ("take", "link")):
                bench.floor(floor)
                bench.ours(mode)
        if shutil.which("git"):
            bench.git()
        else:
            print("git left out: there is none", flush=True)
        if dvc:
            bench.dvc(dvc)
        if oxen:
            bench.oxen(oxen)
        rows += bench.rows(label)
    names = ["data", "way", "wall s", "CPU s", "runs", "note"]
    keep("Data under version beside git, DVC, Oxen and the disk", table(names, rows))
    shutil.rmtree(folder)


if __name__ == "__main__":
    places = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    main("--quick" in sys.argv, places[0] if places else None)

"""The command line's own cost: help, plans, unchanged runs, sweeps of no-ops; CPU seconds of the whole process tree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench.process import MLDLC, Cost, median, run
from tests.bench.results import keep, table, verdict

COMPOSE = (
    "from hydra import compose, initialize_config_dir\nimport sys\n"
    "with initialize_config_dir(sys.argv[1], version_base='1.3'):\n    compose('config', sys.argv[2:])\n"
)
SPEED = (
    "The bounds in seconds were set on a machine that takes 0.40 s for the bare Hydra compose. On a slower one read the "
    "column beside it: a bound of 1 s is 2.5 composes there."
)


def noops(root: Path, nodes: int) -> Path:
    """A project of `nodes` no-op stages, ten wide."""
    (root / "conf" / "lifecycle").mkdir(parents=True)
    (root / "mldlc.yaml").write_text("name: noops\nconf: conf\n")
    (root / "conf" / "config.yaml").write_text(
        "defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {lifecycle: noops}]\nnoop: {value: 1}\n"
    )
    lines = ["stages:"]
    for number in range(nodes):
        inputs = f", inputs: {{after: [n{number - 10}]}}" if number >= 10 else ""
        lines.append(f"  n{number}: {{kind: scope.noop{inputs}}}")
    (root / "conf" / "lifecycle" / "noops.yaml").write_text("\n".join(lines) + "\n")
    return root


def main(quick: bool = False) -> None:
    """Measure and keep the table."""
    rounds = 3 if quick else 5
    folder = Path(tempfile.mkdtemp())
    rows: list[list[str]] = []

    def row(name: str, cost: Cost, bound: float, note: str = "") -> None:
        ratio = f"{cost.cpu / bare.cpu:.2f}x"
        rows.append([name, f"{cost.cpu:.3f}", f"{cost.wall:.3f}", ratio, f"{bound:g}", verdict(cost.cpu, bound), note])

    def mldlc(cwd: Path, *args: str) -> Cost:
        return run([*MLDLC, *args], cwd)

    home = folder / "home"
    home.mkdir()
    from mldlc.config.project import shipped_conf

    bare = median(lambda: run([MLDLC[0], "-c", COMPOSE, str(shipped_conf()), "experiment=adult"], home), rounds)
    rows.append(["bare Hydra compose of the same config", f"{bare.cpu:.3f}", f"{bare.wall:.3f}", "1.00x", "", "", ""])
    row("`mldlc --help`", median(lambda: mldlc(home, "--help"), rounds), 0.12)

    def first() -> Cost:
        shutil.rmtree(home / "outputs", ignore_errors=True)
        return mldlc(home, "plan", "experiment=adult")

    def cold() -> Cost:
        shutil.rmtree(home / "outputs" / "cache" / "graph", ignore_errors=True)
        return mldlc(home, "plan", "experiment=adult")

    row("`plan` first ever", median(first, rounds), 1.5)
    cold_cost = median(cold, rounds)
    row("`plan` cold, AST cache", cold_cost, 1.0)
    row("`plan` warm", median(lambda: mldlc(home, "plan", "experiment=adult"), rounds), 0.25)
    tab = ("completion", "--answer", "zsh", "mldlc plan experiment=adult trainer.max_")
    mldlc(home, *tab)
    row("a Tab, warm", median(lambda: mldlc(home, *tab), rounds), 0.15)
    row("`plan` cold over bare Hydra compose", cold_cost, 1.3 * bare.cpu, "bound: 1.3x")
    rates = iter(range(1, 1000))
    changed = median(lambda: mldlc(home, "plan", "experiment=adult", f"optimizer.lr=0.{next(rates):04d}"), rounds)
    row("`plan`, a training key changed", changed, 1.0)
    for nodes, bound in ((20, 0.3), (200, 0.4)):
        project = noops(folder / f"noops{nodes}", nodes)
        made = mldlc(project, "run")
        row(
            f"unchanged `run`, {nodes} no-op nodes",
            median(lambda p=project: mldlc(p, "run"), rounds),
            bound,
            f"first run {made.cpu:.2f} s",
        )  # type: ignore[misc]
    project = noops(folder / "noops1", 1)
    one = median(lambda: _fresh(project, "run"), rounds)
    twenty = median(lambda: _fresh(project, "run", "-m", "noop.value=range(20)"), rounds)
    row("sweep of 20 no-op points", twenty, one.cpu + 20 * 0.02, f"one cold run {one.cpu:.2f} s")
    big = noops(folder / "noops13", 13)
    row(
        "1,000 points x 13 stages, plan and run",
        median(lambda: _fresh(big, "run", "-m", "noop.value=range(1000)"), rounds),
        5.0,
    )
    header = ["what", "CPU s", "wall s", "of a bare compose", "bound, CPU s", "verdict", "note"]
    keep("Command line", f"{table(header, rows)}\n\n{SPEED}")
    shutil.rmtree(folder)


def _fresh(project: Path, *args: str) -> Cost:
    """A run with outputs of its own. Old ones stay: ext4 looks at every inode freed in the last seconds before it makes a
    file, which costs ten times the file (27 -> 430 us measured)."""
    outputs = tempfile.mkdtemp(prefix="outputs", dir=project)
    return run([*MLDLC, *args, f"paths.outputs={outputs}"], project)


if __name__ == "__main__":
    main()

"""Sweeps beside stock Hydra: 20 no-op points, and a sweep of Adult against a Hydra + Lightning script.

Run: python -m tests.bench.sweeps [--quick]. Stock Hydra runs `-m` with its basic launcher and with the joblib launcher,
which is installed into a folder of its own (left out where it cannot be fetched). The script trains every point from
scratch in one process, as Hydra's multirun does. Fresh processes, interleaved; CPU and PSS of the whole process tree.
--quick shows that it runs: few points, one round, no memory, no joblib, nothing kept.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import mldlc.data
from mldlc.config.project import shipped_conf
from tests.bench.cli import noops
from tests.bench.process import MLDLC, Cost, run
from tests.bench.results import keep, table, verdict

SCRIPTS = Path(__file__).with_name("sweep_scripts")
DATA = Path(mldlc.data.__file__).with_name("bundled") / "adult.parquet"
JOBLIB = ("hydra-joblib-launcher==1.2.0", "joblib==1.5.3")
RATES = (0.0003, 0.0006, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012)
WIDTHS = (32, 64, 128, 256)
LEAN = ("~lifecycle.stages.report", "~lifecycle.stages.profile", "~lifecycle.stages.expect", "slices.columns=[]")


def main(quick: bool = False) -> None:
    """Measure both and keep the tables."""
    root = Path(tempfile.mkdtemp())
    try:
        nothing(root / "noop", quick)
        adult(root / "adult", quick)
    finally:
        shutil.rmtree(root)


def nothing(root: Path, quick: bool) -> None:
    """20 points that do nothing: what a point costs beside the work in it."""
    count, rounds = (4, 1) if quick else (20, 5)
    project = noops(root / "mldlc", 1)
    conf = _stock_conf(root, project / "conf")
    joblib = None if quick else _joblib(root)
    env = {"SWEEP_CONF": str(conf)}
    sweep = ("-m", f"noop.value=range({count})")
    script = [sys.executable, str(SCRIPTS / "noop.py"), *sweep]

    def ours() -> Cost:
        outputs = tempfile.mkdtemp(prefix="outputs", dir=project)
        return run([*MLDLC, "run", *sweep, f"paths.outputs={outputs}"], project)

    ways = {"mldlc run -m": ours, "stock Hydra -m, basic": lambda: run(script, root, env=env)}
    if joblib is not None:
        with_joblib = {**env, "PYTHONPATH": str(joblib)}
        ways["stock Hydra -m, joblib"] = lambda: run(
            [*script, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], root, env=with_joblib
        )
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(way())
    base = statistics.median(cost.wall for cost in costs["stock Hydra -m, basic"])
    rows = []
    for name, found in costs.items():
        wall, cpu = (statistics.median(getattr(cost, part) for cost in found) for part in ("wall", "cpu"))
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{wall / base:.2f}"])
    title = f"Sweep of {count} no-op points beside stock Hydra"
    keep(title, table(["way", "wall s", "CPU s", "wall / basic"], rows), write=not quick)


def adult(root: Path, quick: bool) -> None:
    """8 learning rates x 4 widths of an MLP on Adult, against the same points trained by a stock script."""
    rates, widths, epochs = (RATES[:2], WIDTHS[:1], 1) if quick else (RATES, WIDTHS, 3)
    ways = (False,) if quick else (False, True)  # sampling memory costs CPU: that run is not timed
    points = len(rates) * len(widths)
    fixed = ["experiment=adult", "model=mlp", "optimizer=adamw", "callbacks=none", f"trainer.max_epochs={epochs}"]
    fixed += ["prepare.numeric.log1p=none", "model.dropout=0.2"]
    layers = ",".join(f"[{width},{width}]" for width in widths)
    sweep = ["-m", f"model.layers={layers}", f"optimizer.lr={','.join(map(str, rates))}"]
    root.mkdir(parents=True)
    (root / "mldlc.yaml").write_text("name: adult\n")
    conf = _stock_conf(root, None)
    rows = []
    counts = {}
    timed = Cost(0.0, 0.0)
    whole, lean = ("mldlc run -m", ()), ("mldlc run -m, no profile, checks, page", LEAN)
    for name, extra in (lean,) if quick else (whole, lean):
        for memory in ways:
            outputs = tempfile.mkdtemp(prefix="outputs", dir=root)
            command = [*MLDLC, "run", *sweep, *fixed, *extra, f"paths.outputs={outputs}", "--json"]
            cost = run(command, root, memory=memory)
            timed = timed if memory else cost
        counts[name] = _stages(Path(outputs))
        best = _best(cost.out)
        rows.append((name, timed, cost.memory, sum(counts[name].values()), best))
    for memory in ways:
        out = root / f"metrics{memory}.jsonl"
        env = {"SWEEP_CONF": str(conf), "SWEEP_DATA": str(DATA), "SWEEP_OUT": str(out)}
        cost = run([sys.executable, str(SCRIPTS / "adult.py"), *sweep, *fixed], root, memory=memory, env=env)
        timed = timed if memory else cost
    scores = [json.loads(line)["auroc"] for line in out.read_text().splitlines()]
    assert len(scores) == points, "the script did not train every point"
    rows.append(("stock Hydra + Lightning script", timed, cost.memory, 5 * points, max(scores)))
    base = rows[-1][1]
    body = table(
        ["way", "wall s", "CPU s", "wall s a point", "wall / script", "peak PSS MB", "steps", "best test AUC"],
        [
            [n, f"{c.wall:.1f}", f"{c.cpu:.1f}", f"{c.wall / points:.2f}", f"{c.wall / base.wall:.2f}", f"{m / 1e6:.0f}", str(s), f"{b:.4f}"]
            for n, c, m, s, b in rows
        ],
    )  # fmt: skip
    once = {stage: count for stage, count in next(iter(counts.values())).items() if count == 1}
    slower = rows[-2][1].wall / base.wall
    body += f"\n\nRan once for all {points} points: {', '.join(once)}. The script's steps: read, split, prepare, train, test."
    body += f"\nWall a trained point over the script, same work: {slower:.2f}, {verdict(slower, 1.0)} (1.0)."
    keep(f"Sweep of Adult, {points} points, {epochs} epochs", body, write=not quick)


def _stock_conf(root: Path, over: Path | None) -> Path:
    """The shipped configs, with `over` laid over them, as one folder for a stock application."""
    conf = root / "stock"
    shutil.copytree(shipped_conf(), conf)
    if over is not None:
        shutil.copytree(over, conf, dirs_exist_ok=True)
    return conf


def _joblib(root: Path) -> Path | None:
    """The joblib launcher in a folder of its own, None where it cannot be fetched."""
    folder = root / "joblib"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *JOBLIB]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"joblib launcher left out: {done.stderr.strip().splitlines()[-1:]}", flush=True)
    return None if done.returncode else folder


def _stages(outputs: Path) -> dict[str, int]:
    """How many steps of each stage ran."""
    plan = json.loads((outputs / "latest" / "plan.json").read_text())
    counts: dict[str, int] = {}
    for step in plan["steps"]:
        counts[step["stage"]] = counts.get(step["stage"], 0) + 1
    return counts


def _best(out: str) -> float:
    """The best test AUC among the points of a `run -m --json`."""
    summary = json.loads(out.splitlines()[-1])
    return max(float(point["metrics"]["test"]["auroc"]) for point in summary["points"])


if __name__ == "__main__":
    main("--quick" in sys.argv)

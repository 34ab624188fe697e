"""The tabular run, 1M x 30, beside a Lightning script that does the same work, a bare loop, and the stock template.

All variants: read the Parquet file, check it (nulls, labels, finite), split 80/20, standardise and encode categories, train
an MLP 64-32 with Adam 1e-3, batch 1024, one epoch, AUC and accuracy on the 20 %, save. ours and `by_hand` also profile
every column and write a page. Fresh processes, interleaved; wall, CPU of the tree, peak PSS of the tree.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from mldlc.training.spec import train_needs
from tests.bench import tabular_data
from tests.bench.cli import SPEED
from tests.bench.imports import DEFER
from tests.bench.process import MLDLC, Cost, run
from tests.bench.results import keep, table, verdict

ROWS, COLUMNS = 1_000_000, 30
EXPERIMENT = """\
# @package _global_
defaults:
  - override /source: parquet
  - override /split: random
  - override /expect: rules
  - override /model: mlp
  - override /optimizer: adam
  - override /callbacks: none
project: {name: tabular}
source: {path: data.parquet, roles: {label: label}}
split: {fractions: {train: 0.8, val: 0.0, test: 0.2}, duplicates: ignore}
model: {layers: [64, 32], dropout: 0.0, embedding_dim: 8}
optimizer: {lr: 0.001}
trainer: {max_epochs: 1, threads: 2}
ingest: {batch_size: 1024}
evaluate: {parts: [test]}
"""
PRELOAD = train_needs(SimpleNamespace(trainer=SimpleNamespace(accelerator="cpu", threads=2, devices=1))).preload
SCRIPTS = Path(__file__).with_name("tabular_scripts")


def main(quick: bool = False) -> None:
    """Measure and keep the table."""
    rows, rounds = (100_000, 1) if quick else (ROWS, 3)
    root = Path(tempfile.mkdtemp())
    data = tabular_data.write(root / "data.parquet", rows)
    (root / "mldlc.yaml").write_text("name: tabular\nconf: conf\n")
    (root / "conf" / "experiment").mkdir(parents=True)
    (root / "conf" / "experiment" / "tabular.yaml").write_text(EXPERIMENT)
    ours: list[Cost] = []
    peaks: list[Cost] = []
    overhead: list[float] = []
    others: dict[str, list[Cost]] = {name: [] for name in ("by_hand", "bare", "template")}
    for number in range(rounds + 1):  # the last round samples memory, which costs CPU, and is not timed
        sampled = number == rounds
        shutil.rmtree(root / "outputs", ignore_errors=True)
        cost = run([*MLDLC, "run", "experiment=tabular", "--json"], root, memory=sampled)
        (peaks if sampled else ours).append(cost)
        warm_up = run([sys.executable, "-c", f"{DEFER}import {', '.join(PRELOAD)}"], root)
        overhead.append(cost.cpu - _steps_cpu(root) - warm_up.cpu)
        for name, costs in others.items():
            script = [sys.executable, str(SCRIPTS / f"{name}.py"), str(data), str(root / name)]
            (peaks if sampled else costs).append(run(script, root, memory=sampled))
    changed = run([*MLDLC, "run", "experiment=tabular", "optimizer.lr=0.002", "--json"], root)
    again = [run([*MLDLC, "run", "experiment=tabular", "--json"], root) for _ in range(2)][1]
    base, bare = others["by_hand"], others["bare"]
    wall = [a.wall / b.wall for a, b in zip(ours, base, strict=True)]
    memory = [cost.memory / 1e6 for cost in peaks]
    names = ("mldlc run (profile, checks, records, page)", "Lightning script, same work", "bare Polars + torch loop")
    names += ("Lightning + Hydra + DataLoader template",)
    variants = (ours, base, bare, others["template"])
    lines = [_line(name, costs, base, peak) for name, costs, peak in zip(names, variants, memory, strict=True)]
    body = table(["variant", "wall s", "CPU s", "peak PSS MB", "wall / script", "AUC", "accuracy"], lines)
    body += "\n\n" + table(
        ["what", "value", "bound", "verdict"],
        [
            _check("wall over the Lightning script", statistics.median(wall), 1.25),
            _check("PSS over the Lightning script", memory[0] / memory[1], 1.3),
            _check(
                "wall over the bare loop (published)",
                statistics.median(a.wall / b.wall for a, b in zip(ours, bare, strict=True)),
                1.6,
            ),
            _check(
                "engine overhead: CPU s of the run beyond its steps and the training worker's imports",
                statistics.median(overhead[:-1]),
                1.0,
            ),
            _check("nothing changed, warm: CPU s", again.cpu, 0.3),
            ["one training key changed: wall s", f"{changed.wall:.2f}", "", ""],
        ],
    )
    keep(f"Tabular run, {rows:,} x {COLUMNS}, {rounds} rounds", f"{body}\n\n{SPEED}")
    shutil.rmtree(root)


def _steps_cpu(root: Path) -> float:
    summary = json.loads((root / "outputs" / "latest" / "summary.json").read_text())
    return float(sum(step["cpu"] for step in summary["steps"].values()))


def _line(name: str, costs: list[Cost], base: list[Cost], memory: float) -> list[str]:
    ratio = statistics.median(a.wall / b.wall for a, b in zip(costs, base, strict=True))
    last = json.loads(costs[-1].out.splitlines()[-1])
    test = last["metrics"]["test"] if "metrics" in last else last
    return [
        name,
        f"{statistics.median(c.wall for c in costs):.1f}",
        f"{statistics.median(c.cpu for c in costs):.1f}",
        f"{memory:.0f}",
        f"{ratio:.2f}",
        f"{test['auroc']:.4f}",
        f"{test['accuracy']:.4f}",
    ]


def _check(name: str, value: float, bound: float) -> list[str]:
    return [name, f"{value:.2f}", f"{bound:g}", verdict(value, bound)]


if __name__ == "__main__":
    main("--quick" in sys.argv)

"""Composing the points of a sweep, ours against stock Hydra composing each job, in fresh processes; CPU seconds, ratios.

Run: python -m tests.bench.sweep_compose [--quick]. Both sides give resolved plain configs of every point. Hydra's own
sweeper composes each job twice; here it is counted once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from mldlc.config.project import shipped_conf

STOCK = """
import json, sys, time
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
jobs = json.loads(sys.argv[2])
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    compose("config", jobs[0])
    start = time.process_time()
    configs = [OmegaConf.to_container(compose("config", job), resolve=True) for job in jobs]
print(json.dumps([time.process_time() - start, len(str(configs))]))
"""
OURS = """
import json, sys, time
from pathlib import Path
from mldlc.config.compose import Request, compose
from mldlc.config.project import Project
lines = json.loads(sys.argv[2])
project = Project(Path(sys.argv[1]).parent, (sys.argv[1],), (), None, "bench")
compose(project, Request(overrides=("seed=1",)))
start = time.process_time()
points = compose(project, Request(overrides=tuple(lines), multirun=True)).points
print(json.dumps([time.process_time() - start, len(str([point.config for point in points]))]))
"""
RATES = [f"optimizer.lr={n / 1000}" for n in range(1, 26)]
MODELS = ["linear", "mlp", "mlp_adult", "mlp_housing"]
DROPOUTS = [f"model.dropout={n / 10}" for n in range(4)]


def measure(program: str, argument: object) -> tuple[float, int]:
    """CPU seconds of the work alone (imports and a first composition are done before), and the size of the answer."""
    command = [sys.executable, "-c", program, str(shipped_conf()), json.dumps(argument)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    seconds, size = json.loads(done.stdout)
    return seconds, size


def swept(*axes: list[str]) -> list[str]:
    """Axes of `key=value` as the overrides of one sweep."""
    return [f"{axis[0].partition('=')[0]}={','.join(item.partition('=')[2] for item in axis)}" for axis in axes]


def main(quick: bool = False) -> None:
    """Print both sweeps of 100 points."""
    cases = {
        "100 points, values only": (["experiment=adult"], [DROPOUTS, RATES], 15),
        "100 points, 4 options of a group": ([], [[f"model={name}" for name in MODELS], RATES], 8),
    }
    for name, (fixed, axes, bound) in cases.items():
        jobs = [[*fixed, first, second] for first in axes[0] for second in axes[1]]
        some = jobs[:: 10 if quick else 1]
        rounds = 1 if quick else 3
        pairs = [(measure(STOCK, some), measure(OURS, fixed + swept(*axes))) for _ in range(rounds)]
        stock = statistics.median(pair[0][0] for pair in pairs) * len(jobs) / len(some)
        ours = statistics.median(pair[1][0] for pair in pairs)
        if some == jobs:
            assert pairs[0][0][1] == pairs[0][1][1], "the two answers differ in size"
        note = "" if some == jobs else f" (from {len(some)} jobs)"
        word = "holds" if stock / ours >= bound else "missed"
        print(
            f"{name:34} stock Hydra {stock:6.2f} s CPU{note}, mldlc {ours:5.2f}, {stock / ours:.1f}x ({word}: {bound}x)"
        )


if __name__ == "__main__":
    main("--quick" in sys.argv)

"""Cold composition of the shipped configs, ours against bare Hydra, each in a fresh process, interleaved; prints ratios.

Run: python -m tests.bench.compose [rounds] [overrides...]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from mldlc.config.project import shipped_conf

BARE = """
import json, sys, time
start = time.process_time()
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
imported = time.process_time()
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    config = OmegaConf.to_container(compose("config", sys.argv[2:]), resolve=True)
print(json.dumps([time.process_time() - start, time.process_time() - imported, len(str(config))]))
"""
OURS = """
import json, sys, time
start = time.process_time()
from pathlib import Path
from mldlc.config.compose import Request, compose
from mldlc.config.project import Project
import mldlc.config.seam
imported = time.process_time()
project = Project(Path(sys.argv[1]).parent, (sys.argv[1],), (), None, "bench")
config = compose(project, Request(overrides=tuple(sys.argv[2:]))).points[0].config
print(json.dumps([time.process_time() - start, time.process_time() - imported, len(str(config))]))
"""
SWEEP = """
import json, sys, time
from pathlib import Path
from mldlc.config.compose import Request, compose
from mldlc.config.project import Project
project = Project(Path(sys.argv[1]).parent, (sys.argv[1],), (), None, "bench")
times = []
for count in (10, 1010):
    start = time.process_time()
    compose(project, Request(overrides=(f"seed=range({count})", *sys.argv[2:]), multirun=True))
    times.append(time.process_time() - start)
print(json.dumps([(times[1] - times[0]) / 1000]))
"""


def measure(program: str, overrides: list[str]) -> list[float]:
    """CPU seconds of one fresh process: [with imports, composition only, size of the answer]."""
    command = [sys.executable, "-c", program, str(shipped_conf()), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found: list[float] = json.loads(done.stdout)
    return found


def main(rounds: int = 5, overrides: list[str] | None = None) -> None:
    """Print medians and the ratio of ours to bare Hydra."""
    overrides = overrides or []
    pairs = [(measure(BARE, overrides), measure(OURS, overrides)) for _ in range(rounds)]
    assert all(bare[2] == ours[2] for bare, ours in pairs), "the two answers differ in size"
    for index, name in enumerate(("imports and composition", "composition only")):
        bare = statistics.median(pair[0][index] for pair in pairs)
        ours = statistics.median(pair[1][index] for pair in pairs)
        print(f"{name:25} bare Hydra {bare:.3f} s CPU, mldlc {ours:.3f} s CPU, ratio {ours / bare:.2f}")
    point = statistics.median(measure(SWEEP, overrides)[0] for _ in range(3))
    print(f"{'one more point of a sweep':25} {point * 1000:.2f} ms CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])

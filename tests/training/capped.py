"""Trains in a process whose memory is capped: `python -m tests.training.capped FOLDER KIND MEGABYTES`.

A small training first brings in all that is imported and all threads; the cap is what the process has then, and so many
megabytes. RLIMIT_DATA counts private writable memory, so files that are mapped read-only are free, as on a real machine.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

from mldlc.training.spec import TRAIN
from tests.step_harness import artifact, run_step
from tests.training import tables

STREAM = {"kind": "streaming", "hold": "disk", "lanes": 4, "block_rows": 2048, "buffer_rows": 16384, "workers": 1}


def data_bytes() -> int:
    """What counts against RLIMIT_DATA now."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024


def main(folder: Path, kind: str, megabytes: int) -> None:
    ingest: dict[str, Any] = STREAM if kind == "streaming" else {"kind": "in_core"}
    trainer = {"max_epochs": 1, "log_every_n_steps": 50}
    config = tables.config(trainer=trainer) | {"ingest": {**ingest, "batch_size": 4096, "eval_batch_size": 4096}}
    for name in ("small", "large"):
        inputs = {port: artifact(port.capitalize(), folder / name / port) for port in ("table", "split")}
        if name == "large":
            limit = data_bytes() + megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        run = run_step(TRAIN, config, inputs, folder / f"{kind}-{name}", threads=1)
    print(f"{run.summary['steps']} steps, {run.summary['held']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

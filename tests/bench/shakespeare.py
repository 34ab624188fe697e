"""Shakespeare within ten minutes on two cores: `python -m tests.bench.shakespeare [OVERRIDE ...]` keeps the table."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from mldlc.loop.stale import load_plan
from tests.bench.results import keep, table
from tests.bench.streams import document, run

TITLE = "Shakespeare in ten minutes on two cores"
COMMAND = ("experiment=shakespeare",)
LIMIT = 1200.0  # CPU seconds: ten minutes of two cores


def measured(outputs: Path, *more: str) -> str:
    """Run the experiment; its losses beside the CPU seconds that they took, which the load of the machine spares."""
    began = time.monotonic()
    steps = run(outputs, *COMMAND, *more)
    wall = time.monotonic() - began
    found = document(outputs, steps["evaluate"]["digests"]["metrics"], "metrics.json")["parts"]
    card = document(outputs, steps["train"]["digests"]["model"], "model.json")
    cpu = {name: step["cpu"] for name, step in steps.items()}
    plan = load_plan(outputs / "latest" / "plan.json")
    batch = plan.blobs[plan.points[0].config]["ingest"]["batch_size"]
    tokens = steps["train"]["summary"]["steps"] * batch * card["args"]["context"]
    rows = [
        ["nats a character, test (nothing was chosen on it)", f"{found['test']['nats_per_character']:.4f}"],
        ["nats a character, val", f"{found['val']['nats_per_character']:.4f}"],
        ["what nanoGPT quotes for its three minutes on a CPU", "1.88"],
        ["CPU seconds of the training", f"{cpu['train']:.0f}"],
        ["CPU seconds of all stages", f"{sum(cpu.values()):.0f} of {LIMIT:.0f}"],
        ["wall", f"{wall:.0f} s"],
        ["parameters", f"{card['parameters']:,}"],
        ["tokens trained on", f"{tokens:,}"],
        ["tokens a CPU second", f"{tokens / cpu['train']:,.0f}"],
    ]
    return f"`mldlc run {' '.join((*COMMAND, *more))}`\n\n" + table(["what", "found"], rows)


def main() -> None:
    """Run it and keep the table."""
    with tempfile.TemporaryDirectory() as folder:
        keep(TITLE, measured(Path(folder), *sys.argv[1:]))


if __name__ == "__main__":
    main()

"""The electricity stream: online, monthly and frozen, beside River on the same rows.

Run it with `python -m tests.bench.streams PYTHON [OUTPUTS]`: an interpreter with River, and where runs are kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.data.config.source import BUNDLED
from mldlc.store.layout import existing_store
from mldlc.store.objects import tree_files
from tests.bench.results import keep, table

TITLE = "Updating along the electricity stream, beside River"
RIVER = Path(__file__).with_name("stream_scripts") / "river_stream.py"
LEARNT = 0.15  # the share of the rows before the stream: train and val


def run(outputs: Path, *words: str) -> dict[str, Any]:
    """`mldlc run`: step -> {digests, cpu, ...}."""
    command = [sys.executable, "-m", "mldlc", "run", *words, f"paths.outputs={outputs}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    last = max((outputs / "runs").glob("2*"), key=lambda path: path.name)
    return dict(json.loads((last / "summary.json").read_text())["steps"])


def document(outputs: Path, digest: str, name: str) -> dict[str, Any]:
    """A JSON file of an artifact."""
    store = existing_store(outputs)
    assert store is not None
    return dict(json.loads(tree_files(store, digest)[name].read_text()))


def river(python: str, folder: Path) -> dict[str, Any]:
    """What River's learners score on the same rows."""
    frame = pl.read_parquet(BUNDLED / "elec.parquet")
    label = (pl.col("class") == "UP").cast(pl.Int8).alias("label")
    frame.select(pl.exclude("row", "class"), label).write_csv(folder / "rows.csv")
    command = [python, str(RIVER), str(folder / "rows.csv"), str(round(LEARNT * frame.height))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Run everything and keep the table."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder) / "outputs"
        steps = run(outputs, "experiment=elec_online")
        rows = []
        for stage, name in (("update", "online, row by row"), ("periodic", "batch, every 1,440 rows")):
            found = document(outputs, steps[stage]["digests"]["metrics"], "metrics.json")
            events = [event["what"] for event in found["updates"]["events"]]
            counted = ", ".join(f"{events.count(what)} {what}s" for what in dict.fromkeys(events))
            score = found["parts"]["stream"]
            rows.append([name, f"{score['accuracy']:.4f}", f"{score['log_loss']:.3f}", counted])
        frozen = found["parts"]["frozen"]
        rows.append(["frozen", f"{frozen['accuracy']:.4f}", f"{frozen['log_loss']:.3f}", ""])
        told = f"`mldlc run experiment=elec_online`: {found['parts']['stream']['n']:,} half hours, each told before it is learnt"
        for name, item in river(sys.argv[1], Path(folder)).items():
            rows.append([name, f"{item['accuracy']:.4f}", "", f"{item['cpu']:.0f} s of CPU"])
    keep(TITLE, f"{told}.\n\n" + table(["learner", "prequential accuracy", "log loss", "note"], rows))


if __name__ == "__main__":
    main()

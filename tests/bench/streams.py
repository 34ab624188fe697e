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


def told(outputs: Path, steps: dict[str, Any], peers: dict[str, Any]) -> str:
    """The table of a run beside its peers."""
    rows, parts = [], {}
    for stage, name in (("update", "online, row by row"), ("periodic", "batch, every 1,440 rows")):
        found = document(outputs, steps[stage]["digests"]["metrics"], "metrics.json")
        events, parts = [event["what"] for event in found["updates"]["events"]], found["parts"]
        counted = ", ".join(f"{events.count(what)} {what}s" for what in dict.fromkeys(events))
        rows.append([name, *_scores(parts["stream"]), f"{steps[stage]['cpu']:.0f} s of CPU, {counted}"])
    rows.append(["frozen", *_scores(parts["frozen"]), ""])
    rows += [[name, f"{item['accuracy']:.4f}", "", f"{item['cpu']:.0f} s of CPU"] for name, item in peers.items()]
    count = parts["stream"]["n"]
    head = f"`mldlc run experiment=elec_online`: {count:,} half hours, each told before it is learnt, after 15 % that come before."
    return f"{head}\n\n" + table(["learner", "prequential accuracy", "log loss", "note"], rows)


def _scores(part: dict[str, float]) -> list[str]:
    return [f"{part['accuracy']:.4f}", f"{part['log_loss']:.3f}"]


def main() -> None:
    """Run everything and keep the table."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder) / "outputs"
        keep(TITLE, told(outputs, run(outputs, "experiment=elec_online"), river(sys.argv[1], Path(folder))))


if __name__ == "__main__":
    main()

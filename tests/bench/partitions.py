"""A data set of 120 files, 3 of them changed: CPU seconds of the run against the same run in a fresh store.

The same number of rows in one file stands beside it: what keeping a record a partition costs.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from tests.bench.process import MLDLC, run

PARTITIONS, CHANGED, ROWS, FEATURES, ROUNDS = 120, 3, 20_000, 20, 3
STAGES = ("collect", "clean", "split", "profile", "prepare")


def write(path: Path, seed: int, rows: int) -> None:
    """Float features, a text column with spaces around its values, an integer label; equal seeds give equal bytes."""
    rng = np.random.default_rng(seed)
    columns = {f"x{number}": rng.standard_normal(rows, dtype=np.float32) for number in range(FEATURES)}
    texts = pl.Series([f" level {number}" for number in range(10)]).gather(rng.integers(0, 10, rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({**columns, "kind": texts, "y": rng.integers(0, 2, rows)}).write_parquet(path)


def project(root: Path) -> Path:
    """A project of the five data stages over data/*.parquet."""
    conf = root / "conf"
    (conf / "lifecycle").mkdir(parents=True)
    (root / "mldlc.yaml").write_text("name: partitions\nconf: conf\n")
    groups = "{source: parquet}, {clean: rules}, {split: random}, {profile: whylogs}, {prepare: tabular}"
    (conf / "config.yaml").write_text(
        f"defaults: [_self_, {{paths: default}}, {{executor: local}}, {{project: default}}, {{lifecycle: five}}, {groups}]\n"
    )
    (conf / "lifecycle" / "five.yaml").write_text(
        "stages:\n  collect: {kind: data.collect}\n  clean: {kind: data.clean, inputs: {table: collect.table}}\n"
        "  split: {kind: data.split, inputs: {table: clean.table}}\n"
        "  profile: {kind: profile.profile, inputs: {table: clean.table, split: split}}\n"
        "  prepare: {kind: data.prepare, inputs: {table: clean.table, split: split}}\n"
    )
    return root


def measure(root: Path, outputs: str) -> dict[str, float]:
    """One run: CPU seconds of each stage as its record tells them, and "all stages": their sum."""
    source = ["source.path=data/*.parquet", "++source.roles={y: label}", f"paths.outputs={outputs}"]
    run([*MLDLC, "run", *source], root)
    journal = max((root / outputs / "runs").glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    stages = {e["step"]: e["data"]["cpu"] for e in events if e["type"] == "step_finished"}
    return stages | {"all stages": sum(stages.values())}


def main(quick: bool = False) -> None:
    """Print the table."""
    partitions, rows = (24, 2_000) if quick else (PARTITIONS, ROWS)
    folder = Path(tempfile.mkdtemp())
    root, alone = project(folder / "many"), project(folder / "one")
    for number in range(partitions):
        write(root / "data" / f"p{number:03d}.parquet", number, rows)
    write(alone / "data" / "all.parquet", 0, partitions * rows)
    measure(root, "kept")
    runs: list[tuple[dict[str, float], ...]] = []
    for turn in range(1, ROUNDS + 1):
        for number in range(CHANGED):
            write(root / "data" / f"p{number * 7 + turn:03d}.parquet", 1000 * turn + number, rows)
        runs.append((measure(root, "kept"), measure(root, f"fresh{turn}"), measure(alone, f"fresh{turn}")))
    print(f"{partitions} files of {rows} rows x {FEATURES + 2}, {CHANGED} changed; CPU seconds, medians of {ROUNDS}\n")
    print("| stage | changed | fresh store | ratio | one file, fresh store |")
    print("| --- | --- | --- | --- | --- |")
    for stage in (*STAGES, "all stages"):
        changed, fresh, one = (statistics.median(cells[way].get(stage, 0.0) for cells in runs) for way in range(3))
        print(f"| {stage} | {changed:.2f} | {fresh:.2f} | {changed / fresh:.2f} | {one:.2f} |")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main("--quick" in sys.argv)

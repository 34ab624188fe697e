"""Measures how long collect takes to name a faulty value of a CSV of 1M x 30, beside a plain Polars read of the file.

Run it as `python -m tests.bench.csv_errors [rows]`. The fault is five rows before the end. Ways are interleaved; medians
of 3 of wall and CPU, and of their ratios to the plain read of the same round.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from mldlc.data import csv_scan
from mldlc.plan.context import StepError

ROUNDS, COLUMNS = 3, 30
CASES = ("wrong value", "wrong value, quoted texts", "wrong width", "no fault, nulls in the last column")


def write(path: Path, rows: int, case: str) -> dict[str, str]:
    """27 floats, an integer, a text, a float at the end; gives the types of the columns."""
    rng = np.random.default_rng(0)
    data = {f"x{number}": rng.standard_normal(rows).round(6) for number in range(COLUMNS - 3)}
    words = pl.Series(["a, b", 'so "called"', "two\nlines", "plain"] if "quoted" in case else ["a", "b", "c", "d"])
    last = pl.Series(rng.standard_normal(rows).round(6))
    if "nulls" in case:
        last = pl.select(pl.when(pl.Series(rng.random(rows) > 0.01)).then(last)).to_series()
    frame = pl.DataFrame({**data, "n": np.arange(rows), "kind": words.gather(rng.integers(0, 4, rows)), "last": last})
    types = {name: {pl.String(): "string", pl.Int64(): "int64"}.get(t, "float64") for name, t in frame.schema.items()}
    texts = frame.with_columns(pl.col("n").cast(pl.String))
    if "value" in case:
        texts[rows - 5, "n"] = "12O"
    texts.write_csv(path, quote_style="non_numeric" if "quoted" in case else "necessary")
    if "width" in case:
        lines = path.read_bytes().splitlines(keepends=True)
        lines[-5] = lines[-5].rstrip() + b",1\n"
        path.write_bytes(b"".join(lines))
    return types


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall and of CPU of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(folder: Path, rows: int, case: str) -> str:
    """One line of the table."""
    path = folder / "data.csv"
    types = write(path, rows, case)
    declared = {name: SimpleNamespace(dtype=t, null_values=[], format=None) for name, t in types.items()}
    source = SimpleNamespace(
        separator=",", quote='"', comment=None, encoding="utf-8", has_header=True, null_values=[], columns=declared,
        extra="error",
    )  # fmt: skip
    schema: dict[str, Any] = {n: pl.Float64 if t == "float64" else pl.String for n, t in types.items()}
    said: list[str] = []

    def ours() -> None:
        try:
            csv_scan.read(path, source, declared, folder / "out.arrow", folder)
        except StepError as error:
            said.append(error.message)

    def plain() -> None:
        pl.read_csv(path, schema=schema, truncate_ragged_lines=True)

    found = [(cost(ours), cost(plain)) for _ in range(ROUNDS + 1)][1:]
    (wall, cpu), (plain_wall, plain_cpu) = (
        [statistics.median(v) for v in zip(*way, strict=True)] for way in zip(*found, strict=True)
    )
    ratios = [statistics.median(a[kind] / b[kind] for a, b in found) for kind in (0, 1)]
    return (
        f"{case:<36} {wall:6.2f} s wall {cpu:6.2f} s CPU, plain read {plain_wall:5.2f} s {plain_cpu:5.2f} s, "
        f"ratio {ratios[0]:5.1f} wall {ratios[1]:5.1f} CPU: {said[-1] if said else 'read'}"
    )


def main() -> None:
    """Print a line a case."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for case in CASES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            print(measure(Path(folder), rows, case), flush=True)


if __name__ == "__main__":
    main()

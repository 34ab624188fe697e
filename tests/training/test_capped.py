"""A table four times as large as an enforced cap on memory: streaming trains on it, in core it cannot be held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.thorough import thoroughly
from tests.training import tables

CAP = 40  # megabytes over what the process has after a small training
ROWS = 4 * CAP * 2**20 // (28 * 4 + 2 * 4 + 4) + 1


def _table(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    numeric = rng.standard_normal((rows, 28), np.float32)
    label = (numeric[:, 0] > 0).astype(np.int32)
    info = {"kind": "class", "classes": ["a", "b"]}
    tables.prepared(
        folder, numeric, rng.integers(0, 10, (rows, 2)), label, info, cardinalities=[10, 10], shares=(0.9, 0.05)
    )


@pytest.mark.slow
@thoroughly
def test_a_table_of_four_caps_trains_within_the_cap(tmp_path: Path) -> None:
    _table(tmp_path / "small", 5000)
    _table(tmp_path / "large", ROWS)
    assert (tmp_path / "large/table/part-00000.arrow").stat().st_size >= 4 * CAP * 2**20

    def run(kind: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.training.capped", str(tmp_path), kind, str(CAP)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run("streaming")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("steps, on disk (ingest.hold=disk)")
    refused = run("in_core")
    assert refused.returncode != 0 and ("annot allocate memory" in refused.stderr or "MemoryError" in refused.stderr)

"""Where tests find the real data files; a test that needs an absent one is skipped with the reason printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MLDLC_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared(name: str) -> Path:
    """Path of a raw data file, e.g. `shared("adult.data")`; skips the calling test when it is not there."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"real data file {name} is not at hand (set MLDLC_TEST_DATA to its folder)")
    return path

"""Fixtures of the engine's tests: a copy of the kit as a user's project, and an outputs folder to run in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.plans import Builder, Watch, copy_kit


@pytest.fixture
def built(tmp_path: Path) -> Builder:
    """A builder over a fresh copy of the kit."""
    return Builder(copy_kit(tmp_path))


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Runs plans in an outputs folder of this test."""
    return Watch(tmp_path / "outputs")

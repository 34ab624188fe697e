"""An empty store in the test's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.store.layout import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "outputs")

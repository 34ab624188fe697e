"""Embedded versions in the test's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.store.versions.embedded import EmbeddedVersions
from tests.store.versions.making import versions_in


@pytest.fixture
def versions(tmp_path: Path) -> EmbeddedVersions:
    return versions_in(tmp_path)

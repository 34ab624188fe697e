"""What holds for every test: slow property draws are no failure on a loaded machine; the longest files begin first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from mldlc import deferred

deferred.install()  # as in every worker
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# A file runs on one process: the last one to begin should be short, and xdist looks at the number of tests alone.
LONG = ("e2e", "crash", "plugins", "loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in LONG)

"""The double and the adapter on it, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mldlc.plan.versions import Commit
from mldlc.store.lakefs.draft import LakeFSDraft
from mldlc.store.lakefs.versions import LakeFSVersions
from tests.lakefs_double.repository import Repository
from tests.lakefs_double.running import NAME, running
from tests.lakefs_double.server import Double


class Lake(NamedTuple):
    """A server and the adapter on its one repository."""

    double: Double
    versions: LakeFSVersions

    @property
    def state(self) -> Repository:
        """What the server keeps."""
        return self.double.repository(NAME)

    def drafted(self, run: str, files: dict[str, bytes], metadata: dict[str, str] | None = None) -> LakeFSDraft:
        """A draft with these files committed."""
        draft = self.versions.draft("main", run=run)
        for name, data in files.items():
            draft.path(name).write_bytes(data)
        draft.commit(f"commit of {run}", metadata or {})
        return draft

    def published(self, run: str, files: dict[str, bytes]) -> Commit:
        """These files on main."""
        return self.drafted(run, files).publish("main")

    def history(self) -> list[str]:
        """The messages of main by first parent, newest first, without the first commit."""
        return [commit.message for commit in self.versions.log("main", first_parent=True)][:-1]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with running(tmp_path) as (double, versions):
        yield Lake(double, versions)

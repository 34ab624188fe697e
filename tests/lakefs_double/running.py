"""The double and an adapter that talks to it, for the length of a test; at its end nothing may have broken the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mldlc.store.lakefs.administration import create_repository
from mldlc.store.lakefs.client import Client
from mldlc.store.lakefs.credentials import Credentials
from mldlc.store.lakefs.versions import LakeFSVersions
from tests.lakefs_double.server import ACCESS_KEY, SECRET_KEY, Double

NAME = "lake"


def client_of(double: Double, **fields: Any) -> Client:
    """A client that waits in no retry."""
    fields.setdefault("sleep", lambda seconds: None)
    return Client(Credentials(double.endpoint, ACCESS_KEY, SECRET_KEY, "the test"), **fields)


@contextmanager
def running(folder: Path, *, presign: bool = True, page: int = 1000) -> Iterator[tuple[Double, LakeFSVersions]]:
    """A server with one empty repository. page: rows in one page at most."""
    with Double(folder / "server", presign=presign) as double:
        double.operations.page = page
        repository = create_repository(client_of(double), NAME, "local://lake")
        yield double, LakeFSVersions(repository, work=folder)
        assert double.violations == []
        assert double.faults.left() == []

"""The contract of version stores, held against each: the embedded one, lakeFS over the wire, a real server if given."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mldlc.plan.versions import Versions
from mldlc.store.lakefs.administration import create_repository
from mldlc.store.lakefs.client import Client
from mldlc.store.lakefs.credentials import find_credentials
from mldlc.store.lakefs.versions import LakeFSVersions
from tests.lakefs_double.running import running
from tests.store.versions.contract.drafts import DraftContract
from tests.store.versions.contract.history import HistoryContract
from tests.store.versions.contract.merging import MergingContract
from tests.store.versions.contract.reading import ReadingContract
from tests.store.versions.contract.refs import RefsContract
from tests.store.versions.making import versions_in

ENDPOINT = "MLDLC_LAKEFS_ENDPOINT"
NAMESPACE = "MLDLC_LAKEFS_NAMESPACE"  # storage for new repositories, by default local://


class Contract(RefsContract, ReadingContract, HistoryContract, MergingContract, DraftContract):
    """All of it."""


class TestEmbedded(Contract):
    """The store in a folder."""

    @pytest.fixture
    def versions(self, tmp_path: Path) -> Versions:
        return versions_in(tmp_path)


class TestLakeFSDouble(Contract):
    """The adapter over HTTP against the double; every request and answer is held against lakeFS's OpenAPI document."""

    @pytest.fixture(params=["pages of 1000, presigned", "pages of 7, through the server"])
    def versions(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Versions]:
        small = request.param.startswith("pages of 7")
        with running(tmp_path, presign=not small, page=7 if small else 1000) as (_, versions):
            yield versions


@pytest.mark.skipif(ENDPOINT not in os.environ, reason=f"{ENDPOINT} names no lakeFS server to try the adapter on")
class TestLakeFSServer(Contract):
    """The adapter against a real server, in a repository of its own for each test, which is removed."""

    @pytest.fixture
    def versions(self, tmp_path: Path) -> Iterator[Versions]:
        client = Client(find_credentials())
        name = f"mldlc-contract-{uuid.uuid4().hex[:12]}"
        namespace = f"{os.environ.get(NAMESPACE, 'local:/')}/{name}"
        repository = create_repository(client, name, namespace)
        yield LakeFSVersions(repository, work=tmp_path)
        client.call("DELETE", repository.root, {"force": True})

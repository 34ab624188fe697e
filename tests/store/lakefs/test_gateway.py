"""Polars reads through the S3 gateway: signed, at a commit, only the bytes that it needs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mldlc.store.lakefs.credentials import Credentials
from mldlc.store.lakefs.reading import gateway_options
from tests.store.lakefs.conftest import Lake

ROWS, PARTS = 200_000, 3


@pytest.fixture
def table(lake: Lake, tmp_path: Path) -> int:
    """A table of several files and eleven columns on main; its size in bytes."""
    draft = lake.versions.draft("main", run="table")
    files = {}
    for part in range(PARTS):
        columns = {f"c{number}": pl.Series(range(ROWS)).shuffle(seed=number) for number in range(10)}
        path = tmp_path / f"{part}.parquet"
        pl.DataFrame({"day": [part] * ROWS, **columns}).write_parquet(path, row_group_size=100_000)
        files[f"t/day={part}/part 0+é.parquet"] = path
    draft.put_many(files)
    draft.commit("", {})
    draft.publish("main", tag="v1")
    return sum(path.stat().st_size for path in files.values())


def test_a_column_costs_a_column(lake: Lake, table: int) -> None:
    source = lake.versions.source("v1", "t/**/*.parquet")
    assert all(path.startswith(f"s3://lake/{lake.versions.resolve('v1')}/t/day=") for path in source.paths)
    lake.published("later", {"t/day=0/part 0+é.parquet": b"not parquet any more"})
    api = len([request for request in lake.double.requests if request.operation != "gateway"])
    scan = pl.scan_parquet(list(source.paths), storage_options=dict(source.storage_options), glob=False)
    found = scan.filter(pl.col("day") == 1).select(pl.col("c3").sum()).collect().item()
    assert found == ROWS * (ROWS - 1) // 2
    gateway = [request for request in lake.double.requests if request.operation == "gateway"]
    read = sum(request.sent for request in gateway)
    assert 0 < read < 0.25 * table, f"{read} of {table} bytes"
    assert {request.status for request in gateway} <= {200, 206}
    assert PARTS < len(gateway) < 60, len(gateway)
    assert len([request for request in lake.double.requests if request.operation != "gateway"]) == api
    print(f"gateway: {len(gateway)} requests, {read} of {table} bytes")


def test_wrong_keys_are_refused_by_the_gateway(lake: Lake, table: int) -> None:
    source = lake.versions.source("v1", "t/**/*.parquet")
    options = {**source.storage_options, "aws_secret_access_key": "wrong"}
    with pytest.raises((OSError, pl.exceptions.ComputeError)):
        pl.scan_parquet(list(source.paths), storage_options=options, glob=False).collect()
    assert {request.status for request in lake.double.requests if request.operation == "gateway"} == {403}


def test_plain_http_is_allowed_only_where_it_is_meant() -> None:
    plain = gateway_options(Credentials("http://localhost:8000", "key", "secret"))
    assert plain["aws_allow_http"] == "true"
    assert "aws_allow_http" not in gateway_options(Credentials("https://lakefs.example.com", "key", "secret"))
    assert all(isinstance(value, str) for value in plain.values())

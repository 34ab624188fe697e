"""The description that the double holds everything against: lakeFS's own, and it finds what it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.lakefs_double.extract import NOTICE, OPERATIONS, TARGET, extract
from tests.lakefs_double.spec import API, Operation, Spec, load_spec
from tests.shared_data import ROOT

SWAGGER = ROOT.parent / "lakefs" / "swagger.yml"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec()


def test_it_is_cut_out_of_lakefs_own_document() -> None:
    if not SWAGGER.exists():
        pytest.skip("lakeFS's swagger.yml is not at hand (../lakefs/ beside the folder of MLDLC_TEST_DATA)")
    assert json.loads(TARGET.read_text("utf-8")) == extract(SWAGGER)


def test_it_says_where_it_is_from_and_has_what_is_served(spec: Spec) -> None:
    document = json.loads(TARGET.read_text("utf-8"))
    assert document["x-notice"] == NOTICE and "Apache License 2.0" in NOTICE
    assert {operation.id for operation in spec.operations} == OPERATIONS


def test_extraction_keeps_what_is_referred_to(tmp_path: Path) -> None:
    document = {
        "openapi": "3.0.0",
        "info": {},
        "paths": {
            "/config": {"get": {"operationId": "getConfig", "responses": {200: {"$ref": "#/components/responses/A"}}}},
            "/other": {"get": {"operationId": "other", "responses": {200: {"$ref": "#/components/responses/C"}}}},
        },
        "components": {"responses": {"A": {"x": {"$ref": "#/components/schemas/B"}}, "C": {}}, "schemas": {"B": {}}},
    }
    path = tmp_path / "swagger.yml"
    path.write_text(yaml.safe_dump(document))
    found = extract(path)
    assert list(found["paths"]) == ["/config"]
    assert found["components"] == {"responses": {"A": {"x": {"$ref": "#/components/schemas/B"}}}, "schemas": {"B": {}}}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/repositories/r/nothing"), ("PATCH", "/config"), ("GET", "/repositories/r/refs/a/b/c")],
)
def test_an_unknown_path_or_method_is_no_operation(spec: Spec, method: str, path: str) -> None:
    assert spec.find(method, API + path) is None


def test_a_path_is_decoded_after_it_is_taken_apart(spec: Spec) -> None:
    found = spec.find("GET", f"{API}/repositories/r/refs/a%2Fb/objects/ls")
    assert found is not None and found[1] == {"repository": "r", "ref": "a/b"}


def _operation(spec: Spec, id: str) -> Operation:
    return next(operation for operation in spec.operations if operation.id == id)


@pytest.mark.parametrize(
    ("id", "query", "trouble"),
    [
        ("listObjects", "amount=1001", "1001"),
        ("listObjects", "amount=many", "many"),
        ("listObjects", "limit=true", "unknown query parameter limit"),
        ("listObjects", "presign=yes", "yes"),
        ("diffRefs", "type=four_dot", "four_dot"),
        ("statObject", "", "path is missing"),
        ("getPhysicalAddress", "path=&presign=true", "path is empty"),
    ],
)
def test_wrong_queries_are_found(spec: Spec, id: str, query: str, trouble: str) -> None:
    _, wrong = spec.query(_operation(spec, id), query)
    assert len(wrong) == 1 and trouble in wrong[0]


def test_right_queries_are_typed_and_filled(spec: Spec) -> None:
    values, wrong = spec.query(_operation(spec, "logCommits"), "prefixes=a%2F&prefixes=b&first_parent=true")
    assert wrong == []
    assert values == {"prefixes": ["a/", "b"], "first_parent": True, "amount": 100}
    values, wrong = spec.query(_operation(spec, "listObjects"), "prefix=&after=x")
    assert wrong == [] and values["user_metadata"] is True


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("id", "headers", "body", "trouble"),
    [
        ("commit", JSON, b'{"message": "m", "metadata": {"n": 1}}', "1 is not of type 'string'"),
        ("commit", JSON, b'{"metadata": {}}', "'message' is a required property"),
        ("commit", JSON, b'{"message": "m", "expected_head": "x"}', "expected_head"),
        ("commit", JSON, b"{", "not JSON"),
        ("commit", JSON, b"", "needs a body"),
        ("commit", {"content-type": "text/plain"}, b"{}", "text/plain"),
        ("getCommit", {}, b"{}", "takes no body"),
        ("getCommit", {"x-lakefs-meta-a": "b"}, b"", "unknown header"),
        ("getObject", {"range": "pages=1-2"}, b"", "Range"),
        ("createRepository", JSON, b'{"name": "A", "storage_namespace": "local://x"}', "does not match"),
    ],
)
def test_wrong_requests_are_found(spec: Spec, id: str, headers: dict[str, str], body: bytes, trouble: str) -> None:
    wrong = spec.request(_operation(spec, id), headers, body)
    assert len(wrong) == 1 and trouble.lower() in wrong[0].lower()


@pytest.mark.parametrize(
    ("id", "status", "media", "body", "trouble"),
    [
        ("getTag", 200, "application/json", b'{"id": "v1"}', "commit_id"),
        ("getTag", 200, "application/json", b'{"id": "v1", "commit_id": "c", "more": 1}', "more"),
        ("getTag", 202, "application/json", b"{}", "no answer 202"),
        ("createBranch", 201, "application/json", b'"id"', "text/html"),
        ("deleteTag", 204, "application/json", b"{}", "has no body"),
    ],
)
def test_wrong_answers_are_found(spec: Spec, id: str, status: int, media: str, body: bytes, trouble: str) -> None:
    wrong = spec.response(_operation(spec, id), status, media, body)
    assert len(wrong) == 1 and trouble in wrong[0]
    assert spec.response(_operation(spec, id), 500, "application/json", b'{"message": "m"}') == []

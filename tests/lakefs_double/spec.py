"""Holds every request and answer against lakeFS's OpenAPI document; what it does not name is a violation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from jsonschema import Draft202012Validator

API = "/api/v1"
TRANSPORT = frozenset({"host", "accept", "accept-encoding", "user-agent", "authorization", "connection"}) | {
    "content-length",
    "content-type",
}
# The document leaves it out (x-validation-exclude-body); lakeFS's own clients send user metadata of an upload so.
UPLOAD_METADATA = "x-lakefs-meta-"


@dataclass(frozen=True)
class Operation:
    """One method of one path. parameters: (where, name) -> its description, of the path and the method together."""

    id: str
    method: str
    pattern: re.Pattern[str]
    parameters: dict[tuple[str, str], Any]
    body: Any
    responses: dict[str, Any]

    def arguments(self, path: str) -> dict[str, str] | None:
        """The path's parameters, decoded; None when it is another path."""
        found = self.pattern.fullmatch(path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


class Spec:
    """The document, ready to check with."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = _strict(document["components"])
        self._raw = document["components"]
        self.operations = [
            self._operation(path, method, item)
            for path, item in document["paths"].items()
            for method in item
            if method != "parameters"
        ]
        self._validator = cache(self._make_validator)

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a request, `path` without the query, and its path's parameters."""
        for operation in self.operations:
            if operation.method == method and (arguments := operation.arguments(path)) is not None:
                return operation, arguments
        return None

    def query(self, operation: Operation, text: str) -> tuple[dict[str, Any], list[str]]:
        """The query's values in their types, and what is wrong with it."""
        values: dict[str, Any] = {}
        wrong = []
        for name, items in parse_qs(text, keep_blank_values=True, strict_parsing=bool(text)).items():
            parameter = operation.parameters.get(("query", name))
            if parameter is None:
                wrong.append(f"{operation.id}: unknown query parameter {name}={items}")
                continue
            schema = self._resolve(parameter["schema"])
            value = items if schema["type"] == "array" else _typed(items[-1], schema["type"])
            if value == "" and not parameter.get("allowEmptyValue"):
                wrong.append(f"{operation.id}: query parameter {name} is empty")
            wrong += self._check(f"{operation.id}: query parameter {name}", schema, value)
            values[name] = value
        for (where, name), parameter in operation.parameters.items():
            if where == "query" and name not in values:
                if parameter.get("required"):
                    wrong.append(f"{operation.id}: query parameter {name} is missing")
                elif "default" in self._resolve(parameter["schema"]):
                    values[name] = self._resolve(parameter["schema"])["default"]
        return values, wrong

    def request(self, operation: Operation, headers: dict[str, str], body: bytes | None) -> list[str]:
        """What is wrong with headers (names in small letters) and body (None: a stream that was not read)."""
        wrong = []
        for name in headers.keys() - TRANSPORT:
            if operation.id == "uploadObject" and name.startswith(UPLOAD_METADATA):
                continue
            known = {key.lower(): value for (where, key), value in operation.parameters.items() if where == "header"}
            if name not in known:
                wrong.append(f"{operation.id}: unknown header {name}")
            else:
                wrong += self._check(f"{operation.id}: header {name}", known[name]["schema"], headers[name])
        media = headers.get("content-type", "").split(";")[0]
        if operation.body is None or operation.id == "uploadObject":
            return wrong + ([f"{operation.id}: takes no body"] if body and operation.body is None else [])
        if not body:
            return wrong + ([f"{operation.id}: needs a body"] if operation.body.get("required") else [])
        if media not in operation.body["content"]:
            return [*wrong, f"{operation.id}: body of type {media!r}"]
        return wrong + self._json(f"{operation.id} request", operation.body["content"][media]["schema"], body)

    def response(self, operation: Operation, status: int, media: str, body: bytes | None) -> list[str]:
        """What is wrong with an answer; body None: a stream."""
        found = operation.responses.get(str(status)) or (operation.responses.get("default") if status >= 500 else None)
        if found is None:
            return [f"{operation.id}: no answer {status} is described"]
        content = self._resolve(found).get("content", {})
        if not content or body is None:
            return [f"{operation.id}: answer {status} has no body"] if body and not content else []
        if media not in content:
            return [f"{operation.id}: answer {status} of type {media!r}, not {sorted(content)}"]
        if media != "application/json":
            return []
        return self._json(f"{operation.id} answer {status}", content[media]["schema"], body)

    def _operation(self, path: str, method: str, item: dict[str, Any]) -> Operation:
        own = item[method]
        several = [self._resolve(one) for one in (*item["parameters"], *own.get("parameters", ()))]
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(API + path))
        parameters = {(one["in"], one["name"]): one for one in several}
        return Operation(
            own["operationId"],
            method.upper(),
            re.compile(pattern),
            parameters,
            own.get("requestBody"),
            own["responses"],
        )

    def _resolve(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            _, _, kind, name = value["$ref"].split("/")
            value = self._raw[kind][name]
        return value

    def _json(self, what: str, schema: dict[str, Any], body: bytes) -> list[str]:
        try:
            value = json.loads(body)
        except ValueError as error:
            return [f"{what}: not JSON ({error})"]
        return self._check(what, schema, value)

    def _check(self, what: str, schema: dict[str, Any], value: Any) -> list[str]:
        errors = self._validator(json.dumps(schema)).iter_errors(value)
        return [f"{what}: {error.json_path}: {error.message}" for error in errors]

    def _make_validator(self, schema: str) -> Draft202012Validator:
        return Draft202012Validator({**_strict(json.loads(schema)), "components": self._components})


def load_spec() -> Spec:
    """The part of the document that lies beside this file."""
    return Spec(json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8")))


def _strict(value: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` as a type, and no property that is not named."""
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _strict(item) for key, item in value.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _typed(text: str, type: str) -> Any:
    if type == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if type == "boolean" else text

"""Cuts out of lakeFS's swagger.yml what the double serves: `python -m tests.lakefs_double.extract swagger.yml`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

NOTICE = (
    "A part of the lakeFS HTTP API, api/swagger.yml of treeverse/lakeFS. Copyright Treeverse Inc., Apache License 2.0."
)
TARGET = Path(__file__).with_name("openapi.json")
OPERATIONS = frozenset(
    {
        *("getConfig", "createRepository", "getRepository", "getCommit", "commit", "logCommits"),
        *("listTags", "createTag", "getTag", "deleteTag"),
        *("listBranches", "createBranch", "getBranch", "deleteBranch", "resetBranch", "diffBranch", "revertBranch"),
        *("mergeIntoBranch", "findMergeBase", "diffRefs", "importStart", "importStatus"),
        *("listObjects", "statObject", "getObject", "headObject", "uploadObject", "deleteObjects"),
        *("getPhysicalAddress", "linkPhysicalAddress"),
    }
)
METHODS = ("get", "put", "post", "delete", "head")


def extract(swagger: Path) -> dict[str, Any]:
    """The operations above with all that they refer to; a notice of where they come from."""
    whole = yaml.safe_load(swagger.read_text("utf-8"))
    paths = {}
    for path, item in whole["paths"].items():
        kept = {method: item[method] for method in METHODS if item.get(method, {}).get("operationId") in OPERATIONS}
        if kept:
            paths[path] = {"parameters": item.get("parameters", []), **kept}
    found = {"x-notice": NOTICE, "openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": {}}
    waiting = _references(paths)
    while waiting:
        name = waiting.pop()
        _, _, kind, key = name.split("/")
        there = found["components"].setdefault(kind, {})
        if key not in there:
            there[key] = whole["components"][kind][key]
            waiting |= _references(there[key])
    return json.loads(json.dumps(found))  # response codes become text


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


if __name__ == "__main__":
    TARGET.write_text(json.dumps(extract(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n", "utf-8")

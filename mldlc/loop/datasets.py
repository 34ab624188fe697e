"""Artifacts and outside sources as OpenLineage datasets: their names, versions, schemas and sizes.

An artifact is `mldlc://<project>`, `<step>.<port>`, versioned by its digest; a local file is `file` and its path;
versioned data is `lakefs://<repository>` or `store://<project>` and its path, versioned by the commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mldlc
from mldlc.plan.plan import Plan
from mldlc.plan.step import Source, Step
from mldlc.store.layout import Store
from mldlc.store.objects import read_tree
from mldlc.store.repository import is_versioned, parse_address

PRODUCER = f"https://pypi.org/project/mldlc/{mldlc.__version__}"
FACETS = "https://openlineage.io/spec/facets"
MOST_FILES = 100  # files of one source that are named each; more are one dataset, their folder


def facet(schema: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A facet `<version>/<Name>` with who made it and which schema it has."""
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/{schema}.json#/$defs/{schema.partition('/')[2]}", **body}


def artifacts_in(
    plan: Plan, step: Step, steps: Mapping[str, Step], known: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    """The artifacts that a step takes, with the digests that the journal tells."""
    refs = dict.fromkeys((ref.step, ref.port) for item in step.inputs.values() for ref in item.refs)
    for id, port in refs:
        digest = known.get(id, {}).get(port) or steps[id].digests.get(port, "")
        yield _dataset(f"mldlc://{plan.name}", f"{id}.{port}", digest)


def sources_in(plan: Plan, step: Step) -> Iterator[dict[str, Any]]:
    """The outside sources that a step reads."""
    for source in step.sources:
        if is_versioned(source.uri):
            place = parse_address(source.uri)
            namespace = f"store://{plan.name}" if not place.repo else place.repository
            yield _dataset(namespace, place.path or "/", source.commit)
        elif 0 < len(source.paths) <= MOST_FILES:
            yield from (_dataset("file", path, source.token or "") for path in source.paths)
        else:
            yield _dataset(*_named(source), source.token or "")


def _named(source: Source) -> tuple[str, str]:
    if source.paths:
        return "file", str(Path(source.paths[0]).parent)
    scheme, found, rest = source.uri.partition("://")
    if not found:
        return "mldlc", source.uri
    host, _, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}", path or "/"


def artifacts_out(plan: Plan, step: Step, digests: Mapping[str, str], store: Store | None) -> list[dict[str, Any]]:
    """What a step made; schema and row count where the manifest of a table tells them."""
    out = []
    for port, digest in digests.items():
        made = _dataset(f"mldlc://{plan.name}", f"{step.id}.{port}", digest)
        manifest: dict[str, Any] = {}
        statistics: dict[str, int] = {}
        if store is not None:
            try:
                tree = read_tree(store, digest)
                statistics = {"size": tree.size, "fileCount": len(tree.files)}
                if step.outputs.get(port) == "Table" and "manifest.json" in tree.files:
                    manifest = json.loads(store.object(tree.files["manifest.json"][0]).read_bytes())
            except (OSError, ValueError):
                pass  # collected since: name and version are still true
        if manifest:
            statistics = {"rowCount": int(manifest["rows"]), **statistics}
            columns = [{"name": item["name"], "type": item["dtype"]} for item in manifest["columns"]]
            made["facets"]["schema"] = facet("1-2-0/SchemaDatasetFacet", {"fields": columns})
        if statistics:
            made["outputFacets"] = {"outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet", statistics)}
        out.append(made)
    return out


def _dataset(namespace: str, name: str, version: str) -> dict[str, Any]:
    facets = {"version": facet("1-0-1/DatasetVersionDatasetFacet", {"datasetVersion": version})} if version else {}
    return {"namespace": namespace, "name": name, "facets": facets}

"""The shape of OpenLineage run events and of the facets used, written for these tests from the published specification.

Stricter than the published schemas where they leave a choice: nothing beyond the named fields may appear.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}
RUN_ID = {"type": "object", "required": ["runId"], "properties": {"runId": {"type": "string", "format": "uuid"}}}
JOB_ID = {
    "type": "object", "required": ["namespace", "name"], "additionalProperties": False,
    "properties": {"namespace": TEXT, "name": TEXT},
}  # fmt: skip


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


def facet(name: str, properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """A facet: its own fields, who made it, and the address of its schema."""
    marks = {
        "_producer": {"type": "string", "pattern": "^https://"},
        "_schemaURL": {
            "type": "string",
            "pattern": rf"^https://openlineage\.io/spec/facets/\d-\d-\d/{name}\.json#/\$defs/{name}$",
        },
    }
    return closed({**marks, **properties}, "_producer", "_schemaURL", *required)


DATASET = closed(
    {"namespace": TEXT, "name": TEXT, "facets": {"type": "object"}, "outputFacets": {"type": "object"}},
    "namespace", "name",
)  # fmt: skip
EVENT = closed(
    {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"},
        "producer": {"type": "string", "pattern": "^https://"},
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": {**RUN_ID, "properties": {**RUN_ID["properties"], "facets": {"type": "object"}}},
        "job": closed({**JOB_ID["properties"], "facets": {"type": "object"}}, "namespace", "name"),
        "inputs": {"type": "array", "items": DATASET},
        "outputs": {"type": "array", "items": DATASET},
    },
    "eventType", "eventTime", "run", "job", "producer", "schemaURL",
)  # fmt: skip
COUNT = {"type": "integer", "minimum": 0}
WITHIN = closed({"run": RUN_ID, "job": JOB_ID}, "run", "job")
FACETS = {
    "parent": facet("ParentRunFacet", {"run": RUN_ID, "job": JOB_ID, "root": WITHIN}, "run", "job"),
    "processing_engine": facet(
        "ProcessingEngineRunFacet", {"version": TEXT, "name": TEXT, "openlineageAdapterVersion": TEXT}, "version"
    ),
    "executionParameters": facet(
        "ExecutionParametersRunFacet",
        {"parameters": {"type": "array", "items": closed({"key": TEXT, "value": {"type": "string"}}, "key")}},
    ),
    "errorMessage": facet(
        "ErrorMessageRunFacet",
        {"message": TEXT, "programmingLanguage": TEXT, "stackTrace": TEXT},
        "message", "programmingLanguage",
    ),
    "jobType": facet(
        "JobTypeJobFacet",
        {"processingType": {"enum": ["BATCH", "STREAMING"]}, "integration": TEXT, "jobType": TEXT},
        "processingType", "integration",
    ),
    "sourceCodeLocation": facet(
        "SourceCodeLocationJobFacet",
        {"type": {"const": "git"}, "url": {"type": "string", "pattern": "^https://"}, "repoUrl": TEXT,
         "path": TEXT, "version": {"type": "string", "pattern": "^[0-9a-f]{40}$"}},
        "type", "url",
    ),
    "version": facet("DatasetVersionDatasetFacet", {"datasetVersion": TEXT}, "datasetVersion"),
    "schema": facet(
        "SchemaDatasetFacet", {"fields": {"type": "array", "items": closed({"name": TEXT, "type": TEXT}, "name")}}
    ),
    "outputStatistics": facet(
        "OutputStatisticsOutputDatasetFacet", {"rowCount": COUNT, "size": COUNT, "fileCount": COUNT}
    ),
}  # fmt: skip

"""Typed readers by artifact type name: what an implementation finds under an input port."""

from __future__ import annotations

from typing import Any

from mldlc.artifacts.handle import Artifact


def typed(artifact: Artifact) -> Any:
    """The typed reader of an artifact (imported on use), or the plain handle where its type has none."""
    match artifact.type:
        case "Table":
            from mldlc.artifacts.table import Table

            return Table(artifact)
        case "Split":
            from mldlc.artifacts.split import Split

            return Split(artifact)
        case "Tokens":
            from mldlc.artifacts.tokens import Tokens

            return Tokens(artifact)
    return artifact

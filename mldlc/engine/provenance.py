"""The lineage keys of a run (notes of the design: on its commits in a version store), from what its plan froze."""

from __future__ import annotations

import json

from mldlc.plan.codec import digest
from mldlc.plan.plan import Plan
from mldlc.store.repository import is_versioned, parse_address


def provenance(plan: Plan, run: str) -> dict[str, str]:
    """Key -> text, never empty. inputs: JSON [[address at its commit, or URI; token], ...] of every outside source."""
    snapshot = plan.snapshot
    config = plan.blobs.get(plan.points[0].config) if plan.points else None
    inputs = [[_pinned(uri, snapshot.refs.get(uri, "")), token] for uri, token in sorted(snapshot.sources.items())]
    found = {
        "mldlc.run": run,
        "mldlc.plan": plan.id,
        "mldlc.project": plan.name,
        "mldlc.config.rev": snapshot.git.get("rev", ""),
        "mldlc.code.rev": digest(snapshot.code) if snapshot.code else "",
        "mldlc.inputs": json.dumps(inputs, separators=(",", ":")) if inputs else "",
        "mldlc.env": digest([snapshot.python, snapshot.packages]),
        "mldlc.seed": str(config["seed"]) if isinstance(config, dict) and "seed" in config else "",
    }
    return {key: value for key, value in found.items() if value}


def _pinned(uri: str, commit: str) -> str:
    return parse_address(uri).at(commit) if commit and is_versioned(uri) else uri

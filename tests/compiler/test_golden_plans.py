"""Golden plans: what the shipped experiments compile to, with what differs between machines and releases masked.

`MLDLC_GOLDEN=write pytest tests/compiler/test_golden_plans.py` writes them anew; read the diff before you commit it. A moved
`recipe` means that an upgrade reruns that stage for everybody: a new field needs `neutral=`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.keys import recipe
from mldlc.plan.plan import Plan

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES = {
    "adult": ("experiment=adult",),
    "housing": ("experiment=housing",),
    "studied": (
        "experiment=adult",
        "select=filter",
        "clean=rules",
        "diagnose=standard",
        "robustness=standard",
        "xai=permutation",
    ),
    "published": ("experiment=adult", "registry=folder", "automation=partial"),
}


def masked(plan: Plan) -> dict[str, object]:
    """The plan's intent: wiring, hashed config and the recipe that it would have if the code were empty."""
    recipes: dict[str, str] = {}
    steps = {}
    for step in plan.steps:
        inputs = {port: [(r.label, recipes[r.step], r.port) for r in item.refs] for port, item in step.inputs.items()}
        recipes[step.id] = recipe(
            kind=step.kind, version=step.version, code="", identity=step.identity, inputs=inputs,
            sources=[source.uri for source in step.sources],
        )  # fmt: skip
        steps[step.id] = {
            "kind": step.kind,
            "version": step.version,
            "purity": step.purity,
            "process": step.needs.process,
            "inputs": {port: [f"{r.step}.{r.port}" for r in item.refs] for port, item in step.inputs.items()},
            "outputs": step.outputs,
            "sources": [source.uri for source in step.sources],
            "config": plan.blobs[step.identity],
            "recipe": recipes[step.id],
        }
    return {"name": plan.name, "steps": steps}


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden_plan(name: str, tmp_path: Path) -> None:
    found = masked(compile_plan(CompileRequest(tmp_path, CASES[name])))
    file = GOLDEN / f"{name}.json"
    if os.environ.get("MLDLC_GOLDEN") == "write":
        file.write_text(json.dumps(found, indent=1) + "\n")
    assert json.loads(file.read_text()) == json.loads(json.dumps(found))

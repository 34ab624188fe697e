"""The steps upstream of the page: their picture, their config and their lineage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.report.charts.dag import Edge, Node, dag
from mldlc.report.numbers import short
from mldlc.report.sections.documents import flat

ROOMS = ("data", "profile", "features", "training", "evaluation", "scope", "report")


def plan(lineage: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """{picture, steps}; a step has id, stage, kind, room, recipe, key, config, inputs, outputs, facts for display."""
    if not lineage:
        return None
    steps = [_step(item) for item in lineage]
    by_id = {step["id"]: step["stage"] for step in steps}
    made: dict[str, tuple[str, str]] = {}
    for step in steps:
        for item in step["inputs"]:
            if not item["step"]:
                item["step"], item["output"] = made.get(item["digest"], ("", ""))
            item["from"] = by_id.get(item["step"], item["step"])
        made.update({item["digest"]: (step["id"], item["port"]) for item in step["outputs"]})
    nodes = [Node(s["id"], s["stage"], s["kind"], _tooltip(s), s["room"]) for s in steps]
    edges = [Edge(i["step"], s["id"], (f"{i['output']} as {i['port']}",)) for s in steps for i in s["inputs"]]
    return {"picture": dag("Plan", nodes, [e for e in edges if e.start in by_id]), "steps": steps}


def _step(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(item.get("kind") or "")
    room = kind.partition(".")[0]
    inputs = [
        {"port": port, "step": str(ref.get("step", "")), "output": str(ref.get("port", "")),
         "digest": ref.get("digest") or ""}
        for port, refs in sorted((item.get("inputs") or {}).items())
        for ref in _references(refs)
    ]  # fmt: skip
    outputs = sorted((item.get("outputs") or {}).items())
    config = [{"key": key, "value": _text(value)} for key, value in flat(item.get("config") or {}) if key]
    return {
        "id": str(item["id"]),
        "stage": str(item.get("stage") or item["id"]),
        "kind": kind,
        "room": room if room in ROOMS else "own",
        "recipe": item.get("recipe") or "",
        "key": item.get("key") or "",
        "inputs": inputs,
        "outputs": [{"port": port, "digest": digest or ""} for port, digest in outputs],
        "config": config,
    }


def _references(refs: Any) -> list[Mapping[str, Any]]:
    """What a port took: [{step, port, digest}]. Where only {label: digest} is known, the digest tells the step."""
    if isinstance(refs, Mapping):
        return [{"digest": digest} for _, digest in sorted(refs.items())]
    return list(refs)


def _tooltip(step: Mapping[str, Any]) -> str:
    lines = [
        step["stage"],
        f"kind    {step['kind']}",
        f"recipe  {short(step['recipe'])}",
        f"key     {short(step['key'])}",
    ]
    lines += [f"out     {item['port']}: {short(item['digest'])}" for item in step["outputs"]]
    return "\n".join(lines)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

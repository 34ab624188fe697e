"""The plan as a graph: a text tree by layer, or Mermaid to paste into a page."""

from __future__ import annotations

import argparse

from mldlc.cli.frame import compile_from, config_arguments, emit
from mldlc.cli.views.plan_text import glyph
from mldlc.plan.codec import encode
from mldlc.plan.dag import layers
from mldlc.plan.plan import Plan

FILL = {"=": "#e8e8e8", "+": "#c8e6c9", "~": "#ffe0b2", "?": "#bbdefb", "!": "#e1bee7", "-": "#f5f5f5"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc graph`."""
    config_arguments(parser)
    parser.add_argument("--mermaid", action="store_true", help="print a Mermaid flowchart")


def run(args: argparse.Namespace) -> int:
    """Print the graph."""
    plan = compile_from(args)
    if args.json:
        for step in plan.steps:
            emit(
                {"type": "node", "id": step.id, "kind": step.kind, "action": step.action, "inputs": encode(step.inputs)}
            )
        emit({"format": "mldlc.graph/1", "plan": plan.id, "nodes": len(plan.steps)})
    else:
        print("\n".join(mermaid(plan) if args.mermaid else text(plan)))
    return 0


def text(plan: Plan) -> list[str]:
    """One block a layer; each node with what it takes."""
    by_id = plan.by_id()
    wide = max((len(name) for name in by_id), default=0) + 2
    kinds = max((len(step.kind) for step in plan.steps), default=0) + 2
    out = []
    for number, names in enumerate(layers({step.id: step.upstream() for step in plan.steps})):
        out.append(f"layer {number}")
        for name in names:
            step = by_id[name]
            takes = ", ".join(
                f"{port} <- {ref.step}.{ref.port}" for port, item in step.inputs.items() for ref in item.refs
            )
            out.append(f"  {glyph(step)} {name:<{wide}}{step.kind:<{kinds}}{takes}".rstrip())
    return out


def mermaid(plan: Plan) -> list[str]:
    """A Mermaid flowchart, coloured by action."""
    numbers = {step.id: f"n{number}" for number, step in enumerate(plan.steps)}
    out = ["flowchart TD"]
    for step in plan.steps:
        out.append(f'  {numbers[step.id]}["{step.id}<br/><small>{step.kind} · {step.action}</small>"]')
    for step in plan.steps:
        for port, item in step.inputs.items():
            out += [f"  {numbers[ref.step]} -->|{port}| {numbers[step.id]}" for ref in item.refs]
    out += [f"  style {numbers[step.id]} fill:{FILL[glyph(step)]}" for step in plan.steps]
    return out

"""Pass `artifacts`: binds every input port to the output that the lifecycle names, checks types, orders the nodes."""

from __future__ import annotations

from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.artifact import TYPES
from mldlc.plan.dag import Cycle, topological
from mldlc.plan.diagnostic import Diagnostic, did_you_mean
from mldlc.plan.label import label_of
from mldlc.plan.step import Input, InputRef


def run(draft: Draft) -> None:
    """Set `inputs` of every node; leave `draft.nodes` in dependency order."""
    problems = _Problems(draft)
    for node in draft.nodes.values():
        for port in node.wiring:
            if port not in node.typed.ports:
                allowed = list(node.typed.ports)
                problems.add(
                    node,
                    port,
                    "unknown_port",
                    f"stage '{node.stage}' ({node.typed.kind}) has no input '{port}'",
                    did_you_mean(port, allowed) or f"its inputs: {', '.join(allowed) or 'none'}",
                )
        for port, (kind, arity) in node.typed.ports.items():
            refs = _bind(draft, problems, node, port, kind, arity)
            node.inputs[port] = Input(kind, "many" if arity == "some" else arity, tuple(refs))
    if problems.found:
        draft.diagnostics.extend(problems.found.values())
        return
    try:
        order = topological({id: node.upstream() for id, node in draft.nodes.items()})
    except Cycle as cycle:
        text = " -> ".join(draft.nodes[id].stage for id in cycle.path)
        draft.diagnostics.append(Diagnostic("cycle", f"the stages wait for each other: {text}"))
        return
    draft.nodes = {id: draft.nodes[id] for id in order}


def _bind(draft: Draft, problems: _Problems, node: Node, port: str, kind: str, arity: str) -> list[InputRef]:
    bindings = node.wiring.get(port, [])
    refs: list[InputRef] = []
    done: set[int] = set()  # points that a stage of the whole sweep has taken something of
    for binding in bindings:
        stage, _, output = binding.partition(".")
        sources = _producers(draft, node, stage)
        if not sources:
            if stage not in _declared(draft, node):
                known = sorted({n.stage for n in draft.nodes.values()})
                problems.add(
                    node,
                    port,
                    "unknown_stage",
                    f"input '{port}' of stage '{node.stage}' names no stage '{stage}'",
                    did_you_mean(stage, known) or f"stages: {', '.join(known)}",
                )
            continue
        if node.scope == "sweep":
            sources = [source for source in sources if not set(source.points) <= done]
        for source in sources:
            name = _output(problems, node, port, source, output, kind)
            if name:
                label = _label(draft, node, source, arity)
                refs.append(InputRef(source.id, name, label))
                done.update(source.points)
        if refs and arity not in ("many", "some"):
            break
    if arity in ("one", "some") and not refs and (node, port) not in problems:
        fits = [
            f"{other.stage}.{name}"
            for other in draft.nodes.values()
            for name, made in other.typed.outputs.items()
            if TYPES[made].fits(TYPES[kind]) and other.stage != node.stage and set(other.points) & set(node.points)
        ]
        wired = " or ".join(bindings)
        why = f"'{wired}' is not among the live stages" if bindings else "nothing is wired to it"
        hint = _switches(draft, node, bindings) or (
            f"lifecycle.stages.{node.stage}.inputs.{port}={fits[0]} would fit"
            if fits
            else f"no live stage gives a {kind}"
        )
        problems.add(node, port, "missing_input", f"stage '{node.stage}' needs input '{port}' ({kind}): {why}", hint)
    return refs


def _switches(draft: Draft, node: Node, bindings: list[str]) -> str:
    """What would bring the stages to life that are wired but wait for a config group."""
    config: Any = draft.points[node.points[0]].config
    stages = config["lifecycle"]["stages"]
    found = {name: (stages.get(name) or {}).get("when") for name in (item.partition(".")[0] for item in bindings)}
    return "; ".join(f"stage '{name}' lives when '{when}' is set" for name, when in found.items() if when)


def _producers(draft: Draft, node: Node, stage: str) -> list[Node]:
    """Nodes of that stage which this node may read: its own point's, or all points' for a node of the whole sweep."""
    if stage in draft.nodes:
        return [draft.nodes[stage]]
    found = (draft.nodes.get(f"{stage}@{point}") for point in node.points)
    return [item for item in found if item is not None]


def _declared(draft: Draft, node: Node) -> set[str]:
    """Stages that the lifecycle declares, live or not, or that the command line drops: these are no misspelt names."""
    config: Any = draft.points[node.points[0]].config
    stem = "~lifecycle.stages."
    dropped = {item[len(stem) :].partition("=")[0] for item in draft.ask.overrides if item.startswith(stem)}
    return {*config["lifecycle"]["stages"], *dropped}


def _output(problems: _Problems, node: Node, port: str, source: Node, output: str, kind: str) -> str:
    outputs = source.typed.outputs
    if output:
        if output not in outputs:
            problems.add(
                node,
                port,
                "unknown_output",
                f"stage '{source.stage}' has no output '{output}'",
                did_you_mean(output, outputs) or f"its outputs: {', '.join(outputs) or 'none'}",
            )
            return ""
        if not TYPES[outputs[output]].fits(TYPES[kind]):
            problems.add(
                node,
                port,
                "wrong_artifact",
                f"input '{port}' of stage '{node.stage}' wants {kind}, not {source.stage}.{output} ({outputs[output]})",
                "",
            )
            return ""
        return output
    fits = [name for name, made in outputs.items() if TYPES[made].fits(TYPES[kind])]
    if len(fits) == 1:
        return fits[0]
    if fits:
        problems.add(
            node,
            port,
            "ambiguous_input",
            f"input '{port}' of stage '{node.stage}': several outputs of '{source.stage}' fit",
            "write one of: " + ", ".join(f"{source.stage}.{name}" for name in fits),
        )
    else:
        problems.add(
            node,
            port,
            "wrong_artifact",
            f"input '{port}' of stage '{node.stage}' wants {kind}, "
            f"but '{source.stage}' gives {', '.join(f'{n} ({t})' for n, t in outputs.items()) or 'nothing'}",
            "",
        )
    return ""


def _label(draft: Draft, node: Node, source: Node, arity: str) -> str:
    """Label of an artifact on a `many` port: the stage; for a node of the whole sweep the point's overrides."""
    if arity not in ("many", "some"):
        return ""
    if node.scope != "sweep" or source.scope == "sweep":
        return source.stage
    return label_of(draft.points[source.points[0]].overrides)


class _Problems:
    """Wiring problems, one per text: the same mistake in many points is told once."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.found: dict[str, Diagnostic] = {}
        self.places: set[tuple[str, str]] = set()

    def __contains__(self, place: tuple[Node, str]) -> bool:
        return (place[0].id, place[1]) in self.places

    def add(self, node: Node, port: str, code: str, message: str, hint: str) -> None:
        self.places.add((node.id, port))
        if message in self.found:
            return
        key = f"lifecycle.stages.{node.stage}.inputs.{port}"
        self.found[message] = Diagnostic(
            code, message, where=self.draft.locate(key, node.points[0]), key=key, hint=hint
        )

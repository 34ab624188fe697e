"""Pass `fingerprint`: the recipe of every node, a Merkle hash of kind, version, code, result config and wiring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mldlc.compiler.code import CodeHasher
from mldlc.compiler.draft import Draft, Node, Typed
from mldlc.compiler.observe import observe_packages, observe_sources
from mldlc.plan.codec import digest, ordered_digest
from mldlc.plan.diagnostic import Location, fail
from mldlc.plan.keys import recipe
from mldlc.plan.source import SourceRef
from mldlc.plan.step import Input, Source
from mldlc.store.repository import is_versioned, parse_address


def run(draft: Draft) -> None:
    """Freeze code, packages and sources of the live nodes; compute recipes, upstream first; name the nodes."""
    nodes = list(draft.nodes.values())
    hasher = CodeHasher(draft.code, draft.outputs / "cache" / "code.json")
    observe_packages(draft, {name for node in nodes for name in node.typed.packages})
    sources = _sources(draft, nodes)
    observe_sources(draft, [(ref, node) for node in nodes for ref in sources[id(node.typed)]])
    codes: dict[int, tuple[dict[str, str], str]] = {}
    identities: dict[int, str] = {}
    for node in nodes:
        typed = node.typed
        if id(typed) not in codes:
            code = _closure(hasher, typed, draft)
            codes[id(typed)] = code, digest(code)
            identities[id(typed)] = ordered_digest(typed.identity)
        node.code, node.code_digest = codes[id(typed)]
        node.identity_digest = identities[id(typed)]
        refs = sources[id(typed)]
        node.observed = tuple(
            Source(
                ref.uri,
                ref.name,
                ref.paths,
                ref.identity,
                draft.snapshot.sources.get(ref.uri),
                draft.snapshot.refs.get(ref.uri, ""),
                ref.root,
                is_versioned(ref.uri) and parse_address(ref.uri).pinned_as in draft.held,
            )
            for ref in refs
        )
        node.packages = {name: _package(draft, name) for name in typed.packages}
        node.recipe = recipe(
            kind=typed.kind,
            version=typed.version,
            code=node.code_digest,
            identity=node.identity_digest,
            inputs={
                port: list(dict.fromkeys((ref.label, draft.nodes[ref.step].recipe, ref.port) for ref in item.refs))
                for port, item in node.inputs.items()
            },
            sources=[ref.uri for ref in refs],
        )
    hasher.save()
    _name(draft)


def _sources(draft: Draft, nodes: list[Node]) -> dict[int, list[SourceRef]]:
    """What each typed stage reads from outside; of a project that is read from git, as its commit holds it."""
    found = {id(node.typed): [(ref, "") for ref in node.typed.sources] for node in nodes}
    if draft.rev and any(found.values()):
        from mldlc.compiler.revision_data import RevisionData

        data = RevisionData(draft.rev, draft.root, draft.outputs)
        found = {stage: [data.at(ref) for ref, _ in refs] for stage, refs in found.items()}
        data.save()
        for node in nodes:
            node.note = "; ".join(dict.fromkeys(note for _, note in found[id(node.typed)] if note))
    return {stage: [_portable(ref, draft.root) for ref, _ in refs] for stage, refs in found.items()}


def _closure(hasher: CodeHasher, typed: Typed, draft: Draft) -> dict[str, str]:
    modules = [*typed.modules, *(target.partition(":")[0] for target in typed.targets)]
    named = [item for item in typed.files if item.endswith(".py") or "/" in item]
    modules += [item for item in typed.files if item not in named]
    return hasher.closure(modules, ((item, _code_file(draft, item)) for item in named))


def _code_file(draft: Draft, name: str) -> bytes:
    """A file of the project that a stage names under `code:`, or one of mldlc's own."""
    if draft.rev and not name.startswith("/"):
        from mldlc.compiler.revision import read_file

        data = read_file(draft.rev, name)
    else:
        path = draft.root / name
        data = path.read_bytes() if path.is_file() else None
    if data is None:
        raise fail("missing_file", f"code file {name} does not exist", where=Location("lifecycle.stages"))
    return data


def _portable(ref: SourceRef, root: Path) -> SourceRef:
    """URIs under the project root become relative, so that a recipe is the same on every machine."""
    stem = f"{root}/"
    return replace(ref, uri=ref.uri.replace(stem, "")) if stem in ref.uri else ref


def _package(draft: Draft, name: str) -> str:
    return ".".join(draft.snapshot.packages[name].split(".")[:2])


def _name(draft: Draft) -> None:
    """Final ids: the stage in a plain run, stage#recipe in a sweep (equal recipes then carry equal names)."""
    sweep = len(draft.points) > 1
    names = {
        old: f"{node.stage}#{node.recipe[:10]}" if sweep and node.scope == "point" else node.stage
        for old, node in draft.nodes.items()
    }
    for node in draft.nodes.values():
        node.id = names[node.id]
        node.inputs = {port: _renamed(item, names) for port, item in node.inputs.items()}


def _renamed(item: Input, names: dict[str, str]) -> Input:
    return replace(item, refs=tuple(replace(ref, step=names[ref.step]) for ref in item.refs))

"""The typed, wired graph on disk: a warm plan starts after `artifacts` and imports neither Hydra nor pydantic.

An entry is trusted only while everything that the front passes looked at is unchanged: config files, folders that were
listed, files that were absent, links, git revisions, environment variables, code roots, plugins, the Python path, mldlc
itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mldlc.compiler import observe
from mldlc.compiler.draft import CompileRequest, Draft, DraftPoint, Node, Typed
from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import own_stamp, path_stamp, root_of, still_there
from mldlc.compiler.watch import plugin_files, unmoved, watched
from mldlc.config.tree import unchanged
from mldlc.plan.codec import decode, digest, encode
from mldlc.plan.diagnostic import Diagnostic
from mldlc.plan.step import Input, InputRef

REPEATABLE = ("floating_revision",)  # warnings that a cached draft tells again
MOST_PLACES = 8  # outputs roots that are looked in where configs choose them
MOST_NODES = 3000  # above this reading the entry is no longer quick


def load(ask: CompileRequest) -> Draft | None:
    """The draft as it stood after `artifacts`, or None when there is none to trust."""
    home = root_of(ask.start.resolve())
    request = _request(ask, home)
    name = _name(request)
    entry = next((found for place in _places(ask, home) if (found := _trusted(place / name, request))), None)
    draft = _start(ask, entry) if entry else None
    if entry is None or draft is None:
        return None
    draft.snapshot = replace(draft.snapshot, refs=entry["refs"])
    draft.diagnostics = [decode(Diagnostic, item) for item in entry["warnings"]]
    draft.points = tuple(DraftPoint(i, tuple(o), c) for i, o, c in entry["points"])
    draft.files, draft.name, draft.settings = entry["files"], entry["name"], entry["settings"]
    draft.outputs, draft.held = Path(entry["outputs"]), entry["held"]
    typed = [decode(Typed, item) for item in entry["typed"]]
    draft.nodes = {row["id"]: _node(row, typed) for row in entry["nodes"]}
    return draft


def _trusted(file: Path, request: list[Any]) -> dict[str, Any] | None:
    entry = read_json(file)
    return entry if entry and entry["request"] == request and _valid(entry) else None


def _start(ask: CompileRequest, entry: dict[str, Any]) -> Draft | None:
    """A draft with root and code of an entry, None when the code moved."""
    root, outputs, known = Path(entry["root"]), Path(entry["outputs"]), entry["code"]
    if entry["rev"]:
        from mldlc.compiler.revision import frozen_at, is_frozen

        if not all(is_frozen(outputs, digest) for digest in known.values()):
            return None
        snapshot = replace(observe.ambient((), root, entry["commit"]), code=known)
        return Draft(ask, snapshot, root, tuple(frozen_at(outputs, digest) for digest in known.values()), entry["rev"])
    code = tuple(Path(item) for item in known)
    if not all(path.is_dir() for path in code):
        return None
    draft = Draft(ask, observe.ambient(code, root), root, code)
    return draft if draft.snapshot.code == known else None


def save(draft: Draft) -> None:
    """Keep a draft that has just left `artifacts`, if its config can be keyed."""
    composition = draft.composition
    if draft.ask.points or composition is None or not composition.cacheable or len(draft.nodes) > MOST_NODES:
        return
    if any(item.code not in REPEATABLE for item in draft.diagnostics):
        return
    kinds: dict[int, int] = {}
    typed: list[Typed] = []
    for node in draft.nodes.values():
        if id(node.typed) not in kinds:
            kinds[id(node.typed)] = len(typed)
            typed.append(node.typed)
    folders = watched(typed)
    if folders is None:
        return
    home = root_of(draft.ask.start.resolve())
    revision = draft.ask.project.revision
    entry = {
        "request": _request(draft.ask, home),
        "root": str(draft.root),
        "rev": draft.rev,
        "commit": revision.rev if revision else "",
        "pins": [pin.held() for pin in composition.pins],
        "links": {**composition.links, **draft.seen.links},
        "warnings": encode(draft.diagnostics),
        "files": composition.files,
        "listed": draft.seen.files,
        "missing": sorted({*composition.missing, *draft.seen.missing} - draft.seen.files.keys()),
        "env": composition.inputs,
        "folders": folders,
        "plugins": plugin_files(),
        "code": draft.snapshot.code,
        "refs": draft.snapshot.refs,
        "points": [[p.id, list(p.overrides), p.config] for p in draft.points],
        "name": draft.name,
        "settings": draft.settings,
        "outputs": str(draft.outputs),
        "held": draft.held,
        "typed": encode(typed),
        "nodes": [_row(node, kinds) for node in draft.nodes.values()],
    }
    if revision is not None:
        entry["pins"].append([str(revision.repo), _rev_of(draft.ask.rev), revision.rev])
    write_json(draft.outputs / _name(entry["request"]), entry)
    if draft.outputs != _first(draft.ask, home):
        write_json(_elsewhere(home), {"outputs": [str(draft.outputs), *_known(home, draft.outputs)][:MOST_PLACES]})


def _rev_of(rev: str) -> str:
    """The revision in `--rev`: as it is, or in a `git://` address."""
    return rev.removeprefix("git://").partition(":")[0] if rev.startswith("git://") else rev


def _name(request: list[Any]) -> Path:
    """Where the entry of a request lies in the outputs."""
    return Path("cache") / "graph" / f"{digest(request)[:32]}.json"


def _first(ask: CompileRequest, root: Path) -> Path:
    """The outputs root as it is known before composing: from its override, the environment or the default."""
    chosen = [item.partition("=")[2] for item in ask.overrides if item.startswith("paths.outputs=")]
    place = Path((chosen or [os.environ.get("MLDLC_OUTPUTS") or "outputs"])[-1])
    return place if place.is_absolute() else root / place


def _places(ask: CompileRequest, root: Path) -> Iterator[Path]:
    """Outputs roots to look in: the first, then those that configs of this project chose before."""
    yield _first(ask, root)
    yield from map(Path, _known(root))


def _elsewhere(root: Path) -> Path:
    """Which outputs roots the configs of a project chose; in the user's cache, as the config is not read yet."""
    from mldlc.config.user_cache import cache_root

    return cache_root() / "outputs" / f"{digest(str(root))[:32]}.json"


def _known(root: Path, but: Path | None = None) -> list[str]:
    return [place for place in read_json(_elsewhere(root)).get("outputs", []) if place != str(but)]


def _request(ask: CompileRequest, root: Path) -> list[Any]:
    folder = str(Path(ask.config_dir).absolute()) if ask.config_dir else None
    outputs = os.environ.get("MLDLC_OUTPUTS")
    return [
        str(root),
        list(ask.overrides),
        ask.config_name,
        ask.multirun,
        [list(point) for point in ask.points],
        folder,
        _place(ask.start.resolve()) if ask.rev else "",
        ask.rev,
        ask.locked,
        outputs,
        os.environ.get("HOME"),
        own_stamp(),
        path_stamp(),
    ]


def _place(start: Path) -> list[str]:
    """Where a revision is asked for: the folder, and the repository around it."""
    from mldlc.config.gitrepo import repository_around

    return [str(start), str(repository_around(start) or "")]


def _valid(entry: dict[str, Any]) -> bool:
    return (
        unchanged({**entry["files"], **entry["listed"]}, entry["missing"], entry["env"])
        and unmoved(entry["folders"])
        and unmoved(entry["plugins"])
        and still_there(entry["pins"], entry["links"])
    )


def _row(node: Node, kinds: dict[int, int]) -> dict[str, Any]:
    inputs = {
        port: [item.type, item.arity, [[ref.step, ref.port, ref.label] for ref in item.refs]]
        for port, item in node.inputs.items()
    }
    return {
        "id": node.id, "stage": node.stage, "typed": kinds[id(node.typed)], "scope": node.scope,
        "points": list(node.points), "groups": node.groups, "inputs": inputs, "partial": node.partial,
    }  # fmt: skip


def _node(row: dict[str, Any], typed: list[Typed]) -> Node:
    inputs = {
        port: Input(kind, arity, tuple(InputRef(*ref) for ref in refs))
        for port, (kind, arity, refs) in row["inputs"].items()
    }
    return Node(
        row["id"],
        row["stage"],
        typed[row["typed"]],
        row["scope"],
        tuple(row["points"]),
        row["groups"],
        {},
        inputs=inputs,
        partial=row["partial"],
    )

"""Artifacts named by where they came from: `run://<run>/<stage>[.<port>]`, `registry://<name>[/<version>[/<port>]]`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldlc.plan.diagnostic import did_you_mean, fail
from mldlc.plan.versions import Source
from mldlc.store.layout import existing_store
from mldlc.store.objects import has_tree, read_tree, tree_files

NAMED = ("run://", "registry://")
PORT = "model"


def is_named(uri: str) -> bool:
    """Whether a URI names an artifact of a run or of a registry."""
    return uri.startswith(NAMED)


def digest_of(uri: str, outputs: Path) -> str:
    """The artifact that an address stands for now. DiagnosticError with the nearest names where there is none."""
    found = _of_run(uri, outputs) if uri.startswith("run://") else _of_registry(uri, outputs)
    store = existing_store(outputs)
    if store is None or not has_tree(store, found):
        raise fail(
            "missing_data", f"the store no longer has what {uri} stands for (artifact {found[:12]})", found=uri,
            hint="run it again: mldlc reproduce, or name the folder of a published copy",
        )  # fmt: skip
    return found


def open_named(uri: str, digest: str, outputs: Path) -> Source:
    """The files of a pinned artifact, in place. FileNotFoundError when it is gone."""
    store = existing_store(outputs)
    if store is None:
        raise FileNotFoundError(f"no store under {outputs}")
    files = tree_files(store, digest)
    digests = tuple(name for name, _ in read_tree(store, digest).files.values())
    return Source(tuple(map(str, files.values())), tuple(files), digests=digests)


def _of_run(uri: str, outputs: Path) -> str:
    found = re.fullmatch(r"run://([^/]+)/([^/.]+)(?:\.(\w+))?", uri)
    if not found:
        raise fail("bad_address", f"'{uri}' is no address of a run's artifact", hint="run://<run>/<stage>[.<port>]")
    run, stage, port = found[1], found[2], found[3] or PORT
    folder = outputs / "runs" / run
    try:
        steps: Mapping[str, Any] = json.loads((folder / "summary.json").read_bytes())["steps"]
    except (OSError, ValueError, KeyError):
        there = _names(outputs / "runs")
        ended = "has no summary: it is not over, or was killed" if folder.is_dir() else "is not here"
        hint = did_you_mean(run, there) or f"runs: {', '.join(there[-5:]) or 'none'} (mldlc ls)"
        raise fail("unknown_run", f"run '{run}' {ended}", found=uri, hint=hint) from None
    chosen = {id: step.get("digests") or {} for id, step in steps.items() if stage in (id, id.partition("#")[0])}
    made = {id: digests[port] for id, digests in chosen.items() if port in digests}
    if len(set(made.values())) == 1:
        return str(next(iter(made.values())))
    if made:
        shown = ", ".join(f"{run}:{id}" for id in made)
        raise fail("ambiguous_stage", f"run '{run}' has several stages '{stage}'", found=uri, hint=f"name one: {shown}")
    if chosen:
        ports = sorted({name for digests in chosen.values() for name in digests})
        text = f"stage '{stage}' of run '{run}' gave no '{port}'"
        raise fail("unknown_output", text, found=uri, hint=f"it gave {', '.join(ports) or 'nothing'}")
    with_it = [id for id, step in steps.items() if port in (step.get("digests") or {})]
    hint = did_you_mean(stage, with_it) or f"stages with a {port}: {', '.join(with_it) or 'none'}"
    raise fail("unknown_stage", f"run '{run}' has no stage '{stage}'", found=uri, hint=hint)


def _of_registry(uri: str, outputs: Path) -> str:
    found = re.fullmatch(r"registry://([^/]+)(?:/([^/]+))?(?:/([^/]+))?", uri)
    if not found:
        raise fail("bad_address", f"'{uri}' is no address in a registry", hint="registry://<name>[/<version>]")
    name, version, port = found[1], found[2] or "current", found[3] or PORT
    folder = outputs / "published" / name
    place = folder / "current" if version == "current" else folder / "versions" / version
    try:
        artifacts = json.loads((place / "manifest.json").read_bytes())["artifacts"]
    except (OSError, ValueError, KeyError):
        known = _names(folder / "versions") if folder.is_dir() else _names(outputs / "published")
        what = f"version '{version}'" if folder.is_dir() else "published model"
        hint = did_you_mean(version if folder.is_dir() else name, known) or f"there is: {', '.join(known) or 'nothing'}"
        raise fail("missing_data", f"registry '{name}' has no such {what}", found=uri, hint=hint) from None
    if port not in artifacts:
        raise fail("unknown_output", f"{uri} has no '{port}'", found=uri, hint=f"it has {', '.join(artifacts)}")
    return str(artifacts[port])


def _names(folder: Path) -> list[str]:
    return sorted(e.name for e in folder.iterdir() if not e.name.startswith(".")) if folder.is_dir() else []

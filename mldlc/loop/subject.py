"""What the argument of `mldlc lineage` names: a stage, a run, run:stage, a digest, or a place in versioned data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.engine.history import events, find
from mldlc.loop.lineage import Index
from mldlc.plan.diagnostic import DiagnosticError, fail, nearest
from mldlc.plan.versions import Commit, Entry, PathNotFound, Versions, VersionsError
from mldlc.store.objects import read_tree
from mldlc.store.repository import is_versioned, open_repository, parse_address

SHORTEST = 6  # digits of a digest
MOST = 1000  # files of a versioned folder that are looked up


@dataclass(frozen=True)
class Subject:
    """What to walk from. commit: of a versioned place {id, message, time, committer, metadata, path}.

    put: versioned files that no artifact holds: somebody put them there, the commit says who.
    """

    text: str
    digests: tuple[str, ...]
    index: Index
    commit: dict[str, Any] = field(default_factory=dict)
    put: tuple[str, ...] = ()


def find_subject(text: str, outputs: Path) -> Subject:
    """Read the argument. DiagnosticError `unknown_artifact` with the nearest names, `ambiguous_digest`, `no_store`."""
    if is_versioned(text):
        return _address(text, outputs)
    run, colon, stage = text.partition(":")
    if colon:
        return _stage(text, outputs, run, stage)
    steps = _run_steps(outputs, "latest")
    if text in steps or text in {stage for stage, _, _ in steps.values()}:
        return _stage(text, outputs, "latest", text)
    if text == "latest" or _is_run(outputs, text):
        return _stage(text, outputs, text, "")
    if re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", text):
        return _digest(text, outputs)
    names = [*{stage for stage, _, _ in steps.values()}, *steps, *_runs(outputs)]
    near = nearest(text, names)
    stages = ", ".join(dict.fromkeys(stage for stage, _, _ in steps.values()))
    hint = f"did you mean '{near}'?" if near else f"stages of the latest run: {stages}" if stages else "mldlc ls runs"
    raise fail("unknown_artifact", f"'{text}' is no stage, run, digest or store:// address", found=text, hint=hint)


def _runs(outputs: Path) -> list[str]:
    root = outputs / "runs"
    return sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []


def _is_run(outputs: Path, text: str) -> bool:
    return any(name.startswith(text) for name in _runs(outputs)) and not re.fullmatch(r"[0-9a-f]{16,}", text)


def _run_steps(outputs: Path, run: str) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Step id -> (stage, key, digests) of the steps of a run that have results; {} when there is no such run."""
    try:
        folder = find(outputs, run)
    except DiagnosticError:
        if run == "latest":
            return {}
        raise
    found: dict[str, tuple[str, str, dict[str, str]]] = {}
    for event in events(folder):
        if event.data.get("digests") is not None:
            found[event.step] = event.data.get("stage", ""), event.data.get("key") or "", event.data["digests"]
    return found


def _stage(text: str, outputs: Path, run: str, stage: str) -> Subject:
    """The artifacts of one stage of a run, or (stage "") those that nothing else of the run takes."""
    steps = _run_steps(outputs, run)
    index = Index(outputs, [key for _, key, _ in steps.values() if key])
    if stage:
        chosen = [digests for id, (name, _, digests) in steps.items() if stage in (id, name)]
        if not chosen:
            names = sorted({name for name, _, _ in steps.values()})
            near = nearest(stage, names)
            hint = f"did you mean '{near}'?" if near else f"it has results of {', '.join(names) or 'nothing'}"
            raise fail("unknown_stage", f"run '{run}' has no result of a stage '{stage}'", found=stage, hint=hint)
        return Subject(text, tuple(d for digests in chosen for d in digests.values()), index)
    used = {d for record in index.records.values() for labels in record.inputs.values() for d in labels.values()}
    ends = [d for _, _, digests in steps.values() for d in digests.values() if d not in used]
    if not ends:
        raise fail("no_results", f"run '{find(outputs, run).name}' has no results", hint=f"mldlc show {run}")
    return Subject(text, tuple(dict.fromkeys(ends)), index)


def _digest(text: str, outputs: Path) -> Subject:
    """An artifact by the first digits of its digest, a key, a file in artifacts, or a commit of the embedded store."""
    index = Index(outputs)
    index.read_all()
    artifacts = sorted(digest for digest in {*index.makers, *index.users} if digest.startswith(text))
    keys = sorted(key for key in index.records if key.startswith(text))
    if len(artifacts) + len(keys) > 1:
        shown = ", ".join(name[:16] for name in [*artifacts, *keys][:4])
        raise fail("ambiguous_digest", f"'{text}' could be {shown}", found=text, hint="write more digits")
    if artifacts:
        return Subject(text, tuple(artifacts), index)
    if keys:
        return Subject(text, tuple(out.digest for out in index.records[keys[0]].outputs.values()), index)
    holding = holders(index, [text])
    if holding:
        return Subject(text, tuple(dict.fromkeys(d for found in holding.values() for d in found)), index)
    if (outputs / "store" / "heads").is_dir():
        try:
            return _place(text, open_repository("store://", outputs), text, "", index)
        except VersionsError:
            pass
    message = f"no artifact, file, key or commit in the store begins with {text}"
    raise fail("unknown_artifact", message, found=text, hint="mldlc show, mldlc data log")


def _address(text: str, outputs: Path) -> Subject:
    place = parse_address(text)
    try:
        versions = open_repository(place.repository, outputs)
        return _place(text, versions, place.ref, place.path, Index(outputs))
    except VersionsError as error:
        raise fail("unknown_artifact", str(error), found=text) from None


def _place(text: str, versions: Versions, ref: str, path: str, index: Index) -> Subject:
    """A commit, or files in it: their digests lead to the artifacts that hold them, its metadata to the run."""
    head = versions.commit(ref)
    entries = _entries(versions, head.id, path)
    near = head if not path else next(versions.log(head.id, path, limit=1), head)
    run = near.metadata.get("mldlc.run", "")
    if run and (index.outputs / "runs" / run).is_dir():
        index = Index(index.outputs, [key for _, key, _ in _run_steps(index.outputs, run).values() if key])
    holding = holders(index, [entry.digest for entry in entries])
    digests = dict.fromkeys(digest for found in holding.values() for digest in found)
    put = tuple(entry.path for entry in entries if entry.digest not in holding)
    return Subject(text, tuple(digests), index, _told(near, path), put)


def _entries(versions: Versions, commit: str, path: str) -> list[Entry]:
    if path and not path.endswith("/"):
        try:
            return [versions.entry(commit, path)]
        except PathNotFound:
            path += "/"
    found = []
    for entry in versions.entries(commit, path):
        found.append(entry)
        if len(found) == MOST:
            break
    if not found and path:
        versions.source(commit, path)  # says what is near
    return found


def _told(commit: Commit, path: str) -> dict[str, Any]:
    return {
        "id": commit.id, "message": commit.message, "time": commit.time, "committer": commit.committer,
        "metadata": dict(commit.metadata), "path": path,
    }  # fmt: skip


def holders(index: Index, files: Iterable[str]) -> dict[str, list[str]]:
    """File digest (or a start of one) -> artifacts that hold it. Records already read are asked before all others."""
    wanted = list(dict.fromkeys(files))
    found = _hold(index, wanted, index.makers)
    if len(found) < len(wanted) and not index.whole:
        seen = set(index.makers)
        index.read_all()
        rest = [item for item in wanted if item not in found]
        found |= _hold(index, rest, [digest for digest in index.makers if digest not in seen])
    return found


def _hold(index: Index, wanted: list[str], artifacts: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    whole = {item for item in wanted if len(item) == 64}
    starts = [item for item in wanted if len(item) < 64]
    for digest in artifacts if wanted else ():
        try:
            names = {name for name, _ in read_tree(index.store, digest).files.values()}
        except (OSError, ValueError):
            continue
        for item in [*(whole & names), *(s for s in starts if any(name.startswith(s) for name in names))]:
            found.setdefault(item, []).append(digest)
    return found

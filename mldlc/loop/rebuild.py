"""Lays out, in a scratch place, what a run was made of: its code, its data, its plan. What is gone is named."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldlc.compiler.code import CodeHasher
from mldlc.compiler.revision_data import RevisionData, data_folder
from mldlc.engine.history import events, find, read_run
from mldlc.loop.pins import ENVIRONMENT, PATCH, environment, git, read_pins
from mldlc.loop.stale import load_plan
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail
from mldlc.plan.plan import Plan
from mldlc.plan.step import Source, Step
from mldlc.plan.versions import VersionsError
from mldlc.store.codetree import tree_digest
from mldlc.store.layout import Store, existing_store, open_store
from mldlc.store.named import is_named
from mldlc.store.objects import read_tree
from mldlc.store.records import read_record
from mldlc.store.repository import is_versioned, open_repository, parse_address
from mldlc.store.statcache import StatCache, source_token

VERSION_FOLDERS = ("ranges", "trees", "commits", "heads", "tags")


@dataclass(frozen=True)
class Rebuilt:
    """A run, ready to be executed again. plan: every step to run, in `scratch`. then: step -> port -> the run's digest.

    left_out: step -> why it is not made again. notes: what differs from then without being a pin.
    """

    run: str
    plan: Plan
    scratch: Path
    then: dict[str, dict[str, str]]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def rebuild(outputs: Path, run: str, scratch: Path, *, drift: bool = False, until: str = "") -> Rebuilt:
    """Lay a run out under `scratch`. drift: a package or a module of mldlc that moved is a note, not an error.

    DiagnosticError `pin_gone`: every source file, code revision, package that is no longer what it was; `no_results`.
    """
    folder = find(outputs, run)
    plan = load_plan(folder / "plan.json")
    then, keys = _results(outputs, folder)
    targets, left_out = _targets(plan, then, until)
    if not targets:
        raise fail(
            "no_results", f"run '{folder.name}' has no results to compare with", hint=f"mldlc show {folder.name}"
        )
    steps = [step for step in plan.steps if step.id in targets]
    pins, pinned_in = _pins(outputs, folder, plan, keys)
    gone: list[str] = []
    drifted: list[str] = []
    code = _code(plan, pins, pinned_in, outputs, scratch, gone) if plan.snapshot.code else {}
    drifted += _own_code(plan, steps, scratch, str(pins.get("mldlc", "")))
    drifted += _packages(plan)
    tokens = _tokens(outputs, keys)
    store = open_store(scratch)
    cache = StatCache(scratch / "cache" / "stat.json")
    for source in {source.uri: source for step in steps for source in step.sources}.values():
        _restore(plan, source)
        _check_source(source, tokens.get(source.uri) or source.token, cache, outputs, store.root, gone)
    cache.save()
    if gone or (drifted and not drift):
        hint = "" if gone else "the same versions, or --allow-drift to see what they change"
        found = [*gone, *([] if drift else drifted)]
        raise DiagnosticError(Diagnostic("pin_gone", text, found=folder.name, hint=hint) for text in found)
    if (outputs / "approvals").is_dir():
        shutil.copytree(outputs / "approvals", scratch / "approvals")
    fresh = tuple(_again(step, step.id in targets, tokens) for step in plan.steps)
    here = replace(plan.config, rev="")  # the code is laid out as folders, wherever it came from
    remade = replace(plan, steps=fresh, outputs=str(scratch), snapshot=replace(plan.snapshot, code=code), config=here)
    notes = (*_notes(plan, pinned_in), *(drifted if drift else ()))
    return Rebuilt(folder.name, remade, scratch, {id: then[id] for id in targets}, left_out, notes)


def _results(outputs: Path, folder: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """(step -> digests, step -> key) of a run, ended or not."""
    info = read_run(outputs, folder.name)
    then = {id: dict(step["digests"]) for id, step in info.steps.items() if step.get("digests")}
    return then, {event.step: event.data["key"] for event in events(folder) if event.data.get("key")}


def _targets(plan: Plan, then: Mapping[str, Any], until: str) -> tuple[set[str], dict[str, str]]:
    """Steps to make again: pure ones and gates with results whose inputs are made again too. Effects stay undone."""
    wanted = _above(plan, until) if until else {step.id for step in plan.steps}
    targets: set[str] = set()
    left_out: dict[str, str] = {}
    for step in plan.steps:
        if step.id not in wanted:
            left_out[step.id] = f"after {until}"
        elif step.purity == "effect":
            left_out[step.id] = "it acts outside the store"
        elif step.id not in then:
            left_out[step.id] = "the run has no result of it"
        elif missing := [id for id in step.upstream() if id not in targets]:
            left_out[step.id] = f"it needs {', '.join(missing)}"
        else:
            targets.add(step.id)
    return targets, left_out


def _above(plan: Plan, stage: str) -> set[str]:
    steps = plan.by_id()
    todo = [step.id for step in plan.steps if stage in (step.stage, step.id)]
    if not todo:
        stages = ", ".join(dict.fromkeys(step.stage for step in plan.steps))
        raise fail("unknown_stage", f"command line: no stage '{stage}'", found=stage, hint=f"stages: {stages}")
    seen: set[str] = set()
    while todo:
        id = todo.pop()
        if id not in seen:
            seen.add(id)
            todo += steps[id].upstream()
    return seen


def _again(step: Step, wanted: bool, tokens: Mapping[str, str]) -> Step:
    """The step with nothing known of its result."""
    sources = tuple(replace(source, token=tokens.get(source.uri) or source.token) for source in step.sources)
    action: Any = "skip" if not wanted else "gate" if step.purity == "gate" else "run"
    return replace(step, action=action, key=None, digests={}, evicted=False, reasons=(), sources=sources)


def _pins(outputs: Path, folder: Path, plan: Plan, keys: Mapping[str, str]) -> tuple[dict[str, Any], Path]:
    """The run's pins, else those of a run that made one of its artifacts from the same code; and where they lie."""
    found = read_pins(folder)
    if found:
        return found, folder
    store = existing_store(outputs)
    records = (read_record(store, key) for key in keys.values()) if store else ()
    for run in dict.fromkeys(record.run for record in records if record):
        other = outputs / "runs" / run
        pins = read_pins(other)
        if pins and pins.get("code") == plan.snapshot.code:
            return pins, other
    return {}, folder


def _code(
    plan: Plan, pins: Mapping[str, Any], folder: Path, outputs: Path, scratch: Path, gone: list[str]
) -> dict[str, str]:
    """Laid out code root -> digest: from git and the kept changes, else the frozen copy, else the root as it is."""
    state = dict(pins.get("git") or {})
    top, why = scratch / "code", "the run kept no git revision"
    if state.get("rev"):
        why = checkout(plan.config.root, state, folder / PATCH, top)
    out: dict[str, str] = {}
    for root, digest in plan.snapshot.code.items():
        inside = os.path.normpath(Path(state.get("prefix", ""), os.path.relpath(root, plan.config.root)))
        places = [top / inside, outputs / "cache" / "code" / digest, Path(root)]
        found = next((place for place in places if place.is_dir() and tree_digest(place) == digest), None)
        if found is None:
            gone.append(f"the code under {root} changed, there is no frozen copy of it, and {why or 'git has another'}")
        else:
            out[str(found)] = digest
    return out


def checkout(root: str, state: Mapping[str, str], patch: Path, target: Path) -> str:
    """Lay out a git revision and the kept local changes under `target`, without a trace in the repository.

    Gives why it could not be done, "" when it was.
    """
    rev = state["rev"]
    if state.get("dirty") and not patch.exists():
        return f"the local changes to {rev[:12]} were not kept ({state['dirty'][:40]})"
    target.mkdir(parents=True)
    index = {"GIT_INDEX_FILE": str(target.with_name("code.index"))}
    try:
        top = git(root, "rev-parse", "--show-toplevel").decode().strip()
        git(top, "cat-file", "-e", f"{rev}^{{commit}}")
    except OSError:
        return f"revision {rev[:12]} is not in the repository at {root}"
    try:
        git(top, "read-tree", rev, env=index)
        git(top, "checkout-index", "--all", "--force", f"--prefix={target}/", env=index)
        if patch.exists():
            alone = {"GIT_CEILING_DIRECTORIES": str(target.parent)}
            git(target, "apply", "--binary", "--whitespace=nowarn", str(patch.absolute()), env=alone)
    except OSError as error:
        return f"revision {rev[:12]} cannot be laid out: {error}"
    return ""


def _own_code(plan: Plan, steps: Iterable[Step], scratch: Path, version: str) -> list[str]:
    """Modules of mldlc that are no longer what the steps were made with."""
    hasher = CodeHasher((), scratch / "cache" / "code.json")
    known: dict[str, str] = {}
    for step in steps:
        known |= {name: value for name, value in plan.blobs.get(step.code, {}).items() if name.split(".")[0] == "mldlc"}
    moved = sorted(name for name, value in known.items() if hasher.digest(name) != value)
    if not moved:
        return []
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    return [f"mldlc itself changed: {', '.join(moved[:4])}{more}" + (f" (the run had {version})" if version else "")]


def _packages(plan: Plan) -> list[str]:
    """Packages that the steps name, and Python, where they moved."""
    import importlib.metadata

    out = []
    now = ".".join(map(str, sys.version_info[:3]))
    if plan.snapshot.python and plan.snapshot.python.split(".")[:2] != now.split(".")[:2]:
        out.append(f"python was {plan.snapshot.python}, is {now}")
    for name, then in plan.snapshot.packages.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        if found != then:
            out.append(f"package {name} was {then}, is {found}")
    return out


def _tokens(outputs: Path, keys: Mapping[str, str]) -> dict[str, str]:
    """Source URI -> token that the run's records tell, for sources too large to hash while planning."""
    store = existing_store(outputs)
    found: dict[str, str] = {}
    for key in keys.values() if store else ():
        record = read_record(store, key) if store else None
        found |= {uri: token for uri, token in (record.tokens if record else {}).items() if token}
    return found


def _restore(plan: Plan, source: Source) -> None:
    """Lay out again the files that a run read of a git revision, where the copies are gone and git has them."""
    folder = data_folder(Path(plan.outputs))
    gone = [path for path in source.paths if Path(path).is_relative_to(folder) and not Path(path).exists()]
    if plan.config.rev and gone:
        with suppress(DiagnosticError):  # the check of the source tells what is missing
            RevisionData(plan.config.rev, Path(plan.config.root), Path(plan.outputs)).restore(source.paths)


def _check_source(
    source: Source, token: str | None, cache: StatCache, outputs: Path, scratch: Path, gone: list[str]
) -> None:
    """Whether a source still is what was read; versioned data of the embedded store is linked into the scratch."""
    try:
        if is_named(source.uri):
            _bring_named(source, outputs, scratch)
        elif is_versioned(source.uri):
            _bring(source, outputs, scratch)
        elif source.identity in ("content", "stat") and token and source_token(source.ref(), cache, None) != token:
            gone.append(f"source {source.name} changed since: {', '.join(source.paths[:3])}")
    except DiagnosticError as error:
        gone.extend(item.message for item in error.diagnostics)
    except VersionsError as error:
        gone.append(f"source {source.uri} at commit {source.commit[:12]}: {error}")


def _bring(source: Source, outputs: Path, scratch: Path) -> None:
    place = parse_address(source.uri)
    versions = open_repository(place.repository, outputs)
    files = versions.source(source.commit or place.ref, place.path)
    if place.repo:
        return  # remote: read there again
    real = outputs / "store"
    for name in VERSION_FOLDERS:
        if (real / name).is_dir() and not (scratch / name).exists():
            (scratch / name).symlink_to((real / name).absolute(), target_is_directory=True)
    for path in map(Path, files.paths):
        target = scratch / "objects" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _link(path, target)


def _bring_named(source: Source, outputs: Path, scratch: Path) -> None:
    """Link an artifact of an earlier run into the scratch: its files and the tree that names them."""
    found = outputs / "store" / "objects"
    try:
        names = [
            source.commit,
            *(name for name, _ in read_tree(Store(outputs / "store"), source.commit).files.values()),
        ]
    except (OSError, ValueError) as error:
        raise fail("missing_data", f"what {source.uri} stood for is gone from the store: {error}") from None
    for name in names:
        target = scratch / "objects" / name[:2] / name[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _link(found / name[:2] / name[2:], target)


def _link(path: Path, target: Path) -> None:
    make: Callable[[Path, Path], object] = os.link
    try:
        make(path, target)
    except OSError:  # another file system
        shutil.copyfile(path, target)


def _notes(plan: Plan, folder: Path) -> list[str]:
    """What differs from then and is no pin: the machine, packages that no step names."""
    out = []
    cpus = len(os.sched_getaffinity(0))
    if plan.snapshot.hardware and plan.snapshot.hardware != f"cpu:{cpus}":
        out.append(f"made on {plan.snapshot.hardware}, here cpu:{cpus}")
    lock = folder / ENVIRONMENT
    if lock.exists():
        then, now = (dict(item.split("==") for item in lines) for lines in (lock.read_text().split(), environment()))
        moved = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        if moved:
            more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
            out.append(f"installed packages that moved: {', '.join(moved[:4])}{more}")
    sources = [source.name for step in plan.steps for source in step.sources if source.identity == "always"]
    return out + [f"source {name} has no identity to compare" for name in dict.fromkeys(sources)]

"""Pass `observe`: freezes the world. The passes after it ask the snapshot, never the world."""

from __future__ import annotations

import datetime
import os
import sys
from dataclasses import replace
from pathlib import Path

from mldlc.compiler.draft import Draft, Node
from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import path_stamp
from mldlc.plan import clock
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError
from mldlc.plan.plan import Snapshot
from mldlc.plan.source import SourceRef
from mldlc.store.codetree import tree_digest
from mldlc.store.named import digest_of, is_named
from mldlc.store.repository import SCHEMES, connection, parse_address
from mldlc.store.statcache import StatCache, source_identity

HASH_LIMIT = 256 * 1024 * 1024  # bytes that planning may hash; larger content is `maybe` until collect reads it

ABSENT = "absent"  # the version of a package that is not installed
CLOCK = "clock:"  # sources whose version is the last time of a schedule


def now() -> datetime.datetime:
    """The time that a snapshot is of; nothing else in the compiler asks the clock."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def ambient(code: tuple[Path, ...], root: Path, commit: str = "") -> Snapshot:
    """What can be known before the config is read: time, machine, code roots, git revision.

    commit: of a project that is read from git, whose code is laid out when the outputs folder is known.
    """
    return Snapshot(
        as_of=now().isoformat().replace("+00:00", "Z"),
        python=".".join(map(str, sys.version_info[:3])),
        hardware=f"cpu:{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        code={} if commit else {str(path): tree_digest(path) for path in code},
        git={"rev": commit} if commit else git_revision(root),
    )


def run(draft: Draft) -> None:
    """Freeze the ambient snapshot; sources and packages join it when typing has named them."""
    revision = draft.ask.project.revision
    draft.snapshot = ambient(draft.code, draft.root, revision.rev if revision else "")


def observe_sources(draft: Draft, wanted: list[tuple[SourceRef, Node]]) -> None:
    """Freeze the tokens of outside sources into the snapshot; each URI is observed once. Versioned ones are pinned.

    DiagnosticError with every file that is missing or cannot be read, at the config that names it.
    """
    cache = StatCache(draft.outputs / "cache" / "stat.json")
    tokens = dict(draft.snapshot.sources)
    versioned = list(dict.fromkeys(ref.uri for ref, _ in wanted if ref.uri.startswith(SCHEMES)))
    if versioned and not draft.ask.offline:
        from mldlc.store.pinning import pin_all
        from mldlc.store.published import check_sources

        for point in draft.points:
            check_sources(point.config, versioned)
        pins = pin_all(versioned, draft.outputs, connection(draft.points[0].config), draft.held)
        if draft.ask.locked:
            _check_locked(draft, wanted, {uri: pin.commit for uri, pin in pins.items()})
        tokens |= {uri: pin.token for uri, pin in pins.items()}
        refs = {uri: pin.commit for uri, pin in pins.items()}
        draft.contents |= {uri: pin.digests for uri, pin in pins.items()}
        draft.snapshot = replace(draft.snapshot, refs={**draft.snapshot.refs, **refs})
    if not draft.ask.offline:
        clocks = [ref.uri for ref, _ in wanted if ref.uri.startswith(CLOCK)]
        tokens |= {uri: clock.last(uri.removeprefix(CLOCK), draft.snapshot.as_of) for uri in clocks}
    wrong: dict[str, Diagnostic] = {}
    _name(draft, wanted, tokens, wrong)
    for ref, node in wanted:
        if ref.uri not in {*tokens, *versioned, *wrong} and (not draft.ask.offline or _in_git(draft, ref)):
            try:
                token, draft.contents[ref.uri] = source_identity(ref, cache, HASH_LIMIT)
            except DiagnosticError as error:
                problem = error.diagnostics[0]
                if draft.rev:
                    nor = f"{problem.message}, and git holds none at {draft.snapshot.git['rev'][:7]}"
                    problem = replace(problem, message=nor)
                wrong[ref.uri] = _placed(draft, node, problem)
                continue
            if token is not None:
                tokens[ref.uri] = token
    cache.save()
    if wrong:
        raise DiagnosticError(wrong.values())
    draft.snapshot = replace(draft.snapshot, sources=tokens)


def _in_git(draft: Draft, ref: SourceRef) -> bool:
    """Whether the files of a source are those of the commit that the project is read from."""
    if not draft.rev or not ref.paths:
        return False
    from mldlc.compiler.revision_data import data_folder

    return all(Path(path).is_relative_to(data_folder(draft.outputs)) for path in ref.paths)


def _name(
    draft: Draft, wanted: list[tuple[SourceRef, Node]], tokens: dict[str, str], wrong: dict[str, Diagnostic]
) -> None:
    """Pin the artifacts of runs and registries to their digests."""
    refs = dict(draft.snapshot.refs)
    for ref, node in wanted:
        if is_named(ref.uri) and ref.uri not in {*tokens, *wrong} and not draft.ask.offline:
            try:
                tokens[ref.uri] = refs[ref.uri] = digest_of(ref.uri, draft.outputs)
            except DiagnosticError as error:
                wrong[ref.uri] = _placed(draft, node, error.diagnostics[0])
    draft.snapshot = replace(draft.snapshot, refs=refs)


def _check_locked(draft: Draft, wanted: list[tuple[SourceRef, Node]], commits: dict[str, str]) -> None:
    """DiagnosticError for data read at a ref that is neither a full commit id nor in the lock."""
    wrong = {}
    for ref, node in wanted:
        place = parse_address(ref.uri) if ref.uri in commits else None
        if place is not None and place.ref != commits[ref.uri] and place.pinned_as not in draft.held:
            hint = f"mldlc lock pins it (to {commits[ref.uri][:12]} now)"
            loose = Diagnostic("not_locked", f"'{place.pinned_as}' is not pinned", found=ref.uri, hint=hint)
            wrong[place.pinned_as] = _placed(draft, node, loose)
    if wrong:
        raise DiagnosticError(wrong.values())


def _placed(draft: Draft, node: Node, problem: Diagnostic) -> Diagnostic:
    """A problem with a file, at the key that names it."""
    for group in node.groups.values():
        for key in (f"{group}.path", f"{group}.files", group):
            if (where := draft.locate(key, node.points[0])) is not None:
                return replace(problem, where=where, key=key)
    return problem


def observe_packages(draft: Draft, names: set[str]) -> None:
    """Freeze the versions of the packages that steps name (remembered while no folder of the Python path changed)."""
    stamp = path_stamp()
    file = draft.outputs / "cache" / "packages.json"
    known = read_json(file)
    versions = dict(known.get("versions", {})) if known.get("stamp") == stamp else {}
    if not names <= set(versions):
        versions.update({name: _version(name) for name in names})
        write_json(file, {"stamp": stamp, "versions": versions})
    draft.snapshot = replace(draft.snapshot, packages={name: versions[name] for name in sorted(names)})


def _version(name: str) -> str:
    """ABSENT for a package of an extra: the step may not need it under its config, and tells when it does."""
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def git_revision(root: Path) -> dict[str, str]:
    """{rev} of the repository around `root`, read from .git without starting git; {} when there is none."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # a worktree or submodule: "gitdir: <path>"
                git = (folder / git.read_text().partition(":")[2].strip()).resolve()
            head = (git / "HEAD").read_text().strip()
        except OSError:
            continue
        if not head.startswith("ref: "):
            return {"rev": head}
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        return {"rev": rev} if (rev := _ref(git, common, head[5:])) else {}
    return {}


def _ref(git: Path, common: Path, name: str) -> str:
    for place in (git / name, common / name):
        if place.exists():
            return place.read_text().strip()
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.exists() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")

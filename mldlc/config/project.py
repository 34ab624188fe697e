"""The config repository: its root, its config search path and its code roots, from `mldlc.yaml`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, did_you_mean

if TYPE_CHECKING:
    import yaml

MANIFEST = "mldlc.yaml"
KEYS = ("name", "conf", "extends", "code")


@dataclass(frozen=True)
class Project:
    """A config repository.

    conf: config search path in order of precedence (absolute folders or `git://` sources): the repository's own, what
    it extends, plugin packages, shipped. code: folders whose modules its configs may name. manifest: its `mldlc.yaml`,
    None without one. looked: other paths, there or not, that the search path depends on.
    """

    root: Path
    conf: tuple[str, ...]
    code: tuple[Path, ...]
    manifest: Path | None
    name: str
    looked: tuple[str, ...] = ()


def shipped_conf() -> Path:
    """The config groups of the package: inside the wheel, or beside the package in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def plugin_conf() -> tuple[str, ...]:
    """Config folders of installed packages: entry points `mldlc.conf`, value `package.folder`, not imported."""
    folders = []
    for entry in sorted(importlib.metadata.entry_points(group="mldlc.conf"), key=lambda entry: entry.name):
        top, _, rest = entry.value.partition(".")
        spec = importlib.util.find_spec(top)
        for base in (spec.submodule_search_locations or ()) if spec else ():
            folders.append(str(Path(base, *rest.split(".")) if rest else Path(base)))
    return tuple(folders)


def find_project(start: Path) -> Project:
    """The project of a folder: that of the nearest `mldlc.yaml` upward, else the folder with the shipped configs only.

    Raises DiagnosticError with every mistake of the manifest.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        manifest = folder / MANIFEST
        if manifest.is_file():
            return _from_manifest(folder, manifest.read_text("utf-8"), manifest, None)
    return Project(start, _with_shipped(()), (), None, start.name)


def project_at(repo: Path, rev: str) -> Project:
    """The project as it was in a revision: its config is read from git, nothing is checked out."""
    from mldlc.config.gittree import GitAddress, GitTree, resolve_revision, run_git

    repo = repo.resolve()
    commit = resolve_revision(repo, rev)
    prefix = run_git(repo, "rev-parse", "--show-prefix").stdout.decode().strip()
    text = GitTree(GitAddress(commit, prefix.strip("/"), repo)).read(MANIFEST)
    if text is None:
        text = "conf: [conf]"
    return _from_manifest(repo, text, repo / MANIFEST, lambda folder: f"git://{commit}:{prefix}{folder}@{repo}")


def _with_shipped(own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*own, *plugin_conf(), str(shipped_conf()))))


def _from_manifest(root: Path, text: str, manifest: Path, pin: Callable[[str], str] | None) -> Project:
    errors: list[Diagnostic] = []
    keys = _read(text, errors)
    conf = _texts(keys, "conf", errors) or ([("conf", 0)] if pin or (root / "conf").is_dir() else [])
    own: list[str] = []
    looked = [] if conf else [str(root / "conf")]
    for folder, line in conf:
        if folder.startswith("git://"):
            own += _extended(folder, line, root, errors, set(), [])
        elif pin is not None:
            own.append(pin(folder))
        elif not (root / folder).is_dir():
            errors.append(_mistake("missing_folder", f"conf: no folder '{folder}'", line))
        else:
            own.append(str((root / folder).resolve()))
    seen = {root}
    for entry, line in _texts(keys, "extends", errors):
        own += _extended(entry, line, root, errors, seen, looked)
    code = []
    for folder, line in _texts(keys, "code", errors):
        if pin is None and not (root / folder).is_dir():
            errors.append(_mistake("missing_folder", f"code: no folder '{folder}'", line))
        code.append((root / folder).resolve())
    name = _texts(keys, "name", errors)
    if errors:
        raise DiagnosticError(errors)
    return Project(
        root, _with_shipped(tuple(own)), tuple(code), manifest, name[0][0] if name else root.name, tuple(looked)
    )


def _extended(
    entry: str, line: int, root: Path, errors: list[Diagnostic], seen: set[Path], looked: list[str]
) -> list[str]:
    """Config folders of one `extends:` entry: a git source, a folder, another config repository (without its code)."""
    if entry.startswith("git://"):
        from mldlc.config.gittree import GitTree, parse_address

        try:
            address = parse_address(entry, root)
            GitTree(address)
        except DiagnosticError as error:
            errors += [_mistake(d.code, d.message, line, hint=d.hint, allowed=d.allowed) for d in error.diagnostics]
            return []
        return [str(address)]
    folder = (root / entry).resolve()
    if not folder.is_dir():
        errors.append(_mistake("missing_folder", f"extends: no folder '{entry}'", line))
        return []
    manifest = folder / MANIFEST
    looked.append(str(manifest))
    if not manifest.is_file():
        return [str(folder)]
    if folder in seen:
        errors.append(_mistake("cycle", f"extends: '{entry}' extends this repository again", line))
        return []
    inner = _read(manifest.read_text("utf-8"), errors)
    found = [str((folder / name).resolve()) for name, _ in _texts(inner, "conf", errors) or [("conf", 0)]]
    for name, _ in _texts(inner, "extends", errors):
        found += _extended(name, line, folder, errors, seen | {folder}, looked)
    return found


def _read(text: str, errors: list[Diagnostic]) -> dict[str, yaml.Node]:
    """Top-level keys of a manifest with their nodes; unknown keys and broken YAML become diagnostics."""
    import yaml

    from mldlc.config.marks import parse, syntax_error

    try:
        node = parse(text)
    except yaml.YAMLError as error:
        errors.append(syntax_error(error, MANIFEST))
        return {}
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        errors.append(_mistake("wrong_type", f"expected the keys {', '.join(KEYS)}", node.start_mark.line + 1))
        return {}
    keys = {}
    for key, value in node.value:
        if key.value in KEYS:
            keys[key.value] = value
        else:
            hint = did_you_mean(key.value, KEYS) or f"there are: {', '.join(KEYS)}"
            errors.append(_mistake("unknown_key", f"unknown key '{key.value}'", key.start_mark.line + 1, hint=hint))
    return keys


def _texts(keys: dict[str, yaml.Node], name: str, errors: list[Diagnostic]) -> list[tuple[str, int]]:
    """The text, or the list of texts, under a key, each with its line."""
    import yaml

    node = keys.get(name)
    items = [] if node is None else node.value if isinstance(node, yaml.SequenceNode) and name != "name" else [node]
    good = [
        (item.value, item.start_mark.line + 1) for item in items if isinstance(item, yaml.ScalarNode) and item.value
    ]
    if node is not None and len(good) < len(items):
        message = f"{name}: expected a text" + ("" if name == "name" else " or a list of texts")
        errors.append(_mistake("wrong_type", message, node.start_mark.line + 1))
    return good


def _mistake(code: str, message: str, line: int, **fields: Any) -> Diagnostic:
    return Diagnostic(code, message, where=Location(MANIFEST, line), **fields)

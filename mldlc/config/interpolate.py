"""Resolve interpolations on plain values as OmegaConf would: node references here, everything else by the seam."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
_REFERENCE = re.compile(r"\$\{(\.*)([A-Za-z_]\w*(?:\.\w+)*)\}", re.ASCII)
_RESOLVER = re.compile(r"\$\{\s*([A-Za-z_][\w.\-]*)\s*:")
_CONSTANT = frozenset({"oc.env", "now", "python_version"})  # do not depend on other config values
_KNOWN = frozenset(
    {*_CONSTANT, "oc.create", "oc.decode", "oc.deprecated", "oc.dict.keys", "oc.dict.values", "oc.select"}
)
MISSING = "???"


class _NeedSeam(Exception):
    """This interpolation is beyond plain node references."""


def dotted(path: Sequence[str | int]) -> str:
    """A path as a config key."""
    return ".".join(map(str, path))


def resolvers(text: str) -> set[str]:
    """Names of the resolvers in a text; "?" for one whose name is itself interpolated."""
    names = set(_RESOLVER.findall(text)) | ({"hydra"} if "${hydra." in text else set())
    return names | {"?"} if re.search(r"\$\{[^{}:]*\$\{[^}]*\}[^{}]*:", text) else names


def references(text: str, path: Path) -> list[str]:
    """Keys that the plain node references of a text at `path` name."""
    found = []
    for match in _REFERENCE.finditer(text):
        above = path[: -len(match[1])] if match[1] else ()
        found.append(dotted((*above, *match[2].split("."))))
    return found


def is_repeatable(text: str) -> bool:
    """Whether a text resolves to the same value tomorrow, given the same environment variables."""
    return resolvers(text) <= _KNOWN - {"now"}


def is_constant(text: str) -> bool:
    """Whether a text needs the seam but no other config value, so that every point of a sweep shares its result."""
    names = resolvers(text)
    return bool(names) and names <= _CONSTANT and text.count("${") == len(_RESOLVER.findall(text))


@dataclass
class Resolution:
    """A resolved config. texts: path -> text of each interpolation. seamed: those that the seam had to resolve."""

    raw: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    seamed: dict[Path, Any] = field(default_factory=dict)
    failures: dict[Path, Exception] = field(default_factory=dict)
    missing: list[Path] = field(default_factory=list)


class Resolver:
    """Resolves one plain config; `seam(path)` gives the value of what is beyond node references.

    `known` holds values of interpolations that need not be asked for again.
    """

    def __init__(self, raw: dict[str, Any], seam: Callable[[Path], Any], known: dict[Path, Any] | None = None) -> None:
        self.out = Resolution(raw)
        self._seam = seam
        self._known = known or {}
        self._active: set[Path] = set()

    def run(self) -> Resolution:
        """Resolve everything; failures are collected, not raised."""
        self.out.config = self._walk(self.out.raw, (), True)
        return self.out

    def _walk(self, node: Any, path: Path, note: bool) -> Any:
        if isinstance(node, dict):
            new: Any = {key: self._walk(value, (*path, key), note) for key, value in node.items()}
            return new
        if isinstance(node, list):
            return [self._walk(value, (*path, index), note) for index, value in enumerate(node)]
        if isinstance(node, str) and ("${" in node or node == MISSING):
            if node == MISSING:
                if note:
                    self.out.missing.append(path)
                return node
            if note:
                self.out.texts[path] = node
                try:
                    return self.value(node, path)
                except Exception as error:  # whatever a resolver raises
                    self.out.failures[path] = error
                    return None
            return self.value(node, path)
        return node

    def value(self, text: str, path: Path) -> Any:
        """The value of an interpolated text that stands at `path`."""
        if path in self._active:
            return self._ask(path)
        self._active.add(path)
        try:
            whole = _REFERENCE.fullmatch(text)
            if whole is not None:
                return self._target(whole, path)
            rest = _REFERENCE.sub("", text)
            if "${" in rest or "\\" in text:
                return self._ask(path)
            return _REFERENCE.sub(lambda match: self._scalar(match, path), text)
        except _NeedSeam:
            return self._ask(path)
        finally:
            self._active.discard(path)

    def _ask(self, path: Path) -> Any:
        if path in self._known:
            value = self._known[path]
        else:
            value = self._seam(path)
        self.out.seamed[path] = value
        return value

    def _scalar(self, match: re.Match[str], path: Path) -> str:
        value = self._target(match, path)
        if isinstance(value, dict | list):
            raise _NeedSeam
        return str(value)

    def _target(self, match: re.Match[str], path: Path) -> Any:
        dots, names = len(match[1]), match[2].split(".")
        if dots > len(path):
            raise _NeedSeam
        at: Path = path[:-dots] if dots else ()
        node: Any = self.out.raw
        for part in at:
            node = node[part]
        for name in names:  # a reference through an interpolated node ends here too: its text is no mapping
            if not isinstance(node, dict) or name not in node:
                raise _NeedSeam
            node, at = node[name], (*at, name)
        if node == MISSING:
            raise _NeedSeam
        if at in self._active:
            raise _NeedSeam
        return self._walk(node, at, False)


def resolve(cfg: Any, number: int | None) -> Resolution:
    """Resolve a composed config of the seam; `number` is its place in a sweep, for `${hydra:job.num}`."""
    from mldlc.config import seam

    bound = False

    def ask(path: Path) -> Any:
        nonlocal bound
        if not bound:
            seam.bind(cfg, number)
            bound = True
        return seam.value_at(cfg, path)

    return Resolver(seam.plain(cfg), ask).run()


def overlay(base: Resolution, changes: dict[Path, Any], shared: dict[Path, Any]) -> Resolution | None:
    """A point of a sweep as the base with some leaves replaced; untouched subtrees are the base's own objects.

    `shared`: the seam's values that no config value can change. None when plain replacement would not be exact:
    a key that is not there, a mapping in the way, or an interpolation that only the seam can resolve.
    """
    for path, value in changes.items():
        node: Any = base.raw
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] not in node or isinstance(node[path[-1]], dict):
            return None
        if isinstance(value, dict) or value == MISSING or _deep(value):
            return None
    if any(path not in shared and not _covered(path, changes) for path in base.seamed):
        return None
    raw = base.raw
    config = base.config
    for path, value in changes.items():
        raw = _replaced(raw, path, value)
        config = _replaced(config, path, value)
    if not base.texts and not any("${" in value for value in changes.values() if isinstance(value, str)):
        return Resolution(raw, config, {}, {}, {}, [p for p in base.missing if p not in changes])

    def refuse(path: Path) -> Any:
        raise _NeedSeam

    resolver = Resolver(raw, refuse, shared)
    texts = {p: t for p, t in base.texts.items() if not _covered(p, changes)}
    texts |= {p: v for p, v in changes.items() if isinstance(v, str) and "${" in v}
    try:
        for path, text in texts.items():
            value = resolver.value(text, path)
            if path in changes or not _same(_at(base.config, path), value):
                config = _replaced(config, path, value)
    except _NeedSeam:
        return None
    return Resolution(raw, config, texts, resolver.out.seamed, {}, [p for p in base.missing if p not in changes])


def _deep(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(v, dict | list) or (isinstance(v, str) and "${" in v) for v in value
    )


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and not isinstance(old, dict | list) and bool(old == new)


def _covered(path: Path, changes: dict[Path, Any]) -> bool:
    return any(path[: len(changed)] == changed for changed in changes)


def _at(node: Any, path: Path) -> Any:
    for part in path:
        node = node[part]
    return node


def _replaced(node: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    new = node.copy()
    new[path[0]] = _replaced(node[path[0]], path[1:], value)
    return new

"""The code hash: the import closure of a module inside first-party code, each file by its normalised AST.

Comments, formatting and docstrings do not count. The closure stops at mldlc's own light layers (plan, store, config,
engine, specs): their meaning is covered by step versions and by the hashed config values.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mldlc
from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.own_code import OwnCode
from mldlc.plan.diagnostic import Location, fail

OWN = "mldlc"
OWN_PREFIX = "mldlc."
OWN_ROOT = Path(mldlc.__file__).parent
STOPS = ("plan", "store", "config", "engine", "compiler", "cli", "catalog", "loop")
LIGHT = ("spec", "config")  # schemas of a room: their values are hashed, so a new field with `neutral=` moves nothing


class CodeHasher:
    """Finds and hashes closures. `cache_file` keeps what parsing found, by raw digest; it is safe to delete."""

    def __init__(self, roots: Iterable[Path], cache_file: Path) -> None:
        self.roots = tuple(roots)
        self.cache_file = cache_file
        self.changed = False
        self.modules: dict[str, tuple[str, tuple[str, ...]] | None] = {}
        self.own = OwnCode(cache_file.with_name("own_code.json"))
        self._known: dict[str, Any] | None = None
        self._shadowed: dict[str, bool] = {}

    def closure(self, modules: Iterable[str], files: Iterable[tuple[str, bytes]] = ()) -> dict[str, str]:
        """Module -> digest for everything first-party that `modules` import, plus extra files (name, bytes)."""
        found: dict[str, str] = {}
        todo = [m for name in modules for m in _with_parents(name)]
        while todo:
            name = todo.pop()
            if name in found or not _first_party(name):
                continue
            if name.startswith(OWN_PREFIX) and (reached := self._reached(name)) is not None:
                found |= reached
                continue
            parsed = self._module(name)
            if parsed is None:
                continue
            found[name], imports = parsed
            for wanted in imports:
                todo.extend(_with_parents(wanted))
        found |= {name.rpartition("/")[2]: _raw(data) for name, data in files}
        return dict(sorted(found.items()))

    def _reached(self, start: str) -> dict[str, str] | None:
        """The closure of a module of mldlc, remembered; None where a code root has a module that it imports."""
        if start not in self.own:
            found: dict[str, str] = {}
            outside: set[str] = set()
            todo = _with_parents(start)
            while todo:
                name = todo.pop()
                if name in found or name in outside or not _first_party(name):
                    continue
                if not name.startswith(OWN_PREFIX):
                    outside.add(name.partition(".")[0])
                elif (parsed := self._module(name)) is not None:
                    found[name] = parsed[0]
                    todo += [item for wanted in parsed[1] for item in _with_parents(wanted)]
            self.own.remember(start, found, sorted(outside))
        found, tops = self.own.reached(start)
        return None if any(self._in_roots(top) for top in tops) else found

    def _in_roots(self, top: str) -> bool:
        if top not in self._shadowed:
            self._shadowed[top] = self.locate(top) is not None or any((root / top).is_dir() for root in self.roots)
        return self._shadowed[top]

    @property
    def known(self) -> dict[str, Any]:
        """What parsing found, by raw digest; read when a file must be parsed."""
        if self._known is None:
            self._known = read_json(self.cache_file)
        return self._known

    def digest(self, module: str) -> str:
        """Digest of one first-party module by itself, "" when there is no such module."""
        parsed = self._module(module)
        return parsed[0] if parsed else ""

    def locate(self, module: str) -> Path | None:
        """The file of a first-party module, None when there is none. Nothing is imported."""
        parts = module.split(".")
        roots = (OWN_ROOT.parent,) if parts[0] == OWN else self.roots
        for root in roots:
            for path in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
                if path.is_file():
                    return path
        return None

    def save(self) -> None:
        """Write the cache if it grew."""
        if self.changed:
            write_json(self.cache_file, self.known)
        self.own.save()

    def _module(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        if name not in self.modules:
            path = self.locate(name)
            self.modules[name] = None if path is None else self._parse(name, path)
        return self.modules[name]

    def _parse(self, name: str, path: Path) -> tuple[str, tuple[str, ...]]:
        data = path.read_bytes()
        raw = _raw(data)
        entry = self.known.get(raw, {})
        if "tree" not in entry:
            try:
                tree = ast.parse(data)
            except SyntaxError as error:
                raise fail(
                    "broken_code", f"{error.msg}", where=Location(str(path), error.lineno or 0), hint="mend the syntax"
                ) from None
            imports = sorted(set(_imports(tree)))
            entry = {"tree": _normalised(tree), "imports": imports}
            self.known[raw] = entry
            self.changed = True
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        return entry["tree"], tuple(_absolute(item, package) for item in entry["imports"])


def _first_party(name: str) -> bool:
    parts = name.split(".")
    if parts[0] != OWN:
        return True
    return len(parts) > 1 and parts[1] not in STOPS and not (len(parts) == 3 and parts[2] in LIGHT)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and all in it that holds or is a statement; expressions, most of a tree, hold none."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, name, ())


def _imports(tree: ast.Module) -> Iterator[str]:
    """Imported names; relative ones keep their dots. `from a import b` names both a and a.b, as b may be a module."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = "." * node.level + (node.module or "")
            yield stem
            joint = "" if stem.endswith(".") else "."
            yield from (f"{stem}{joint}{alias.name}" for alias in node.names if alias.name != "*")


def _absolute(name: str, package: str) -> str:
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    parts = package.split(".")
    stem = parts[: len(parts) - (level - 1)]
    return ".".join([*stem, *([name[level:]] if name[level:] else [])])


def _with_parents(name: str) -> list[str]:
    """A module and the packages whose `__init__` runs when it is imported."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _normalised(tree: ast.Module) -> str:
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            first = body[0].value if body and isinstance(body[0], ast.Expr) else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                node.body = body[1:] or [ast.Pass()]
    return _raw(_written(tree).encode())


def _written(node: Any) -> str:
    """A tree as text that every Python writes alike. `ast.dump` does not: 3.12 has fields that 3.11 lacks, 3.13 leaves
    out what is empty; and 3.12 ends some f-strings by an empty text.
    """
    if isinstance(node, ast.JoinedStr):
        node.values = [part for part in node.values if getattr(part, "value", None) != ""]
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        return f"{type(node).__name__}({','.join(f'{k}={_written(v)}' for k, v in fields if v not in (None, []))})"
    return f"[{','.join(map(_written, node))}]" if isinstance(node, list) else repr(node)


def _raw(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()

"""Checks `target: package.module:Name` by reading source, never by importing: it exists, is allowed, takes the args."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mldlc.compiler.schema_error import SchemaError
from mldlc.plan.diagnostic import did_you_mean


def check_target(
    target: str, args: dict[str, Any] | None, roots: Iterable[Path], packages: Iterable[str]
) -> list[SchemaError]:
    """Errors of one target. roots: the project's code roots; packages: installed ones that the step's kind names."""
    module, colon, name = target.partition(":")
    roots = list(roots)
    if not colon or not name or not module:
        fixed = ":".join(target.rsplit(".", 1)) if "." in target else "package.module:Name"
        return [SchemaError("bad_target", "", f"'{target}' is no target", found=target, hint=f"write '{fixed}'")]
    path = _find(module, roots)
    library = path is None and module.split(".")[0] in set(packages)
    if library:
        path = _find(module, [Path(p) for p in sys.path if p])
    if path is None:
        known = ", ".join(str(r) for r in roots) or "none: name them under `code:` in mldlc.yaml"
        return [
            SchemaError(
                "unknown_target",
                "",
                f"no module '{module}' in the project's code roots ({known})",
                found=target,
                hint=did_you_mean(module, _modules(roots)),
            )
        ]
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        return [SchemaError("broken_code", "", f"{path}:{error.lineno}: {error.msg}", found=target)]
    names = _top_level(tree)
    if name not in names:
        hint = did_you_mean(name, names)
        return [
            SchemaError(
                "unknown_target",
                "",
                f"module '{module}' has no '{name}'",
                found=target,
                allowed=tuple(sorted(names)),
                hint=hint,
            )
        ]
    return _check_args(names[name], name, args)


def _find(module: str, roots: Iterable[Path]) -> Path | None:
    parts = module.split(".")
    for root in roots:
        for path in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
            if path.is_file():
                return path
    return None


def _modules(roots: Iterable[Path]) -> list[str]:
    out = []
    for root in roots:
        for path in sorted(root.rglob("*.py"))[:2000]:
            parts = path.relative_to(root).with_suffix("").parts
            if not any(part.startswith(".") or part == "outputs" for part in parts):
                out.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return out


def _top_level(tree: ast.Module) -> dict[str, ast.AST]:
    """Names that importing the module would give: definitions, assignments and imports at top level."""
    names: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.Assign):
            names.update({t.id: node for t in node.targets if isinstance(t, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update({(a.asname or a.name).split(".")[0]: node for a in node.names})
    return names


def _check_args(node: ast.AST, name: str, args: dict[str, Any] | None) -> list[SchemaError]:
    """Unknown and missing arguments, where the signature can be read: a function, or a class with its own __init__."""
    function: ast.AST | None = node
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        function = inits[0] if inits else None
    if args is None or not isinstance(function, ast.FunctionDef) or function.args.kwarg is not None:
        return []
    skip = 1 if isinstance(node, ast.ClassDef) else 0
    positional = [*function.args.posonlyargs, *function.args.args][skip:]
    allowed = [a.arg for a in (*positional, *function.args.kwonlyargs)]
    return [
        SchemaError(
            "unknown_argument",
            "",
            f"'{name}' takes no argument '{given}'",
            found=given,
            allowed=tuple(allowed),
            hint=did_you_mean(given, allowed) or f"it takes: {', '.join(allowed) or 'nothing'}",
        )
        for given in args
        if given not in allowed
    ]

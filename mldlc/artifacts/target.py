"""Finds and builds what a config names as `target: package.module:Name`; every failure is a StepError with a hint."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean


def load_target(target: str, where: str = "") -> Any:
    """The object that `package.module:Name` names; modules are found on sys.path (the project's code roots)."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        fixed = ":".join(target.rsplit(".", 1)) if "." in target else "package.module:Name"
        raise StepError(f"'{target}' is no target", where=where, hint=f"write '{fixed}'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise StepError(
                f"importing '{module_name}' failed: no module '{error.name}'", where=where, hint="install it"
            ) from error
        hint = did_you_mean(module_name, _siblings(module_name))
        raise StepError(
            f"no module '{error.name}' for target '{target}'", where=where, hint=hint or "is its folder a code root?"
        ) from error
    except Exception as error:
        raise StepError(f"importing '{module_name}' failed: {type(error).__name__}: {error}", where=where) from error
    if not hasattr(module, name):
        names = [n for n, v in vars(module).items() if not n.startswith("_") and not inspect.ismodule(v)]
        hint = did_you_mean(name, names) or f"it has: {', '.join(sorted(names)) or 'nothing'}"
        raise StepError(f"module '{module_name}' has no '{name}'", where=where, hint=hint)
    return getattr(module, name)


def _siblings(module_name: str) -> list[str]:
    parent, _, _ = module_name.rpartition(".")
    try:
        paths = importlib.import_module(parent).__path__ if parent else None
    except Exception:
        return []
    prefix = f"{parent}." if parent else ""
    return [prefix + found.name for found in pkgutil.iter_modules(paths)]


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a callable's signature by name; empty where it shows none."""
    try:
        return dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return {}


def construct(target: str, args: Mapping[str, Any], where: str = "") -> Any:
    """Build `target(**args)`. Unknown and missing arguments are named before the constructor is called."""
    made = load_target(target, where)
    if not callable(made):
        raise StepError(f"'{target}' is no class or function but {type(made).__name__}", where=where)
    known = parameters(made)
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in args:
            if known and name not in known:
                hint = did_you_mean(name, known) or f"it takes: {', '.join(known)}"
                raise StepError(f"'{target}' takes no argument '{name}'", where=f"{where}.args.{name}", hint=hint)
    named = (p for p in known.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    missing = [p.name for p in named if p.default is p.empty and p.name not in args]
    if missing:
        raise StepError(
            f"'{target}' needs the argument{'s' * (len(missing) > 1)} {', '.join(missing)}",
            where=f"{where}.args", hint="give them under `args`",
        )  # fmt: skip
    try:
        return made(**args)
    except StepError:
        raise
    except Exception as error:
        raise StepError(f"'{target}' could not be built: {type(error).__name__}: {error}", where=where) from error
